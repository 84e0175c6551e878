"""Hopeless heads are stopped, others are not, and what is stopped is told from what is not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.heads import base
from lymphofeat.scoring.plan import ScoringPlan
from lymphofeat.studies import load_study, tune
from lymphofeat.studies.evaluate import Evaluator, StudySpec, TrialTask
from lymphofeat.studies.pruning import FoldPruner, Incumbent, TrialPruned
from lymphofeat.studies.space import Space
from lymphofeat.studies.store import open_store

from ..helpers.caches import features, frozen_cache, patients


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("cache") / "c.h5", n=80)


@pytest.fixture(scope="module")
def plan(cache: Path) -> ScoringPlan:
    return ScoringPlan.of(open_cache(cache), "frozen", 2)


def noisy(y: np.ndarray, strength: float, seed: int) -> np.ndarray:
    logit = strength * (2 * y - 1) + np.random.default_rng(seed).normal(size=len(y))
    return np.asarray(1 / (1 + np.exp(-logit)))


def watched(plan: ScoringPlan, metric: str, own: np.ndarray, incumbent: np.ndarray) -> tuple[int, bool]:
    """How many folds were looked at, and whether it was stopped."""
    pruner = FoldPruner(plan, metric, None, Incumbent(incumbent, balanced=False), balanced=False)
    by_row = np.full(len(plan.labels), np.nan)
    by_row[plan.labelled] = own
    for number, fold in enumerate(plan.scored):
        try:
            pruner(number, by_row[plan.splits[fold.outer].test])
        except TrialPruned:
            return max(pruner.steps), True
    return max(pruner.steps), False


@pytest.mark.parametrize("metric", ["balanced_accuracy", "auc", "average_precision", "log_loss", "brier"])
def test_only_hopeless_trials_are_pruned(plan: ScoringPlan, metric: str) -> None:
    good = noisy(plan.y, 1.5, 0)
    folds, stopped = watched(plan, metric, noisy(plan.y, -1.0, 1), good)
    assert stopped
    assert folds < 5
    assert watched(plan, metric, good, good) == (5, False)
    equals = [watched(plan, metric, noisy(plan.y, 1.5, seed), good) for seed in range(1, 21)]
    assert sum(stopped for _, stopped in equals) <= 2  # as good as the incumbent, on average
    better = [watched(plan, metric, noisy(plan.y, 4.0, seed), good) for seed in range(1, 21)]
    assert not any(stopped for _, stopped in better)


def test_nothing_is_said_of_one_fold_or_of_one_class(plan: ScoringPlan) -> None:
    incumbent = Incumbent(noisy(plan.y, 1.5, 0), balanced=False)
    pruner = FoldPruner(plan, "auc", None, incumbent, balanced=False)
    rows = plan.splits[plan.scored[0].outer].test
    pruner(0, 1.0 - plan.labels[rows])  # as wrong as can be
    assert pruner.steps == {}


def test_probabilities_of_heads_that_weigh_the_classes_equally_are_cut_at_one_half(plan: ScoringPlan) -> None:
    y = plan.y
    share = float(y.mean())
    p = np.clip(noisy(y, 1.5, 0), 1e-3, 1 - 1e-3)
    odds = p / (1 - p) * (1 - share) / share
    equal = odds / (1 + odds)
    plain, balanced = (
        FoldPruner(plan, "balanced_accuracy", None, Incumbent(p, balanced=False), balanced=flag)
        for flag in (False, True)
    )
    by_row = np.full((2, len(plan.labels)), np.nan)
    by_row[:, plan.labelled] = p, equal
    for number, fold in enumerate(plan.scored[:3]):
        rows = plan.splits[fold.outer].test
        plain(number, by_row[0, rows])
        balanced(number, by_row[1, rows])
    assert plain.steps == pytest.approx(balanced.steps, abs=0.1)
    assert set(plain.steps) == {2, 3}


def test_a_stopped_task_fits_no_inner_folds(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = StudySpec(cache, "frozen", 1, "auc", None)
    params = Space.of(["xgboost"]).default_params()[0]
    y = open_cache(cache).labels
    perfect = Incumbent(np.clip(y[y >= 0].astype(float), 0.01, 0.99), balanced=False)
    asked: list[int] = []
    fit_predict = base.fit_predict

    def counted(head: Any, splits: Any, *rest: Any) -> Any:
        asked.append(len(splits))
        return fit_predict(head, splits, *rest)

    monkeypatch.setattr(base, "fit_predict", counted)
    evaluator = Evaluator()
    stopped = evaluator(TrialTask(spec, 3, params, perfect))
    assert (stopped.number, stopped.pruned, stopped.attrs) == (3, True, {})
    assert stopped.value == stopped.steps[max(stopped.steps)] < 1.0
    assert sum(asked) <= 5
    whole = evaluator(TrialTask(spec, 4, params, None))
    assert not whole.pruned
    assert whole.steps == {}
    quick = evaluator(TrialTask(spec, 5, Space.of(["logistic"]).default_params()[1], perfect))
    assert not quick.pruned  # stopping it would save nothing
    assert quick.steps == {}


def test_a_pruned_trial_is_a_finished_one(tmp_path: Path) -> None:
    table = patients(80, signal=3.0)  # clinical values tell, images do not
    save_cache(tmp_path / "c.h5", table, {"frozen": features(table, signal=0.0)})
    study = tmp_path / "s.db"
    summary = tune(tmp_path / "c.h5", study, n_trials=24, heads=("logistic", "instances"), metric="auc")
    assert summary.n_trials == 24
    assert summary.n_pruned > 0
    with open_store(study) as store:
        for row in summary.rows:
            assert row.pruned == ("oof" not in store.attrs(row))
            if row.pruned:
                assert row.number >= 8  # those of the first batch have no incumbent
                assert row.params["family"] == "instances"
                assert row.value == row.steps[max(row.steps)] < summary.best.scores.values["auc"]
    board = {entry.head_type: entry for entry in summary.leaderboard}
    assert board["instances"].n_pruned == summary.n_pruned
    assert board["instances"].n_trials > summary.n_pruned
    assert load_study(study).rows == summary.rows


def test_a_pruner_needs_an_incumbent(cache: Path) -> None:
    result = Evaluator()(
        TrialTask(
            StudySpec(cache, "frozen", 1, "auc", None), 0, Space.of(["instances"]).default_params()[0], None
        )
    )
    assert result.steps == {}
