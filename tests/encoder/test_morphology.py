"""Cells measured: against the simulator's truth, and against scikit-image's own measures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.draw import ellipse, polygon
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from skimage.measure import perimeter as perimeter_of
from skimage.measure import regionprops

from lymphofeat.encoder.morphology import masks
from lymphofeat.encoder.morphology.chromatin import cooccurrence, cooccurrence_properties, local_patterns
from lymphofeat.encoder.morphology.encoder import MorphologyEncoder, without_frame
from lymphofeat.encoder.morphology.features import DEFAULT_GROUPS, FEATURES, GROUPS, parse_groups
from lymphofeat.encoder.morphology.quality import BORDER, GOOD, NO_NUCLEUS, impute
from lymphofeat.encoder.morphology.segmentation import binomial, segment
from lymphofeat.encoder.morphology.shape import Outline, perimeter
from lymphofeat.errors import InputError
from lymphofeat.synthetic.cells import CELL_TYPES, MORPHOLOGY, simulate_cells
from lymphofeat.synthetic.images import PaintedCell, paint_cell, simulate_slide

SMUDGE = CELL_TYPES.index("smudge")


@dataclass(frozen=True)
class Painted:
    type: int
    truth: PaintedCell


@pytest.fixture(scope="module")
def cells() -> list[Painted]:
    """Cells of ten slides."""
    found = []
    for k in range(10):
        rng = np.random.default_rng([3, k])
        slide = simulate_slide(rng)
        types, morphology, _ = simulate_cells(rng, 10, 0.5, 1)
        for kind, values in zip(types.tolist(), morphology.tolist(), strict=True):
            cell = dict(zip(MORPHOLOGY, values, strict=True))
            found.append(Painted(kind, paint_cell(slide, cell, rng, smudged=kind == SMUDGE)))
    return found


@pytest.fixture(scope="module")
def whole(cells: list[Painted]) -> list[PaintedCell]:
    """Those that have not burst: a smudge has no edge that could be found."""
    return [cell.truth for cell in cells if cell.type != SMUDGE]


def found_masks(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cell = segment(pixels)
    assert cell is not None
    nucleus, body = np.zeros((2, *pixels.shape[:2]), dtype=bool)
    box = (slice(cell.top, cell.top + cell.cell.shape[0]), slice(cell.left, cell.left + cell.cell.shape[1]))
    nucleus[box], body[box] = cell.nucleus, cell.cell
    return nucleus, body


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def test_masks_are_those_of_the_simulator(whole: list[PaintedCell]) -> None:
    pairs = [(found_masks(cell.pixels), (cell.nucleus, cell.cell)) for cell in whole]
    nuclei = [dice(found[0], true[0]) for found, true in pairs]
    bodies = [dice(found[1], true[1]) for found, true in pairs]
    assert min(nuclei) > 0.9
    assert min(bodies) > 0.9
    assert np.mean(nuclei) > 0.95
    assert np.mean(bodies) > 0.95


def test_areas_and_their_ratio_follow_the_truth(whole: list[PaintedCell]) -> None:
    encoder = MorphologyEncoder(["shape"], 224)
    features = encoder(torch.from_numpy(np.stack([cell.pixels for cell in whole])))
    nucleus = np.array([cell.nucleus.sum() for cell in whole])
    body = np.array([cell.cell.sum() for cell in whole])
    true = {"nucleus_area": nucleus, "cell_area": body, "nc_ratio": nucleus / body}
    for name, values in true.items():
        assert np.corrcoef(features[:, encoder.names.index(name)], values)[0, 1] > 0.95, name


def test_a_smudge_is_measured_too(cells: list[Painted]) -> None:
    smudges = [cell.truth.pixels for cell in cells if cell.type == SMUDGE]
    features, quality = MorphologyEncoder(DEFAULT_GROUPS, 224).measure(np.stack(smudges))
    assert smudges
    assert (quality != NO_NUCLEUS).all()
    assert np.isfinite(features).all()


def test_cytoplasm_as_dark_as_the_nucleus_is_not_nucleus() -> None:
    plain = dict(zip(MORPHOLOGY, [45, 0.6, 0.02, 0, 0.05, 0, 0.2, 1, 0.1, 0, 1.9, 1.2, 0], strict=True))
    painted = paint_cell(simulate_slide(np.random.default_rng(1)), plain, np.random.default_rng(2))
    assert dice(found_masks(painted.pixels)[0], painted.nucleus) > 0.9


def test_of_touching_nuclei_the_one_in_the_middle_is_measured() -> None:
    image = np.full((224, 224, 3), (250, 228, 204), dtype=np.uint8)
    for column in (112, 168):
        rows, columns = ellipse(112, column, 31, 30)
        image[rows, columns] = (90, 40, 130)
    nucleus, _ = found_masks(image)
    assert nucleus[112, 112]
    assert not nucleus[112, 175]
    assert nucleus.sum() == pytest.approx(np.pi * 31 * 30, rel=0.15)


def test_red_cells_are_no_nucleus_and_an_empty_image_fails() -> None:
    image = np.full((224, 224, 3), (250, 228, 204), dtype=np.uint8)
    rows, columns = ellipse(112, 112, 22, 22)
    image[rows, columns] = (170, 130, 160)
    images = np.stack([image, np.full_like(image, 230), np.zeros_like(image)])
    features, quality = MorphologyEncoder(GROUPS, 224).measure(images)
    assert quality.tolist() == [NO_NUCLEUS] * 3
    assert np.isnan(features).all()


def test_a_nucleus_at_the_border_is_flagged() -> None:
    image = np.full((96, 96, 3), (250, 228, 204), dtype=np.uint8)
    rows, columns = ellipse(48, 20, 24, 24, shape=(96, 96))
    image[rows, columns] = (90, 40, 130)
    features, quality = MorphologyEncoder(DEFAULT_GROUPS, 224).measure(image[None])
    assert quality.tolist() == [BORDER]
    assert np.isfinite(features).all()


def test_the_black_frame_of_a_small_image_changes_nothing(whole: list[PaintedCell]) -> None:
    small = whole[0].pixels[20:200, 30:190]
    framed = np.zeros((224, 224, 3), dtype=np.uint8)
    framed[22:202, 32:192] = small
    assert without_frame(framed).shape == small.shape
    encoder = MorphologyEncoder(GROUPS, 224)
    np.testing.assert_array_equal(encoder.measure(framed[None])[0], encoder.measure(small[None])[0])


@pytest.mark.parametrize(("side", "least"), [(64, 0.65), (112, 0.8), (360, 0.95)])
def test_cells_of_other_scales_are_found(side: int, least: float) -> None:
    rng = np.random.default_rng(5)
    slide = simulate_slide(rng, side)
    morphology = simulate_cells(rng, 6, 1.0)[1]
    for values in morphology.tolist():
        painted = paint_cell(slide, dict(zip(MORPHOLOGY, values, strict=True)), rng)
        assert dice(found_masks(painted.pixels)[0], painted.nucleus) > least


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(32, 90), width=st.integers(32, 90))
def test_any_image_is_measured_or_fails_as_a_whole(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    blobs = ndimage.gaussian_filter(rng.normal(size=(height, width, 3)), (rng.uniform(0, 6),) * 2 + (0,))
    spread = np.ptp(blobs) or 1.0
    image = np.clip((blobs - blobs.min()) / spread * 300 - 20, 0, 255).astype(np.uint8)
    features, quality = MorphologyEncoder(GROUPS, 224).measure(image[None])
    assert np.isnan(features).all() if quality[0] == NO_NUCLEUS else np.isfinite(features).all()


def blob(seed: int) -> np.ndarray:
    """A connected mask with notches, without holes."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = 22 * (1 + 0.25 * np.cos(3 * angle + rng.uniform(0, 6)) + rng.normal(0, 0.06, 60))
    mask = np.zeros((80, 80), dtype=bool)
    mask[polygon(40 + radius * np.sin(angle), 40 + radius * np.cos(angle), mask.shape)] = True
    return masks.largest_part(masks.fill_holes(mask))


@pytest.mark.parametrize("seed", range(8))
def test_outlines_are_measured_as_by_scikit_image(seed: int) -> None:
    mask = blob(seed)
    own, other = Outline(mask), regionprops(mask.astype(int))[0]
    assert own.area == other.area
    assert own.perimeter == pytest.approx(other.perimeter) == pytest.approx(perimeter(mask))
    assert own.perimeter == pytest.approx(perimeter_of(mask))
    assert own.centre == pytest.approx(other.centroid)
    assert own.eccentricity == pytest.approx(other.eccentricity, abs=1e-6)
    assert (own.major, own.minor) == pytest.approx((other.axis_major_length, other.axis_minor_length))
    assert own.extent == pytest.approx(other.extent)
    assert own.solidity == pytest.approx(other.solidity, rel=0.01)


def test_a_disc_is_round_and_a_notch_is_deep() -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[ellipse(50, 50, 30, 30)] = True
    disc = Outline(mask)
    mask[48:52, 50:] = False
    notched = Outline(mask)
    assert disc.form_factor > 0.88
    assert disc.depth < 1.5
    assert notched.depth == pytest.approx(28, abs=2)
    assert notched.form_factor < 0.6
    assert notched.solidity < disc.solidity


def test_texture_is_counted_as_by_scikit_image() -> None:
    rng = np.random.default_rng(0)
    levels = np.clip(np.round(ndimage.gaussian_filter(rng.normal(size=(40, 50)), 1) * 12 + 8), 0, 15).astype(
        int
    )
    mask = blob(1)[15:55, 15:65]
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    shifted = np.where(mask, levels + 1, 0).astype(np.uint8)  # 0 outside, and left out below
    for distance, own in zip((1, 3, 5), cooccurrence(levels, mask, (1, 3, 5), 16), strict=True):
        pairs = graycomatrix(shifted, [distance], angles, levels=17, symmetric=True)[1:, 1:].sum(
            axis=3, keepdims=True
        )
        np.testing.assert_allclose(own, pairs[:, :, 0, 0] / pairs.sum(), atol=1e-12)
        reference = [
            graycoprops(pairs / pairs.sum(), name)[0, 0]
            for name in ("contrast", "homogeneity", "energy", "correlation")
        ]
        np.testing.assert_allclose(cooccurrence_properties(own[None])[0], reference, rtol=1e-9)


def test_a_single_grey_level_has_a_texture() -> None:
    shares = cooccurrence(np.zeros((9, 9), dtype=np.int64), np.ones((9, 9), dtype=bool), (1,), 16)
    np.testing.assert_allclose(cooccurrence_properties(shares)[0], [0, 1, 1, 1])


def test_local_patterns_are_those_of_scikit_image() -> None:
    smooth = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=(40, 50)), 1)
    plane = np.round(smooth * 10_000).astype(np.int64)
    reference = local_binary_pattern(plane, 8, 1, "uniform")[1:-1, 1:-1]
    assert (local_patterns(plane) == reference).mean() > 0.999


@pytest.mark.parametrize("radius", [1, 2, 3, 6])
def test_fast_masks_are_those_of_scipy(radius: int) -> None:
    mask = np.random.default_rng(radius).random((50, 70)) < 0.85
    mask[20:40, 10:60] = True
    eroded, dilated = mask, mask
    for step in range(radius):
        shape = ndimage.generate_binary_structure(2, 2 if step % 2 else 1)
        eroded, dilated = ndimage.binary_erosion(eroded, shape), ndimage.binary_dilation(dilated, shape)
    np.testing.assert_array_equal(masks.erode(mask, radius), eroded)
    np.testing.assert_array_equal(masks.dilate(mask, radius), dilated)
    np.testing.assert_array_equal(masks.fill_holes(mask), ndimage.binary_fill_holes(mask))


def test_smoothing_is_binomial() -> None:
    plane = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    reference = ndimage.correlate1d(
        ndimage.correlate1d(plane, kernel, 0, mode="nearest"), kernel, 1, mode="nearest"
    )
    np.testing.assert_allclose(binomial(plane), reference, atol=1e-5)


def test_every_group_has_its_features_and_no_name_twice(whole: list[PaintedCell]) -> None:
    names = [feature.name for feature in FEATURES]
    assert len(set(names)) == len(names)
    every = MorphologyEncoder(GROUPS, 224)
    together = every.measure(whole[0].pixels[None])[0][0]
    for group in GROUPS:
        encoder = MorphologyEncoder([group], 224)
        alone = encoder.measure(whole[0].pixels[None])[0][0]
        np.testing.assert_array_equal(alone, together[[every.names.index(name) for name in encoder.names]])


def test_shape_and_chromatin_do_not_see_the_stain() -> None:
    """The same cell under light and stain that differ by a few percent, as between slides."""
    plain = dict(zip(MORPHOLOGY, [38, 0.75, 0.02, 0, 0.1, 0, 0.3, 1, 0.2, 0, 0.8, 0.3, 0], strict=True))
    pixels = paint_cell(simulate_slide(np.random.default_rng(1)), plain, np.random.default_rng(2)).pixels
    other = np.clip(pixels * np.array([0.97, 0.92, 0.95]), 0, 255).astype(np.uint8)
    encoder = MorphologyEncoder(DEFAULT_GROUPS, 224)
    features = encoder.measure(np.stack([pixels, other]))[0]
    stable = [i for i, name in enumerate(encoder.names) if not name.startswith("nucleoli")]
    np.testing.assert_allclose(features[0, stable], features[1, stable], rtol=0.15, atol=0.02)


def test_groups_are_named_in_any_order() -> None:
    assert parse_groups("chromatin, shape") == ("shape", "chromatin")
    for wrong in ("", "shape,texture"):
        with pytest.raises(InputError, match="choose from"):
            parse_groups(wrong)


def test_failed_cells_get_the_median_of_the_same_patient() -> None:
    features = np.array(
        [[1, 10], [3, 30], [np.nan] * 2, [100, 0], [7, 7], [np.nan] * 2, [5, 5]], dtype=np.float32
    )
    quality = np.array([GOOD, GOOD, NO_NUCLEUS, BORDER, BORDER, NO_NUCLEUS, GOOD], dtype=np.uint8)
    assert impute(features, quality, np.array([4, 2, 1])).tolist() == []
    np.testing.assert_array_equal(features[[2, 5]], [[2, 20], [7, 7]])
    lost = np.array([[1, 1], [np.nan] * 2], dtype=np.float32)
    assert impute(lost, np.array([GOOD, NO_NUCLEUS], dtype=np.uint8), np.array([1, 1])).tolist() == [1]


def test_the_page_has_every_feature_as_it_is_defined() -> None:
    page = (Path(__file__).parents[2] / "docs" / "morphology.md").read_text(encoding="utf-8")
    for feature in FEATURES:
        assert f"| `{feature.name}` | {feature.unit or '–'} | {feature.meaning} |" in page
