"""Poolings in the coordinates of the training patients, against their formulas."""

import numpy as np
import pytest

from lymphofeat.cache.bags import Bags
from lymphofeat.estimates.scores import roc_auc_score
from lymphofeat.heads.fitted_pooling import FITTED_POOLINGS
from lymphofeat.heads.neural.instances import coordinates_of

DIM = 12


@pytest.fixture(scope="module")
def bags() -> Bags:
    rng = np.random.default_rng(5)
    mixing = rng.normal(size=(DIM, DIM))
    return Bags.from_list(
        [(rng.normal(size=(n, DIM)) @ mixing).astype(np.float32) for n in (4, 1, 9, 30, 2, 7)]
    )


def pooled(name: str, bags: Bags) -> np.ndarray:
    pooling = FITTED_POOLINGS[name]
    return pooling.pool(coordinates_of(bags, pooling.axes), bags)


def standardised(bags: Bags) -> list[np.ndarray]:
    """Every patient weighs the same in mean and variance."""
    each = [bag.astype(np.float64) for bag in bags]
    mean = np.mean([bag.mean(axis=0) for bag in each], axis=0)
    variance = np.mean([((bag - mean) ** 2).mean(axis=0) for bag in each], axis=0)
    return [(bag - mean) / np.sqrt(variance) for bag in each]


def test_log_sum_exp_is_the_formula_and_lies_between_mean_and_maximum(bags: Bags) -> None:
    x = standardised(bags)
    got = pooled("log-sum-exp", bags)
    np.testing.assert_allclose(got, [np.log(np.exp(2 * b).mean(axis=0)) / 2 for b in x], atol=1e-4)
    assert (got >= [b.mean(axis=0) - 1e-4 for b in x]).all()
    assert (got <= [b.max(axis=0) + 1e-4 for b in x]).all()


def test_log_sum_exp_survives_large_values(bags: Bags) -> None:
    far = Bags(bags.features * np.float32(1e6), bags.starts, bags.lengths)
    np.testing.assert_allclose(pooled("log-sum-exp", far), pooled("log-sum-exp", bags), atol=1e-4)


def test_second_order_is_the_covariance_along_the_axes(bags: Bags) -> None:
    x = standardised(bags)
    rank = 8
    moment = np.mean([b.T @ b / len(b) for b in x], axis=0)
    values, axes = np.linalg.eigh(moment)
    axes, typical = axes[:, ::-1][:, :rank], np.sqrt(values[::-1][:rank].mean())
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(rank)])
    got = pooled("second-order", bags)
    np.testing.assert_allclose(got[:, :DIM], [bag.astype(np.float64).std(axis=0) for bag in bags], rtol=1e-6)
    for row, b in zip(got[:, DIM:], x, strict=True):
        covariance = np.cov((b @ axes / typical).T, bias=True) if len(b) > 1 else np.zeros((rank, rank))
        upper = covariance[np.triu_indices(rank)]
        np.testing.assert_allclose(np.sign(row) * row**2, upper, atol=1e-4)


def test_second_order_sees_a_correlation_that_no_single_feature_shows() -> None:
    rng = np.random.default_rng(1)
    y = np.arange(60) % 2
    drawn = []
    for label in y:
        first = rng.normal(size=(40, 1))
        partner = (0.8 if label else -0.8) * first + 0.6 * rng.normal(size=(40, 1))
        drawn.append(np.hstack([first, partner]).astype(np.float32))
    bags = Bags.from_list(drawn)
    got = pooled("second-order", bags)
    scores = [max(a, 1 - a) for a in (roc_auc_score(y, column) for column in got.T)]
    assert max(scores[2:]) > 0.99  # variances along the axes (1, ±1)
    assert max(scores[:2]) < 0.75
