"""Whom an encoder learns from: over random fold layouts, never anybody it must be blind to."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cache.members import Member, learning_patients, members_of, validating
from lymphofeat.cache.tables import CohortTables
from lymphofeat.cohort.folds import persons
from lymphofeat.errors import InputError, LeakageError

VALUES = ("age", "log_count")


def tables_of(
    people: list[int], labels: list[int], sizes: list[int], folds: list[int], test: list[bool]
) -> CohortTables:
    """Patients of numbered people, whose folds follow the person (`folds[person]`); the test part has no fold."""
    n = len(people)
    split = np.where(test, "test", "train")
    known = np.where(test, -1, labels)
    patients = pd.DataFrame(
        {
            "id": [f"P{i}" for i in range(n)],
            "split": split,
            "label": known,
            "n_images": sizes,
            "birth": [f"19{p:02d}-05-17" for p in people],
            "date_order": "m/d/y",
            "sex": "F",
            "age": np.linspace(20, 80, n),
            "lymphocyte_count": np.linspace(4, 90, n),
        }
    )
    fold = np.where(test, -1, [folds[p] for p in people]).astype(np.int8)
    names = [f"{i}.png" for i in range(sum(sizes))]
    return CohortTables(patients, fold[:, None], 0, "f", names, [1] * len(names), [""] * len(names))


@st.composite
def cohorts(draw: st.DrawFn) -> CohortTables:
    n = draw(st.integers(10, 40))
    n_folds = draw(st.integers(2, 6))
    people = draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n))
    return tables_of(
        people,
        draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)),
        draw(st.lists(st.integers(1, 4), min_size=n, max_size=n)),
        draw(st.lists(st.integers(0, n_folds - 1), min_size=n, max_size=n)),
        draw(st.lists(st.booleans(), min_size=n, max_size=n)),
    )


def owners(tables: CohortTables) -> np.ndarray:
    sizes = tables.patients["n_images"].to_numpy()
    return np.repeat(np.arange(len(sizes)), sizes)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(cohorts(), st.booleans(), st.integers(2, 6), st.integers(0, 1000))
def test_nobody_of_a_held_out_fold_is_learnt_from_or_validated_on(
    tables: CohortTables,
    nested: bool,  # noqa: FBT001
    inner: int,
    seed: int,
) -> None:
    fold = tables.folds[:, 0]
    there = {int(k) for k in fold if k >= 0}
    assume(len(there) >= (3 if nested else 2))
    members = members_of("x", there, nested=nested)
    depth = {1, 2} if nested else {1}
    assert {m.held_out for m in members} == {
        frozenset(c) for d in depth for c in combinations(sorted(there), d)
    }
    for member in members:
        try:
            chosen = learning_patients(tables, member.held_out, VALUES, inner, seed)
        except InputError:  # too few persons of a class: said, not worked around
            continue
        rows = owners(tables)[chosen.first]
        assert set(fold[rows]).isdisjoint(member.held_out | {-1})
        assert (tables.patients["split"].iloc[rows] == "train").all()
        images = np.concatenate(chosen.bags(np.ones(len(rows), bool)))
        assert set(fold[owners(tables)[images]]).isdisjoint(member.held_out | {-1})
        everyone = np.flatnonzero((fold >= 0) & ~np.isin(fold, list(member.held_out)))
        np.testing.assert_array_equal(np.sort(rows), everyone)
        who = persons(tables.patients)[rows]
        assert set(who[chosen.validates]).isdisjoint(who[~chosen.validates])
        for side in (chosen.validates, ~chosen.validates):
            assert set(chosen.labels[side]) == {0, 1}


@settings(max_examples=60, deadline=None)
@given(cohorts(), st.integers(0, 1000), st.randoms(use_true_random=False))
def test_labels_and_values_of_others_change_nothing(tables: CohortTables, seed: int, random) -> None:
    """Whatever stands in the table for held-out and test patients, the encoder is handed the same."""
    held_out = frozenset({int(max(tables.folds[:, 0]))})
    hidden = np.isin(tables.folds[:, 0], [*held_out, -1])
    changed = tables.patients.copy()
    changed["label"] = changed["label"].where(~hidden, [random.choice([-1, 0, 1]) for _ in hidden])
    changed["lymphocyte_count"] = changed["lymphocyte_count"].where(
        ~hidden, [random.uniform(1, 300) for _ in hidden]
    )
    other = CohortTables(changed, tables.folds, 0, "f", tables.names, tables.sizes, tables.digests)
    try:
        first = learning_patients(tables, held_out, VALUES, 4, seed)
    except InputError:
        assume(False)  # noqa: FBT003
    second = learning_patients(other, held_out, VALUES, 4, seed)
    for name in ("first", "sizes", "labels", "values", "validates"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 5),
    st.lists(st.sets(st.integers(0, 4), max_size=4), min_size=1, max_size=5),
    st.sets(st.integers(0, 4), min_size=1, max_size=2),
    st.integers(0, 2),
)
def test_the_cache_never_hands_out_an_encoding_that_saw_the_fold(
    tmp_path_factory, n_folds: int, blind: list[set[int]], held_out: set[int], repeat: int
) -> None:
    path = tmp_path_factory.mktemp("cache") / "c.h5"
    n = 24
    blind = [{fold for fold in folds if fold < n_folds} for folds in blind]
    patients = tables_of(list(range(n)), [0, 1] * (n // 2), [1] * n, [0] * n, [False] * n).patients
    features = {f"x{i}": np.full((n, 2), i + 1, np.float32) for i in range(len(blind))}
    save_cache(
        path, patients, features, n_folds=n_folds, n_repeats=3, encoder_families=dict.fromkeys(features, "x"),
        blind_to={f"x{i}": b for i, b in enumerate(blind)},
    )  # fmt: skip
    cache = open_cache(path)
    fitting = [b for b in blind if repeat == 0 and held_out <= b]
    if not fitting:
        with pytest.raises(LeakageError, match=r"encoding x \(x0.*has seen labels of fold"):
            cache.split("x", held_out, repeat=repeat)
        return
    chosen = cache.blind_encoding("x", held_out, repeat=repeat)
    assert held_out <= (chosen.blind_to or set())
    assert len(chosen.blind_to or ()) == min(map(len, fitting))


def test_nested_needs_three_folds() -> None:
    assert members_of("x", [1, 0, 1], nested=False) == [
        Member("x-fold0", frozenset({0})),
        Member("x-fold1", frozenset({1})),
    ]
    with pytest.raises(InputError, match="at least 3 folds"):
        members_of("x", [0, 1], nested=True)


def test_too_few_persons_to_validate_get_a_sentence() -> None:
    labels = np.array([0, 0, 0, 1, 1], np.int8)
    with pytest.raises(InputError, match="fewer than 2 persons"):
        validating(labels, np.array([0, 1, 2, 3, 3]), 5, 0)
    assert validating(labels, np.arange(5), 5, 0).sum() in (2, 3)


def test_validating_is_a_fifth_by_class() -> None:
    labels = np.array([0] * 40 + [1] * 60, np.int8)
    chosen = validating(labels, np.arange(100), 5, 3)
    assert chosen[:40].sum() == 8
    assert chosen[40:].sum() == 12
    assert not np.array_equal(chosen, validating(labels, np.arange(100), 5, 4))
    np.testing.assert_array_equal(chosen, validating(labels, np.arange(100), 5, 3))


def test_the_second_look_refuses_what_should_be_impossible(tmp_path: Path) -> None:
    from lymphofeat.cache.members import _check_blind

    tables = tables_of(list(range(8)), [0, 1] * 4, [2] * 8, [0, 0, 0, 0, 1, 1, 1, 1], [False] * 8)
    chosen = learning_patients(tables, frozenset({1}), VALUES, 2, 0)
    with pytest.raises(LeakageError, match=r"blind to folds \[0\] would learn from fold 0"):
        _check_blind(tables, chosen, frozenset({0}))
