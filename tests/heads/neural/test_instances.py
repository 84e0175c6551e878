"""Coordinates of instances against their formula, patient by patient."""

from collections.abc import Sequence

import numpy as np
import pytest

from lymphofeat.cache.bags import Bags
from lymphofeat.errors import InputError
from lymphofeat.heads import FitCache, Split
from lymphofeat.heads.neural.instances import coordinates_of, coordinates_of_splits


def simulated(lengths: Sequence[int]) -> Bags:
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(7, 7))
    return Bags.from_list([(rng.normal(size=(n, 7)) @ mix + 50).astype(np.float32) for n in lengths])


@pytest.fixture
def bags() -> Bags:
    return simulated(np.random.default_rng(0).integers(1, 20, 30).tolist())


def naive(bags: Bags, pca: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and covariance of all rows, each patient with weight 1 in all; (transformed rows, widths)."""
    rows = np.concatenate(list(bags)).astype(np.float64)
    weights = np.repeat(1 / bags.lengths, bags.lengths)
    mean = np.average(rows, axis=0, weights=weights)
    covariance = np.cov(rows, rowvar=False, aweights=weights, ddof=0)
    scale = np.sqrt(np.diag(covariance))
    x = (rows - mean) / scale
    if pca is None:
        return x, np.ones(7)
    values, axes = np.linalg.eigh(covariance / np.outer(scale, scale))
    return x @ axes[:, ::-1][:, :pca], values[::-1][:pca]


@pytest.mark.parametrize("pca", [None, 3, 7, 100])
def test_equals_the_formula(bags: Bags, pca: int | None) -> None:
    expected, widths = naive(bags, pca)
    rows = coordinates_of(bags, pca).transform(bags).numpy()
    # Of each axis, only the direction is free.
    signs = np.sign((rows * expected).sum(axis=0))
    np.testing.assert_allclose(rows * signs * np.sqrt(widths.mean()), expected, atol=1e-4)


@pytest.mark.parametrize(
    "lengths",
    [[2100] + [5] * 19, [5] * 19 + [2100], [9000, 1, 9000], [2048] * 3, [1] * 30, [2047, 1, 1, 4096, 3]],
    ids=str,
)
def test_bags_of_any_size_equal_the_formula(lengths: list[int]) -> None:
    """More images than are summed at a time, in one bag or in all of them, and single ones."""
    bags = simulated(lengths)
    for pca in (None, 3):
        expected, widths = naive(bags, pca)
        rows = coordinates_of(bags, pca).transform(bags).numpy()
        signs = np.sign((rows * expected).sum(axis=0))
        np.testing.assert_allclose(rows * signs * np.sqrt(widths.mean()), expected, atol=1e-3)


def test_splits_share_sums_and_keep_their_own_coordinates(bags: Bags) -> None:
    rng = np.random.default_rng(1)
    trains = [np.sort(rng.permutation(30)[:20]) for _ in range(40)]
    splits = [Split(bags, "digest", t, np.setdiff1d(np.arange(30), t)) for t in trains]
    fit_cache = FitCache()
    for pca in (4, None, 2, 4):
        together = coordinates_of_splits(splits, pca, fit_cache)
        for split, shared in zip(splits, together, strict=True):
            alone = coordinates_of(bags.select(split.train), pca)
            np.testing.assert_allclose(
                shared.transform(bags).numpy(), alone.transform(bags).numpy(), atol=2e-5
            )


def test_memory_of_features_is_read_once_for_many_axes(bags: Bags, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = [Split(bags, "digest", np.arange(20), np.arange(20, 30))]
    fit_cache = FitCache()
    first = coordinates_of_splits(splits, 5, fit_cache)[0]
    monkeypatch.setattr("lymphofeat.heads.neural.instances._Moments.of", None)
    again = coordinates_of_splits(splits, 3, fit_cache)[0]
    np.testing.assert_array_equal(again.loadings, first.loadings[:3])


def test_a_constant_feature_stays_exactly_constant() -> None:
    rng = np.random.default_rng(2)
    rows = [rng.normal(size=(5, 4)).astype(np.float32) for _ in range(9)]
    for bag in rows:
        bag[:, 1] = 1234.567
    bags = Bags.from_list(rows)
    for pca in (None, 4):
        out = coordinates_of(bags, pca).transform(bags).numpy()
        assert np.abs(out).max() < 10
    np.testing.assert_array_equal(coordinates_of(bags, None).transform(bags).numpy()[:, 1], 0)


def test_features_that_are_not_finite_get_a_sentence(bags: Bags) -> None:
    broken = Bags(bags.features.copy(), bags.starts, bags.lengths)
    broken.features[4, 4] = np.nan
    for pca in (None, 2):
        with pytest.raises(InputError, match="NaN or infinite"):
            coordinates_of(broken, pca)
        with pytest.raises(InputError, match="NaN or infinite"):
            coordinates_of(bags, pca).transform(broken)
