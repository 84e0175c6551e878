"""Folds: one person in one fold, both classes in each, an exact partition, the same every time."""

import random

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from lymphofeat.cohort.folds import assign_folds, assign_repeats, extend_folds
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


@st.composite
def grown_cohorts(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Labels, person numbers, known folds of three repeats, number of folds: patients came, went, lost a label."""
    labels, people, n_folds = draw(labelled_persons())
    known = assign_repeats(labels, people, n_folds, 3, draw(st.integers(0, 99)))
    new = draw(st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.integers(0, 80)), max_size=20))
    labels = np.concatenate([labels, [label for label, _ in new]]).astype(int)
    people = np.concatenate([people, [person for _, person in new]]).astype(int)
    known = np.concatenate([known, np.full((len(new), 3), -1, np.int8)])
    labels[draw(st.lists(st.integers(0, len(labels) - 1), max_size=2))] = -1
    return labels, people, known, n_folds


@given(grown_cohorts(), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=80)
def test_known_patients_keep_their_folds_and_persons_stay_together(
    grown: tuple[np.ndarray, np.ndarray, np.ndarray, int], seed: int, chance: random.Random
) -> None:
    labels, people, known, n_folds = grown
    ids = np.array([f"P{i}" for i in range(len(labels))])
    try:
        folds = extend_folds(labels, people, known, n_folds, seed, ids)
    except InputError:  # a fold lost a class; justified or not is for the next test
        reject()
    assert folds.dtype == np.int8
    assert ((folds >= 0) == (labels >= 0)[:, None]).all()
    kept = (known >= 0) & (labels >= 0)[:, None]
    np.testing.assert_array_equal(folds[kept], known[kept])
    for repeat in range(3):
        for person in np.unique(people):
            mine = people == person
            held = set(folds[mine & (labels >= 0), repeat])
            if held:  # a known record without its label counts as well: encoders have learnt from it
                held |= set(known[mine & (known[:, repeat] >= 0), repeat])
            assert len(held) <= 1
        for fold in range(n_folds):
            assert set(labels[folds[:, repeat] == fold]) == {0, 1}
    shuffled = list(range(len(labels)))
    chance.shuffle(shuffled)
    again = extend_folds(labels[shuffled], people[shuffled], known[shuffled], n_folds, seed, ids[shuffled])
    np.testing.assert_array_equal(again, folds[shuffled])


REPEATS = [(repeat, label) for repeat in (0, 1) for label in (0, 1)]


def _spread(labels: np.ndarray, folds: np.ndarray, n_folds: int) -> np.ndarray:
    """(2,) largest minus smallest number of a class over the folds."""
    counts = [np.bincount(folds[(labels == label) & (folds >= 0)], minlength=n_folds) for label in (0, 1)]
    return np.ptp(counts, axis=1)


@given(
    st.lists(st.sampled_from([-1, 0, 1]), max_size=40),
    st.lists(st.integers(0, 59), max_size=15, unique=True),
    st.integers(2, 6),
    st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=80)
def test_classes_stay_even_as_single_records_come_and_go(
    new: list[int], gone: list[int], n_folds: int, seed: int
) -> None:
    first = np.tile([0, 1, 1], 20)
    stay = np.setdiff1d(np.arange(60), gone)
    known = assign_repeats(first, np.arange(60), n_folds, 2, seed)[stay]
    labels = np.concatenate([first[stay], new]).astype(int)
    grown = np.concatenate([known, np.full((len(new), 2), -1, np.int8)])
    ids = np.concatenate([stay, 1000 + np.arange(len(new))])
    counts = [
        [np.sum(first[stay][known[:, r] == fold] == label) for fold in range(n_folds)] for r, label in REPEATS
    ]
    if any(
        np.sum(np.equal(count, 0)) > new.count(label)
        for count, (_, label) in zip(counts, REPEATS, strict=True)
    ):
        with pytest.raises(InputError, match="has no"):
            extend_folds(labels, ids, grown, n_folds, seed, ids)
        return
    folds = extend_folds(labels, ids, grown, n_folds, seed, ids)
    for repeat in range(2):
        before = _spread(first[stay], known[:, repeat], n_folds)
        assert (_spread(labels, folds[:, repeat], n_folds) <= np.maximum(1, before)).all()


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_a_cohort_that_grows_week_by_week_keeps_all_folds(weeks: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.tile([0, 1, 1], 10)
    folds = assign_repeats(labels, np.arange(30), 5, 2, seed)
    for n in weeks:
        labels = np.concatenate([labels, rng.integers(-1, 2, n)])
        known = np.concatenate([folds, np.full((n, 2), -1, np.int8)])
        after = extend_folds(labels, np.arange(len(labels)), known, 5, seed, np.arange(len(labels)))
        np.testing.assert_array_equal(after[: len(folds)], folds)
        assert all((_spread(labels, after[:, repeat], 5) <= 1).all() for repeat in (0, 1))
        folds = after


def test_repeats_deal_new_patients_differently_and_a_whole_cohort_evenly() -> None:
    rng = np.random.default_rng(0)
    people = np.sort(rng.integers(0, 90, 120))
    labels = rng.integers(0, 2, 90)[people]
    nobody = np.full((120, 4), -1)
    folds = extend_folds(labels, people, nobody, 5, 0, np.arange(120))
    assert len({tuple(column) for column in folds.T}) == 4
    yardstick = assign_folds(labels, people, 5, 0)
    shares = [
        np.mean([np.std(np.bincount(column[labels == label], minlength=5)) for label in (0, 1)])
        for column in (*folds.T, yardstick)
    ]
    assert max(shares[:4]) <= max(shares[4], 0.5)


def test_known_records_of_one_person_in_different_folds_are_a_sentence() -> None:
    labels, ids = np.tile([0, 1], 6), np.array([f"P{i}" for i in range(12)])
    people = np.arange(12)
    known = assign_repeats(labels, people, 3, 1, 0)
    people[7] = next(i for i in range(6) if known[i, 0] != known[7, 0])
    with pytest.raises(InputError, match=rf"Patients P{people[7]} and P7 may be one person.*--force draw"):
        extend_folds(labels, people, known, 3, 0, ids)


def test_a_fold_that_lost_a_class_is_a_sentence() -> None:
    labels, ids = np.tile([0, 1, 1], 4), np.array([f"P{i:02}" for i in range(12)])
    known = assign_repeats(labels, np.arange(12), 4, 1, 0)
    stay = ~((known[:, 0] == 2) & (labels == 0))
    inside = ", ".join(ids[stay & (known[:, 0] == 2)])
    with pytest.raises(
        InputError, match=rf"Fold 2 has no reactive patient left \(only {inside}\).*--force draw"
    ):
        extend_folds(labels[stay], np.arange(12)[stay], known[stay], 4, 0, ids[stay])
    # a new patient of the class fills it
    folds = extend_folds(
        np.append(labels[stay], 0),
        np.arange(12),
        np.vstack([known[stay], [[-1]]]),
        4,
        0,
        np.append(ids[stay], "Q"),
    )
    assert folds[-1, 0] == 2
