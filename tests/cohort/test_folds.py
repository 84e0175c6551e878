"""Folds: one person in one fold, both classes in each, an exact partition, the same every time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from lymphofeat.cohort.folds import assign_folds, assign_repeats
from lymphofeat.errors import InputError


@st.composite
def labelled_persons(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels (some unknown) and person numbers (some with several records), and a number of folds."""
    n_folds = draw(st.integers(2, 6))
    sizes = {label: draw(st.lists(st.integers(1, 4), min_size=n_folds, max_size=25)) for label in (0, 1)}
    unknown = draw(st.lists(st.integers(0, 30), max_size=8))  # persons of the test part, some also labelled
    labels, people = [], []
    person = 0
    for label, records in sizes.items():
        for size in records:
            labels += [label] * size
            people += [person] * size
            person += 1
    labels += [-1] * len(unknown)
    people += unknown
    order = np.array(draw(st.permutations(range(len(labels)))))
    return np.array(labels)[order], np.array(people)[order], n_folds


@given(labelled_persons(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_folds_are_a_grouped_partition_with_both_classes(
    simulated: tuple[np.ndarray, np.ndarray, int], seed: int
) -> None:
    labels, people, n_folds = simulated
    folds = assign_folds(labels, people, n_folds, seed)
    assert folds.dtype == np.int8
    assert ((folds >= 0) == (labels >= 0)).all()
    assert set(folds[labels >= 0]) == set(range(n_folds))
    for fold in range(n_folds):
        assert set(labels[folds == fold]) == {0, 1}
    for person in np.unique(people):
        assert len(set(folds[(people == person) & (labels >= 0)])) <= 1
    np.testing.assert_array_equal(folds, assign_folds(labels, people, n_folds, seed))


def test_folds_are_stratified() -> None:
    labels = np.repeat([0, 1, -1], [31, 69, 20])
    folds = assign_folds(labels, np.arange(120), 5, 0)
    for label, low, high in ((0, 6, 7), (1, 13, 14)):
        sizes = np.bincount(folds[labels == label], minlength=5)
        assert sizes.min() == low
        assert sizes.max() == high


def test_repeats_differ_and_begin_with_the_plain_folds() -> None:
    labels = np.repeat([0, 1], [20, 30])
    repeats = assign_repeats(labels, np.arange(50), 5, 4, seed=7)
    assert repeats.shape == (50, 4)
    np.testing.assert_array_equal(repeats[:, 0], assign_folds(labels, np.arange(50), 5, 7))
    assert len({tuple(column) for column in repeats.T}) == 4
    np.testing.assert_array_equal(repeats[:, :2], assign_repeats(labels, np.arange(50), 5, 2, seed=7))


def test_too_few_persons_for_the_folds_is_a_sentence() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    with pytest.raises(InputError, match=r"3 folds need at least 3 reactive persons.*has 2"):
        assign_folds(labels, np.array([0, 0, 1, 2, 3, 4, 5]), 3, 0)
    with pytest.raises(InputError, match="from 2 to 127, not 1"):
        assign_folds(labels, np.arange(7), 1, 0)
    with pytest.raises(InputError, match="at least 1, not 0"):
        assign_repeats(labels, np.arange(7), 2, 0, 0)


def test_a_fold_that_would_hold_one_class_is_a_sentence() -> None:
    # person 0 has records of both classes; scikit-learn places the others first, apart from one another
    labels, people = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 2])
    with pytest.raises(InputError, match=r"No division into 2 folds was found"):
        assign_folds(labels, people, 2, 0)


def test_another_shuffle_is_tried_before_a_cohort_is_refused() -> None:
    # person 2 has records of both classes, and with this seed's own shuffle a fold holds reactive ones only
    labels, people = np.array([0, 0, 1, 1, 0, 1]), np.array([1, 2, 2, 3, 1, 2])
    splitter = StratifiedGroupKFold(2, shuffle=True, random_state=0)
    assert any(len(set(labels[test])) == 1 for _, test in splitter.split(labels, labels, people))
    folds = assign_folds(labels, people, 2, 0)
    assert all(len(set(labels[folds == k])) == 2 for k in (0, 1))
