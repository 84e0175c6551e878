"""Whatever the folds and the encodings: nothing of an outer fold reaches the search inside it."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lymphofeat.cache import Cache, open_cache, save_cache
from lymphofeat.cache.encoding import Encoding
from lymphofeat.cache.spec import EncodingSpec
from lymphofeat.errors import InputError, LeakageError
from lymphofeat.nested import nested
from lymphofeat.scoring.plan import ScoringPlan
from lymphofeat.studies.evaluate import StudySpec

from ..helpers.caches import features, frozen_cache, patients, tuned_cache

ENCODER_FAMILY = "drawn"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return open_cache(frozen_cache(tmp_path_factory.mktemp("c") / "c.h5", n=24, n_test=4))


def with_encodings(cache: Cache, blind: list[frozenset[int] | None]) -> Cache:
    """The cache in memory with encodings that are blind to these folds, told apart by their digests."""
    array = np.zeros((cache.tables.n_images, 1), dtype=np.float32)
    encodings = {
        f"e{i}": Encoding(EncodingSpec(f"e{i}", ENCODER_FAMILY, 1, 8, folds, {}), f"digest{i}", array)
        for i, folds in enumerate(blind)
    }
    return replace(cache, encodings=encodings)


def with_folds(cache: Cache, folds: np.ndarray) -> Cache:
    return replace(cache, tables=replace(cache.tables, folds=folds))


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, np.ndarray, list[frozenset[int] | None], tuple[int, int]]:
    """Folds of 28 patients in two repeats (any sizes), encodings blind to any folds, and an outer fold."""
    n_folds = draw(st.integers(2, 5))
    fold = st.integers(0, n_folds - 1)
    columns = [draw(st.lists(fold, min_size=28, max_size=28)) for _ in range(2)]
    sets = st.sets(fold).map(frozenset)
    every = [frozenset(c) for size in (1, 2, 3) for c in combinations(range(n_folds), size)]
    kinds = st.one_of(
        st.just([None]),
        st.just(every),
        st.just([s for s in every if len(s) < 3]),
        st.lists(sets, min_size=1, max_size=8),
    )
    return n_folds, np.array(columns, dtype=np.int8).T, draw(kinds), (draw(st.integers(0, 1)), draw(fold))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layouts())
def test_no_split_sees_the_outer_fold_in_train_test_labels_or_encoding(
    cache: Cache, layout: tuple[int, np.ndarray, list[frozenset[int] | None], tuple[int, int]]
) -> None:
    _, folds, blind, without = layout
    folds = np.where((cache.labels < 0)[:, None], -1, folds).astype(np.int8)
    simulated = with_folds(with_encodings(cache, blind), folds)
    repeat, outer = without
    try:
        plan = ScoringPlan.of(simulated, ENCODER_FAMILY, without=without)
    except (InputError, LeakageError):
        return
    by_digest = {e.digest: e for e in simulated.encodings.values()}
    held_out = folds[:, repeat] == outer
    assert (plan.labels[held_out] == -1).all()
    assert not held_out[plan.labelled].any()
    kept = plan.labels >= 0
    np.testing.assert_array_equal(plan.labels[kept], cache.labels[kept])
    for split in plan.splits:
        assert not held_out[split.train].any()
        assert not held_out[split.test].any()
        assert not set(split.train) & set(split.test)
        assert kept[split.train].all()
        seen_by = by_digest[split.features_digest].blind_to
        tested = {int(k) for k in folds[split.test, repeat]}
        if seen_by is not None:
            assert repeat == 0
            assert {outer, *tested} <= seen_by
            assert not tested & {int(k) for k in folds[split.train, repeat]}
    for fold in plan.scored:
        assert fold.repeat == 0
        assert {int(k) for k in folds[plan.splits[fold.outer].test, repeat]} == {fold.fold} != {outer}
    assert {fold.fold for fold in plan.scored} == {int(k) for k in np.unique(folds[kept, repeat])}


def test_layouts_that_can_be_planned_are_planned(cache: Cache) -> None:
    """The property above is not empty."""
    for blind, inner in (([None], True), ([frozenset(c) for c in combinations(range(5), 2)], False)):
        simulated = with_encodings(cache, blind)
        for outer in range(5):
            plan = ScoringPlan.of(simulated, ENCODER_FAMILY, without=(0, outer))
            assert len(plan.scored) == 4
            assert [fold.inner is not None for fold in plan.scored] == [inner] * 4
            assert len(plan.splits) == (4 + 6 if inner else 4)


def test_encoders_blind_to_one_fold_only_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tuned_cache(tmp_path / "c.h5", pairs=False)
    with pytest.raises(LeakageError, match=r"has seen labels of folds 0, 1 .*--finetune --nested"):
        nested(path, tmp_path / "searches", trials=1, heads=["logistic"])
    assert not (tmp_path / "searches").exists()


def test_an_encoding_that_saw_the_outer_fold_is_refused(tmp_path: Path) -> None:
    table = patients()
    names = {f"t{j}{k}": (j, k) for j, k in combinations(range(4), 2)}
    blind = {name: list(folds) for name, folds in names.items()}
    blind["t13"] = [1]  # its encoder saw fold 3
    save_cache(
        tmp_path / "c.h5", table, dict.fromkeys(names, features(table)), n_folds=4,
        encoder_families=dict.fromkeys(names, "tuned"), blind_to=blind,
    )  # fmt: skip
    with pytest.raises(LeakageError, match="labels of folds 1, 3 of repeat 0"):
        nested(tmp_path / "c.h5", tmp_path / "searches", trials=1, heads=["logistic"])
    spec = StudySpec(tmp_path / "c.h5", "tuned", 1, "auc", None, without=(0, 0))
    assert len(spec.plan(open_cache(tmp_path / "c.h5")).scored) == 3  # fold 0 has what it needs


@pytest.mark.parametrize(
    ("n_folds", "without", "sentence"),
    [
        (2, (0, 0), "has a single one left, .*; make a cache with more: `lymphofeat extract --folds 5`"),
        (3, (0, 3), "no fold 3 of repeat 0"),
        (3, (10, 0), "no fold 0 of repeat 10"),
    ],
)
def test_folds_that_cannot_be_left_out(
    tmp_path: Path, n_folds: int, without: tuple[int, int], sentence: str
) -> None:
    cache = open_cache(frozen_cache(tmp_path / "c.h5", n_folds=n_folds))
    with pytest.raises(InputError, match=sentence):
        ScoringPlan.of(cache, "frozen", without=without)


def test_too_few_patients_to_leave_a_fold_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": list("abcdef"), "label": [0, 0, 1, 1, 1, 1], "age": rng.normal(60, 9, 6)})
    save_cache(
        tmp_path / "c.h5", table, {"e": {name: rng.normal(size=(3, 2)) for name in table["id"]}}, n_folds=2
    )
    with pytest.raises(
        InputError, match="three folds or more; the cohort has 2 reactive persons, which allows no more"
    ):
        ScoringPlan.of(open_cache(tmp_path / "c.h5"), "e", without=(0, 0))
