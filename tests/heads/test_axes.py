"""Principal axes: the same whether there are more patients or more features."""

import numpy as np
import pytest
import scipy.linalg

from lymphofeat.errors import InputError
from lymphofeat.heads.axes import PrincipalAxes


@pytest.mark.parametrize(("n", "features"), [(60, 8), (12, 40), (20, 20), (3, 1)])
def test_coordinates_are_those_of_the_singular_vectors(n: int, features: int) -> None:
    rng = np.random.default_rng(n)
    pooled = rng.normal(size=(n, features)) * rng.uniform(0.5, 3, size=features)
    found = PrincipalAxes.fit(pooled, scale=False).transform(pooled)
    left, singular, _ = scipy.linalg.svd(pooled - pooled.mean(axis=0), full_matrices=False)
    kept = min(n - 1, features)
    expected = left[:, :kept] * singular[:kept] / singular[0] * np.sqrt(n)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)


@pytest.mark.parametrize("narrowest", [1e-2, 1e-6, 1e-10])
def test_narrow_directions_keep_their_length(narrowest: float) -> None:
    """Fewer patients than features, some of which hardly vary: products of them would lose what they say."""
    rng = np.random.default_rng(2)
    pooled = rng.normal(size=(15, 30)) * np.geomspace(1, narrowest, 30)
    axes = PrincipalAxes.fit(pooled, scale=False)
    deviation = np.linalg.svd(pooled - pooled.mean(axis=0), compute_uv=False)[0] / np.sqrt(15)
    np.testing.assert_allclose(deviation**2 * axes.axes.T @ axes.axes, np.eye(14), atol=1e-7)
    left, singular, _ = scipy.linalg.svd(pooled - pooled.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(
        np.abs(deviation * axes.transform(pooled)), np.abs(left * singular)[:, :14], atol=1e-7 * singular[0]
    )


def test_no_direction_is_lost() -> None:
    """Distances stay as they are, also where the features depend on one another."""
    rng = np.random.default_rng(1)
    pooled = rng.normal(size=(80, 4)) @ rng.normal(size=(4, 10))
    axes = PrincipalAxes.fit(pooled, scale=False)
    found = axes.transform(pooled)
    ratio = np.linalg.norm(found[0] - found[1]) / np.linalg.norm(pooled[0] - pooled[1])
    for i, j in ((2, 3), (5, 70), (10, 11)):
        apart = np.linalg.norm(found[i] - found[j])
        assert apart == pytest.approx(ratio * np.linalg.norm(pooled[i] - pooled[j]))


def test_constant_features_and_holes() -> None:
    constant = np.ones((9, 3))
    assert np.array_equal(PrincipalAxes.fit(constant, scale=True).transform(constant), np.zeros((9, 3)))
    constant[2, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        PrincipalAxes.fit(constant, scale=True)
