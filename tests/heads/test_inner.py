"""Inner folds: every training patient held out once, persons together, nobody from outside."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lymphofeat.cache.bags import Bags
from lymphofeat.cohort.folds import persons
from lymphofeat.errors import InputError
from lymphofeat.heads import Split
from lymphofeat.heads.inner import inner_folds, inner_splits


def table(births: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"birth": [f"19{b:02d}-05-17" if b else "" for b in births], "sex": "F"})


@given(births=st.lists(st.integers(0, 40), min_size=24, max_size=60), seed=st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_a_partition_that_keeps_persons_together(births: list[int], seed: int) -> None:
    clinical = table(births)
    who = persons(clinical)
    y = (who % 2).astype(np.int8)  # a person has one label
    if min(len(np.unique(who[y == label])) for label in (0, 1)) < 2:
        return
    folds = inner_folds(clinical, y, 5, seed)
    held_out = np.concatenate([test for _, test in folds])
    np.testing.assert_array_equal(np.sort(held_out), np.arange(len(y)))
    for train, test in folds:
        assert not set(who[train]) & set(who[test])
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(len(y)))
        assert set(y[train]) == {0, 1}


def test_the_same_for_the_same_seed_only() -> None:
    clinical, y = table(list(range(1, 41))), (np.arange(40) % 2).astype(np.int8)
    first, again, other = (inner_folds(clinical, y, 4, seed) for seed in (0, 0, 1))
    assert all((a[1] == b[1]).all() for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a[1], b[1]) for a, b in zip(first, other, strict=True))


def test_without_dates_of_birth_every_row_is_a_person() -> None:
    y = (np.arange(12) % 2).astype(np.int8)
    folds = inner_folds(pd.DataFrame({"sex": ["F"] * 12}), y, 6, 0)
    assert [len(test) for _, test in folds] == [2] * 6


def test_few_persons_of_a_class() -> None:
    y = np.array([0, 0, 0, 1, 1, 1, 1, 1], dtype=np.int8)
    assert len(inner_folds(table([1, 1, 2, 3, 4, 5, 6, 7]), y, 5, 0)) == 2
    with pytest.raises(InputError, match="a single training patient"):
        inner_folds(table([1, 1, 1, 3, 4, 5, 6, 7]), y, 5, 0)


def test_inner_splits_never_touch_the_outer_fold() -> None:
    bags = Bags.from_list([np.zeros((1, 2), dtype=np.float32)] * 30)
    y = (np.arange(30) % 2).astype(np.int8)
    y[20:] = -1
    outer = Split(bags, "key", np.arange(0, 20)[::-1].copy(), np.arange(20, 30))
    inner = inner_splits(outer, table(list(range(1, 31))), y, 4, 0)
    for split in inner:
        assert split.bags is bags
        assert split.features_digest == "key"
        assert not set(outer.test) & {*split.train, *split.test}
    np.testing.assert_array_equal(np.sort(np.concatenate([s.test for s in inner])), np.arange(20))
