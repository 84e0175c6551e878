"""Scores against the plain double loop, and that no fold is scored by what has seen it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)

from lymphofeat.cache import Bags, Cache, open_cache, save_cache
from lymphofeat.errors import InputError, LeakageError
from lymphofeat.estimates.scores import ClassWeights
from lymphofeat.heads import FitCache, Head, Logistic, pooled
from lymphofeat.heads.neural import DeepSets
from lymphofeat.scoring import one_standard_error_threshold, prevalence_threshold
from lymphofeat.scoring.plan import ScoringPlan
from lymphofeat.scoring.score import TrialScores, decide, score_head, score_plan
from lymphofeat.studies.record import scores_from_attrs, scores_to_attrs

from ..helpers.caches import features, frozen_cache, patients, relabelled, tuned_cache

HEADS = [
    pooled(Logistic),
    pooled(Logistic, inputs="image", pooling="max", scale=False, pca=3, C=10.0, class_weight="balanced"),
    pooled(Logistic, inputs="clinical", C=0.1),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return open_cache(frozen_cache(tmp_path_factory.mktemp("frozen") / "c.h5"))


def naive(
    cache: Cache, head: Any, repeats: int, weights: ClassWeights = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, decisions and thresholds by the definition: a fresh model for every (fold, inner fold)."""
    bags, rows = cache.bags("frozen"), np.flatnonzero(cache.labels >= 0)
    y = cache.labels

    def predict(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        model = clone(head).fit(bags.select(train), cache.patients.iloc[train], y[train])
        return model.predict_proba(bags.select(test), cache.patients.iloc[test])[:, 1]

    p = np.full((len(y), repeats), np.nan)
    decisions, thresholds = np.zeros_like(p, dtype=bool), np.zeros((repeats, 5))
    for r in range(repeats):
        fold_of = cache.folds[:, r]
        for k in range(5):
            train, test = rows[fold_of[rows] != k], rows[fold_of[rows] == k]
            inner = np.full(len(y), np.nan)
            for j in set(range(5)) - {k}:
                inner[train[fold_of[train] == j]] = predict(
                    train[fold_of[train] != j], train[fold_of[train] == j]
                )
            balanced = head.class_weight == "balanced"
            prior = prevalence_threshold(y[train], balanced=balanced, class_weights=weights)
            thresholds[r, k] = one_standard_error_threshold(
                y[train], inner[train], prior=prior, class_weights=weights
            )
            p[test, r] = predict(train, test)
            decisions[test, r] = p[test, r] >= thresholds[r, k]
    return p[rows], decisions[rows], thresholds


@pytest.mark.parametrize("head", HEADS, ids=["both", "image", "clinical"])
def test_equals_the_plain_double_loop(cache: Cache, head: Head) -> None:
    scores = score_head(cache, "frozen", head, repeats=2)
    p, decisions, thresholds = naive(cache, head, 2)
    y = cache.labels[cache.labels >= 0]
    folds = cache.folds[cache.labels >= 0, :2]
    np.testing.assert_allclose(scores.probabilities, p, atol=1e-10)
    np.testing.assert_allclose(scores.thresholds, thresholds, atol=1e-10)
    assert scores.inner.all()
    np.testing.assert_array_equal(decide(scores.probabilities, scores.thresholds, folds), decisions)
    expected = {
        "auc": np.mean([roc_auc_score(y, p[:, r]) for r in range(2)]),
        "balanced_accuracy": np.mean([balanced_accuracy_score(y, decisions[:, r]) for r in range(2)]),
        "average_precision": np.mean([average_precision_score(y, p[:, r]) for r in range(2)]),
        "log_loss": np.mean([log_loss(y, p[:, r]) for r in range(2)]),
        "brier": np.mean([brier_score_loss(y, p[:, r]) for r in range(2)]),
    }
    assert scores.values == pytest.approx(expected, abs=1e-9)
    third = folds[:, 1] == 3
    assert scores.folds["auc"][1, 3] == pytest.approx(roc_auc_score(y[third], p[third, 1]))


@pytest.mark.parametrize("head", HEADS, ids=["both", "image", "clinical"])
def test_class_weights_from_outside_decide_cut_and_score(cache: Cache, head: Head) -> None:
    scores = score_head(cache, "frozen", head, class_weights=(1.0, 4.0))
    p, decisions, thresholds = naive(cache, head, 1, (1.0, 4.0))
    y = cache.labels[cache.labels >= 0]
    np.testing.assert_allclose(scores.thresholds, thresholds, atol=1e-10)
    expected = accuracy_score(y, decisions[:, 0], sample_weight=np.where(y == 1, 4.0, 1.0))
    assert scores.values["balanced_accuracy"] == pytest.approx(expected)
    assert scores.values["auc"] == pytest.approx(roc_auc_score(y, p[:, 0]))


class Stop(Exception):
    """Raised by a watch."""


@pytest.mark.parametrize("head", [HEADS[0], "plain", DeepSets(epochs=2, pca=4, hidden=4)], ids=str)
def test_who_watches_sees_every_fold_and_changes_nothing(cache: Cache, head: Any) -> None:
    head = Plain() if head == "plain" else head
    plan = ScoringPlan.of(cache, "frozen", 2)
    seen: list[tuple[int, np.ndarray]] = []
    watched = score_plan(plan, head, FitCache(), watch=lambda number, p: seen.append((number, p)))
    unwatched = score_plan(plan, head, FitCache())
    np.testing.assert_array_equal(watched.probabilities, unwatched.probabilities)
    np.testing.assert_array_equal(watched.thresholds, unwatched.thresholds)
    assert [number for number, _ in seen] == list(range(10))
    for (_, p), fold in zip(seen, plan.scored, strict=True):
        rows = np.searchsorted(plan.labelled, plan.splits[fold.outer].test)
        np.testing.assert_array_equal(p, watched.probabilities[rows, fold.repeat])


def test_who_watches_can_stop_before_the_inner_folds(cache: Cache) -> None:
    plan = ScoringPlan.of(cache, "frozen")
    Plain.fits = 0

    def watch(number: int, _: np.ndarray) -> None:
        if number == 2:
            raise Stop

    with pytest.raises(Stop):
        score_plan(plan, Plain(), FitCache(), watch=watch)
    assert Plain.fits == 3


def test_a_fit_cache_shared_by_many_heads_changes_nothing(cache: Cache) -> None:
    fit_cache = FitCache()
    for head in HEADS * 2:
        shared, alone = (
            score_head(cache, "frozen", head, fit_cache=fit_cache),
            score_head(cache, "frozen", head),
        )
        np.testing.assert_array_equal(shared.probabilities, alone.probabilities)
        np.testing.assert_array_equal(shared.thresholds, alone.thresholds)


class Plain(ClassifierMixin, BaseEstimator):
    """The mean of the first feature, squeezed: a head that shares no work between splits; counts its fits."""

    fits = 0

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: np.ndarray) -> "Plain":
        Plain.fits += 1
        self.middle_ = float(np.mean([bag[:, 0].mean() for bag in bags]))
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> np.ndarray:
        p = 1 / (1 + np.exp(self.middle_ - np.array([bag[:, 0].mean() for bag in bags])))
        return np.stack([1 - p, p], axis=1)


class Spy(ClassifierMixin, BaseEstimator):
    """Predicts one half, and notes which features and labels each fit was given; patients by their counts."""

    seen: list[dict[str, Any]]

    def __init__(self, log: Any = None) -> None:
        self.log = log

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: np.ndarray) -> "Spy":
        self.entry_ = {"features": bags.features, "train": list(clinical["lymphocyte_count"]), "y": y.copy()}
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> np.ndarray:
        assert bags.features is self.entry_["features"]
        Spy.seen.append(self.entry_ | {"test": list(clinical["lymphocyte_count"])})
        return np.full((len(bags), 2), 0.5)


def spied(cache: Cache, encoder_family: str) -> Iterator[tuple[str, set[int], dict[str, Any]]]:
    """Per fit: the encoding's name, the folds of the patients that were predicted, and the note."""
    Spy.seen = []
    score_head(cache, encoder_family, Spy())
    fold = dict(zip(cache.patients["lymphocyte_count"], cache.folds[:, 0], strict=True))
    for entry in Spy.seen:
        name = next(n for n, e in cache.encodings.items() if e.features is entry["features"])
        yield name, {int(fold[i]) for i in entry["test"]}, entry


@pytest.mark.parametrize("pairs", [True, False])
def test_every_fold_is_predicted_from_an_encoding_that_is_blind_to_it(tmp_path: Path, *, pairs: bool) -> None:
    cache = open_cache(tuned_cache(tmp_path / "c.h5", pairs=pairs))
    label = dict(zip(cache.patients["lymphocyte_count"], cache.labels, strict=True))
    fold = dict(zip(cache.patients["lymphocyte_count"], cache.folds[:, 0], strict=True))
    fits = list(spied(cache, "tuned"))
    assert len(fits) == (4 + 6 if pairs else 4)
    for name, predicted, entry in fits:
        blind_to = cache.encodings[name].blind_to
        assert blind_to is not None
        assert predicted <= blind_to
        assert not predicted & {int(fold[i]) for i in entry["train"]}
        assert list(entry["y"]) == [label[i] for i in entry["train"]]
        assert set(entry["y"]) == {0, 1}


def test_without_pair_encodings_the_cut_is_the_prior_and_said_so(tmp_path: Path) -> None:
    cache = open_cache(tuned_cache(tmp_path / "c.h5", pairs=False))
    y, fold_of = cache.labels[cache.labels >= 0], cache.folds[cache.labels >= 0, 0]
    scores = score_head(cache, "tuned", pooled(Logistic))
    assert not scores.inner.any()
    np.testing.assert_allclose(
        scores.thresholds[0], [prevalence_threshold(y[fold_of != k]) for k in range(4)]
    )
    balanced = score_head(cache, "tuned", pooled(Logistic, class_weight="balanced"))
    np.testing.assert_array_equal(balanced.thresholds, np.full((1, 4), 0.5))
    nested = open_cache(tuned_cache(tmp_path / "n.h5", pairs=True))
    assert score_head(nested, "tuned", pooled(Logistic)).inner.all()


def test_an_encoder_trained_on_other_folds_is_refused(tmp_path: Path) -> None:
    cache = open_cache(tuned_cache(tmp_path / "c.h5", pairs=True))
    with pytest.raises(LeakageError, match="repeat 1"):
        score_head(cache, "tuned", pooled(Logistic), repeats=2)
    table = patients()
    save_cache(tmp_path / "one.h5", table, {"all": features(table)}, blind_to={"all": [0, 1]})
    with pytest.raises(LeakageError, match="fold 2"):
        score_head(open_cache(tmp_path / "one.h5"), "all", pooled(Logistic))


def test_labels_of_test_patients_are_never_used(cache: Cache) -> None:
    test = (cache.patients["split"] == "test").to_numpy()
    for label in (0, 1):
        leaked = relabelled(cache, np.where(test, label, cache.labels))
        plan, honest = ScoringPlan.of(leaked, "frozen"), ScoringPlan.of(cache, "frozen")
        np.testing.assert_array_equal(plan.labels, honest.labels)
        for one, other in zip(plan.splits, honest.splits, strict=True):
            np.testing.assert_array_equal(one.train, other.train)
            assert not test[one.train].any()
        scores = score_head(leaked, "frozen", pooled(Logistic))
        np.testing.assert_array_equal(
            scores.probabilities, score_head(cache, "frozen", pooled(Logistic)).probabilities
        )


def test_permuted_labels_give_chance(tmp_path: Path) -> None:
    # Labels are shuffled before the folds are made, as a permutation test of the whole way must: folds that
    # are not stratified by the shuffled labels would push pooled AUCs below one half.
    table = patients()
    fixed, train = features(table), table["label"].to_numpy() >= 0
    values: list[dict[str, float]] = []
    for seed in range(24):
        shuffled = table["label"].to_numpy().copy()
        shuffled[train] = np.random.default_rng(seed).permutation(shuffled[train])
        save_cache(tmp_path / f"{seed}.h5", table.assign(label=shuffled), {"frozen": fixed}, n_repeats=1)
        values.append(score_head(open_cache(tmp_path / f"{seed}.h5"), "frozen", pooled(Logistic)).values)
    save_cache(tmp_path / "true.h5", table, {"frozen": fixed}, n_repeats=1)
    assert score_head(open_cache(tmp_path / "true.h5"), "frozen", pooled(Logistic)).values["auc"] > 0.75
    for metric in ("auc", "balanced_accuracy"):
        assert np.mean([v[metric] for v in values]) == pytest.approx(0.5, abs=0.07), metric


def test_two_folds_leave_nothing_for_an_inner_cut(tmp_path: Path) -> None:
    cache = open_cache(frozen_cache(tmp_path / "c.h5", n_folds=2))
    assert not score_head(cache, "frozen", pooled(Logistic)).inner.any()


def test_a_training_part_of_one_class_gets_a_sentence(cache: Cache) -> None:
    folds = cache.folds.copy()
    folds[:, 0] = np.where(cache.labels < 0, -1, cache.labels)
    with pytest.raises(
        InputError, match="Without fold 0 of repeat 0, the patients left to train on lack a class"
    ):
        ScoringPlan.of(replace(cache, tables=replace(cache.tables, folds=folds)), "frozen")
    one = relabelled(cache, np.where(cache.labels < 0, -1, 1))
    with pytest.raises(InputError, match="no labelled reactive patient"):
        ScoringPlan.of(one, "frozen")
    with pytest.raises(InputError, match="between 1 and that many repeats can be scored, not 11"):
        ScoringPlan.of(cache, "frozen", 11)


def test_scores_survive_json_bit_by_bit() -> None:
    import json

    rng = np.random.default_rng(0)
    scores = TrialScores(
        rng.random((7, 2)), rng.random((2, 3)), rng.random((2, 3)) > 0.5,
        {"auc": np.array([[0.1, np.nan, 1 / 3], [0.5, 0.2, 0.3]])}, {"auc": 2 / 3},
    )  # fmt: skip
    back = scores_from_attrs(json.loads(json.dumps(scores_to_attrs(scores), allow_nan=False)))
    np.testing.assert_array_equal(back.probabilities, scores.probabilities)
    np.testing.assert_array_equal(back.thresholds, scores.thresholds)
    np.testing.assert_array_equal(back.inner, scores.inner)
    np.testing.assert_array_equal(back.folds["auc"], scores.folds["auc"])
    assert back.values == scores.values
