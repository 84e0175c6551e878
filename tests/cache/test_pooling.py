"""Poolings against their formulas, and the invariances that keep the number of images out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lymphofeat.cache import pooling
from lymphofeat.cache.bags import Bags
from lymphofeat.cache.pooling import POOLINGS, QUANTILES, pool
from lymphofeat.errors import InputError

NAIVE = {
    "mean": lambda bag: bag.mean(axis=0),
    "max": lambda bag: bag.max(axis=0),
    "std": lambda bag: bag.std(axis=0),
    "mean+std": lambda bag: np.concatenate([bag.mean(axis=0), bag.std(axis=0)]),
    # As SAS does it (definition 5): the step function's inverse, the middle where it has two.
    "quantiles": lambda bag: np.quantile(bag, QUANTILES, axis=0, method="averaged_inverted_cdf").ravel(),
    # Eight copies, so that an eighth of the images is a whole number of them.
    "top-mean": lambda bag: np.sort(np.tile(bag, (8, 1)), axis=0)[-len(bag) :].mean(axis=0),
}
numbers = st.floats(-1000, 1000, width=32)
ragged = st.lists(
    st.integers(1, 6).flatmap(lambda n: arrays(np.float32, (n, 3), elements=numbers)), min_size=1, max_size=6
)


def test_every_pooling_has_a_reference() -> None:
    assert set(NAIVE) == set(POOLINGS)


@pytest.mark.parametrize("name", sorted(POOLINGS))
@given(bags=ragged)
@settings(max_examples=40, deadline=None)
def test_equals_the_formula_bag_by_bag(name: str, bags: list[np.ndarray]) -> None:
    expected = np.array([NAIVE[name](bag.astype(np.float64)) for bag in bags])
    pooled = pool(Bags.from_list(bags), name)
    assert pooled.dtype == np.float64
    assert pooled.shape == (len(bags), POOLINGS[name].widths * 3)
    np.testing.assert_allclose(pooled, expected, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("name", sorted(POOLINGS))
@given(bag=arrays(np.float32, (7, 4), elements=numbers), times=st.integers(2, 5), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_neither_order_nor_repetition_counts(name: str, bag: np.ndarray, times: int, seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(bag)
    plain, reordered, repeated = pool(Bags.from_list([bag, shuffled, np.tile(bag, (times, 1))]), name)
    np.testing.assert_allclose(reordered, plain, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(repeated, plain, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("name", sorted(POOLINGS))
def test_chunks_selections_and_order_of_bags_change_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    bags = Bags.from_list([rng.normal(size=(n, 5)).astype(np.float32) for n in (3, 50, 1, 8, 8, 40)])
    whole = pool(bags, name)
    which = np.array([5, 0, 0, 3])
    np.testing.assert_array_equal(pool(bags.select(which), name), whole[which])
    monkeypatch.setattr(pooling, "_CHUNK_ROWS", 9)
    np.testing.assert_array_equal(pool(bags, name), whole)


def test_spread_survives_a_large_mean() -> None:
    bag = (10_000 + np.array([[0.0], [0.5], [1.0]])).astype(np.float32)
    assert pool(Bags.from_list([bag]), "mean+std")[0, 1] == pytest.approx(bag.astype(float).std(), rel=1e-9)


def test_one_image_has_no_spread() -> None:
    pooled = pool(Bags.from_list([np.array([[2.0, 3.0]], dtype=np.float32)]), "mean+std")
    np.testing.assert_array_equal(pooled, [[2, 3, 0, 0]])


def test_no_bags_give_no_rows() -> None:
    empty = Bags(
        np.ones((2, 3), dtype=np.float32), np.array([], dtype=np.int64), np.array([], dtype=np.int64)
    )
    assert pool(empty, "mean").shape == (0, 3)


def test_unknown_name_and_empty_bag_get_a_sentence() -> None:
    bags = Bags.from_list([np.ones((2, 3), dtype=np.float32)])
    with pytest.raises(
        InputError, match=r"no pooling 'median'; choose one of max, mean, mean\+std, quantiles"
    ):
        pool(bags, "median")
    with pytest.raises(InputError, match="Bag 0 holds no image"):
        pool(Bags(bags.features, bags.starts, np.array([0])), "mean")
