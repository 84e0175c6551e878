"""Kernels by products of matrices: those of distances taken one by one."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist
from sklearn.gaussian_process.kernels import RBF

from lymphofeat.heads.kernels import GaussianKernel, median_distance, squared_distances


@pytest.mark.parametrize("far", [0.0, 1e3])
@pytest.mark.parametrize("n", [2, 7, 40])
def test_distances_and_their_median(n: int, far: float) -> None:
    table = np.random.default_rng(n).normal(size=(n, 5)) + far
    squares = squared_distances(table)
    np.testing.assert_allclose(np.sqrt(squares), cdist(table, table), atol=1e-7 * max(far, 1))
    assert median_distance(squares) == pytest.approx(np.median(pdist(table)), rel=1e-7)


def test_rows_that_are_alike_have_no_distance() -> None:
    """Rounding must not pass for one: a width would be taken from it."""
    table = np.repeat(np.random.default_rng(0).normal(size=(1, 50)) * 1e3, 9, axis=0)
    assert not squared_distances(table).any()
    assert median_distance(squared_distances(table)) == 1.0
    assert median_distance(squared_distances(np.zeros((4, 3)))) == 1.0


@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_the_kernel_is_scikit_learns(scale: float) -> None:
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(20, 4)), rng.normal(size=(7, 4))
    ours, plain = GaussianKernel(scale), RBF(scale)
    np.testing.assert_allclose(ours(x), plain(x), atol=1e-14)
    np.testing.assert_allclose(ours(x, z), plain(x, z), atol=1e-14)
    np.testing.assert_array_equal(ours.diag(x), plain.diag(x))
    for found, expected in zip(ours(x, eval_gradient=True), plain(x, eval_gradient=True), strict=True):
        np.testing.assert_array_equal(found, expected)
