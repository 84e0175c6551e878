"""Which cells are put on the plane, and where."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.explanation.cell_positions import cell_positions, sample_evenly


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 200))
def test_a_sample_takes_the_same_number_of_everybody(lengths: list[int], most: int) -> None:
    sizes = np.array(lengths)
    rows = sample_evenly(sizes, most)
    assert len(rows) == len(set(rows.tolist())) == min(most, sizes.sum())
    owners = np.repeat(np.arange(len(sizes)), sizes)[rows]
    taken = np.bincount(owners, minlength=len(sizes))
    cropped = taken[taken < sizes]
    assert not len(cropped) or taken.max() - cropped.min() <= 1  # who has fewer gives all
    assert np.array_equal(rows, sample_evenly(sizes, most))


def test_a_sample_is_in_random_order_so_that_no_patient_lies_on_top() -> None:
    rows = sample_evenly(np.array([50, 50]), 1000)
    assert np.abs(np.corrcoef(np.arange(100), rows)[0, 1]) < 0.3


def test_groups_of_like_cells_stay_together() -> None:
    rng = np.random.default_rng(0)
    group = np.arange(90) % 3
    features = rng.normal(size=(90, 8)) + 8 * np.eye(3, 8)[group]
    placed = cell_positions(features * [1, 10, 100, 1, 1, 1, 1, 1] + 5)
    far = ((placed.plane[:, None] - placed.plane[None]) ** 2).sum(axis=2) + np.diag(np.full(90, np.inf))
    assert np.mean(group[far.argmin(axis=1)] == group) == 1
    assert placed.perplexity == pytest.approx(89 / 3)
    assert 0.99 < placed.kept <= 1 + 1e-9
    assert np.array_equal(cell_positions(features[:30]).plane, cell_positions(features[:30]).plane)


@pytest.mark.parametrize(
    "features",
    [
        np.ones((1, 5)),
        np.arange(6.0).reshape(3, 2),
        np.ones((30, 5)),
        np.arange(40.0)[:, None],
        np.repeat(np.random.default_rng(0).normal(size=(2, 6)), 20, axis=0),
        np.random.default_rng(0).normal(size=(12, 80)).astype(np.float32),
    ],
    ids=["one cell", "three cells", "identical", "one feature", "two kinds", "more features than cells"],
)
def test_odd_cells_have_finite_places(features: np.ndarray) -> None:
    placed = cell_positions(features)
    assert placed.plane.shape == (len(features), 2)
    assert np.isfinite(placed.plane).all()
    assert np.isfinite(placed.reduced).all()
