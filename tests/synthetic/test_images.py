"""The painted cells: do the pictures show what the numbers say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lymphofeat.synthetic.cells import CELL_TYPES, HIGHEST, LOWEST, MORPHOLOGY, RARE_TYPE, simulate_cells
from lymphofeat.synthetic.images import paint_cell, simulate_slide

PLAIN = {
    "radius": 36.0,
    "nuclear_ratio": 0.7,
    "irregularity": 0.02,
    "corners": 0.0,
    "elongation": 0.05,
    "lobes": 0.0,
    "eccentricity": 0.0,
    "density": 1.0,
    "chromatin": 0.1,
    "nucleolus": 0.0,
    "basophilia": 0.8,
    "rim": 0.2,
    "granules": 0.0,
}


def painted(seed: int = 0, size: int = 224, *, smudged: bool = False, **changes: float) -> np.ndarray:
    """Float RGB of a plain cell with some values changed, on one slide, with one stream."""
    slide = simulate_slide(np.random.default_rng(1), size)
    picture = paint_cell(slide, PLAIN | changes, np.random.default_rng(seed), smudged=smudged).pixels
    return picture.astype(float)


def nucleus_area(picture: np.ndarray) -> int:
    """Violet pixels of the middle: much less green than blue, and dark."""
    middle = picture[40:184, 40:184]
    return int(((middle[..., 2] - middle[..., 1] > 40) & (middle[..., 1] < 90)).sum())


def cytoplasm(picture: np.ndarray) -> np.ndarray:
    """Mean colour of a ring between nucleus and edge of the plain cell."""
    y, x = np.mgrid[:224, :224] - 112
    ring = (np.hypot(y, x) > 28) & (np.hypot(y, x) < 31)
    return picture[ring].mean(axis=0)


def mean_over_cells(measure, **changes):  # type: ignore[no-untyped-def]
    return np.mean([measure(painted(seed, **changes)) for seed in range(6)], axis=0)


def test_a_picture_has_the_colours_of_the_stain() -> None:
    picture = painted()
    background = np.percentile(picture.reshape(-1, 3), 90, axis=0)
    nucleus = picture[104:120, 104:120].mean(axis=(0, 1))
    assert background[0] > background[1] > background[2] > 150  # cream
    assert nucleus[1] < nucleus[0] < nucleus[2] < 200  # violet: least green, most blue
    assert background.mean() - nucleus.mean() > 80


def test_the_nucleus_grows_with_radius_and_ratio() -> None:
    plain = mean_over_cells(nucleus_area)
    assert mean_over_cells(nucleus_area, radius=50.0) > 1.5 * plain
    assert mean_over_cells(nucleus_area, nuclear_ratio=0.9) > 1.3 * plain
    assert plain == pytest.approx(np.pi * (36 * 0.7) ** 2, rel=0.15)


def test_density_darkens_the_nucleus() -> None:
    def middle(picture: np.ndarray) -> float:
        return float(picture[106:118, 106:118].mean())

    assert mean_over_cells(middle, density=1.4) < mean_over_cells(middle, density=0.7) - 20


def test_chromatin_and_nucleolus_change_the_texture() -> None:
    def contrast(picture: np.ndarray) -> float:
        return float(picture[98:126, 98:126, 0].std())

    assert mean_over_cells(contrast, chromatin=0.5) > 2 * mean_over_cells(contrast, chromatin=0.05)
    assert mean_over_cells(contrast, nucleolus=0.5) > 1.3 * mean_over_cells(contrast)


def test_basophilia_makes_the_cytoplasm_bluer() -> None:
    pale, blue = (mean_over_cells(cytoplasm, basophilia=b) for b in (0.3, 1.6))
    assert blue[2] - blue[0] > pale[2] - pale[0] + 30


def test_granules_are_dark_dots_in_the_cytoplasm() -> None:
    def darkest(picture: np.ndarray) -> float:
        y, x = np.mgrid[:224, :224] - 112
        ring = (np.hypot(y, x) > 29) & (np.hypot(y, x) < 33)
        return float(np.percentile(picture[ring][:, 1], 2))

    assert mean_over_cells(darkest, granules=12.0, basophilia=0.3, rim=0.0) < mean_over_cells(
        darkest, granules=0.0, basophilia=0.3, rim=0.0
    )


def test_corners_draw_the_outline_out() -> None:
    """The cell reaches farther with corners: more of the far ring is neither background nor a red cell's grey."""

    def reach(picture: np.ndarray) -> float:
        y, x = np.mgrid[:224, :224] - 112
        ring = (np.hypot(y, x) > 38) & (np.hypot(y, x) < 48)
        return float((picture[ring][:, 2] - picture[ring][:, 0] > 10).mean())

    assert mean_over_cells(reach, corners=0.5, basophilia=1.5) > mean_over_cells(reach, basophilia=1.5) + 0.02


def test_a_smudge_has_no_sharp_edge() -> None:
    def steepest(picture: np.ndarray) -> float:
        return float(np.abs(np.diff(picture[100:124, 60:164, 1], axis=1)).max())

    quiet = {"chromatin": 0.02, "basophilia": 0.1, "rim": 0.0}
    assert steepest(painted(smudged=True, **quiet)) < steepest(painted(**quiet))


def test_slides_differ_in_stain_and_a_slide_does_not() -> None:
    def nucleus(slide_seed: int, seed: int) -> np.ndarray:
        slide = simulate_slide(np.random.default_rng(slide_seed), 96)
        return paint_cell(slide, PLAIN, np.random.default_rng(seed)).pixels[42:54, 42:54].mean(axis=(0, 1))

    within = np.std([nucleus(0, k) for k in range(12)], axis=0)
    between = np.std([nucleus(k, 0) for k in range(12)], axis=0)
    assert (between > 1.5 * within).all()


def test_equal_streams_paint_equal_pictures() -> None:
    assert (painted(3) == painted(3)).all()
    assert (painted(3) != painted(4)).any()


@settings(max_examples=60, deadline=None)
@given(
    share=st.lists(st.floats(0, 1), min_size=len(MORPHOLOGY), max_size=len(MORPHOLOGY)),
    size=st.sampled_from([32, 65, 96]),
    seed=st.integers(0, 2**32),
    smudged=st.booleans(),
)
def test_any_morphology_within_bounds_can_be_painted(
    *, share: list[float], size: int, seed: int, smudged: bool
) -> None:
    values = LOWEST + np.array(share) * (HIGHEST - LOWEST)
    rng = np.random.default_rng(seed)
    cell = dict(zip(MORPHOLOGY, values.tolist(), strict=True))
    picture = paint_cell(simulate_slide(rng, size), cell, rng, smudged=smudged).pixels
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 5


@given(n=st.integers(1, 60), fraction=st.floats(0, 1), rare=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_bags_of_cells_are_as_asked(n: int, fraction: float, rare: float, seed: int) -> None:
    n_rare = int(rare * n)
    types, morphology, clonal = simulate_cells(np.random.default_rng(seed), n, fraction, n_rare)
    assert ((morphology >= LOWEST) & (morphology <= HIGHEST)).all()
    assert (types == RARE_TYPE).sum() == n_rare
    assert len(set(types[clonal])) <= 1
    assert not clonal[types == RARE_TYPE].any()


def test_a_clone_is_homogeneous_and_the_rest_a_mixture() -> None:
    rng = np.random.default_rng(0)
    column = MORPHOLOGY.index("radius")
    clones = [simulate_cells(rng, 200, 1.0)[1][:, column].std() for _ in range(20)]
    mixtures = [simulate_cells(rng, 200, 0.0) for _ in range(20)]
    assert np.mean(clones) < 0.25 * np.mean([m[1][:, column].std() for m in mixtures])
    assert set(np.concatenate([m[0] for m in mixtures])) == set(range(len(CELL_TYPES))) - {RARE_TYPE}


def test_the_clonal_share_is_the_asked_one() -> None:
    _, _, clonal = simulate_cells(np.random.default_rng(0), 20_000, 0.3)
    assert clonal.mean() == pytest.approx(0.3, abs=0.015)
