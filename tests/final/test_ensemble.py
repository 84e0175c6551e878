"""Ensembles: what greedy selection and the plain average take, and that nobody's label chooses for oneself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lymphofeat.cache import open_cache
from lymphofeat.errors import InputError
from lymphofeat.estimates.scores import balanced_accuracy_score, roc_auc_score
from lymphofeat.final import submit
from lymphofeat.final.ensemble import RULES, _Library, select_ensemble
from lymphofeat.final.refit import final_fits, fit_final, predict_final
from lymphofeat.metric import METRICS
from lymphofeat.scoring import one_standard_error_threshold, prevalence_threshold
from lymphofeat.scoring.score import TrialScores
from lymphofeat.studies import tune
from lymphofeat.studies.load import load_trials
from lymphofeat.studies.summary import TrialSummary

from ..helpers.caches import frozen_cache, tuned_cache

N, FOLDS = 60, 5
Y = (np.arange(N) % 2).astype(np.int8)
PARAMS = {
    "logistic": {"family": "logistic", "logistic.inputs": "clinical", "logistic.penalty": "l2", "logistic.C": 1.0,
                 "logistic.class_weight": None, "logistic.interaction": False, "logistic.spline": None},
    "lda": {"family": "lda", "lda.inputs": "clinical", "lda.auto": True, "lda.class_weight": None,
            "lda.interaction": False, "lda.spline": None},
}  # fmt: skip


def trial(number: int, p: np.ndarray, head_type: str = "logistic", threshold: float = 0.5) -> TrialSummary:
    """A trial with these (n, repeats) out-of-fold probabilities; folds of 12 patients, others in every repeat."""
    p = p if p.ndim == 2 else p[:, None]
    folds = np.stack([(np.arange(N) // 2 + r) % FOLDS for r in range(p.shape[1])], axis=1).astype(np.int8)
    shape = (p.shape[1], FOLDS)
    scores = TrialScores(p, np.full(shape, threshold), np.ones(shape, dtype=bool), {}, {})
    return TrialSummary(number, PARAMS[head_type], "clinical", scores, Y, folds)


def noise(seed: int, signal: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 1 / (1 + np.exp(-(signal * (2 * Y - 1) + rng.normal(size=N))))


def test_two_that_complete_one_another_are_both_taken_and_beat_either() -> None:
    wrong = 0.45 * np.ones(N)
    first, second = np.where(np.arange(N) % 4 < 2, Y, wrong), np.where(np.arange(N) % 4 < 2, wrong, Y)
    found = select_ensemble([trial(0, first), trial(1, second), trial(2, 0.5 * np.ones(N))], "auc", 2)
    greedy = next(choice for choice in found.choices if choice.rule == "greedy")
    single = next(choice for choice in found.choices if choice.rule == "single")
    assert greedy.weights == {0: 0.5, 1: 0.5}
    assert greedy.selected.value == 1.0 > single.selected.value
    assert (found.rule, found.nested.value) == ("greedy", 1.0)
    np.testing.assert_array_equal(found.probabilities[:, 0], (first + second) / 2)


def test_greedy_selection_is_the_plain_algorithm() -> None:
    trials = [trial(i, noise(i, 0.6)) for i in range(7)]
    p = np.stack([noise(i, 0.6) for i in range(7)])
    order = sorted(range(7), key=lambda i: (-roc_auc_score(Y, p[i]), i))
    taken: list[int] = []
    for _ in range(6):
        values = [(roc_auc_score(Y, p[[*taken, i]].mean(axis=0)), -order.index(i), i) for i in order]
        taken.append(max(values)[2])
    weights = {i: taken.count(i) / 6 for i in set(taken)}
    greedy = next(c for c in select_ensemble(trials, "auc", 6).choices if c.rule == "greedy")
    assert greedy.weights == pytest.approx(weights)


def test_the_plain_average_takes_the_best_of_each_head_type() -> None:
    trials = [trial(0, noise(0, 0.2)), trial(1, noise(1, 1.5)), trial(2, noise(2, 1.0), "lda")]
    head_types = next(c for c in select_ensemble(trials, "auc", 5).choices if c.rule == "head types")
    assert head_types.weights == {1: 0.5, 2: 0.5}
    one = next(c for c in select_ensemble(trials, "auc", 1).choices if c.rule == "head types")
    assert one.weights == {1: 1.0}


@pytest.mark.parametrize("metric", METRICS)
def test_labels_of_a_fold_do_not_choose_for_it(metric: str) -> None:
    """Every patient of a fold may have any label: what predicts the fold stays the same."""
    trials = [trial(i, noise(i, 0.5), ("logistic", "lda")[i % 2]) for i in range(8)]
    changed = Y.copy()
    held = trials[0].folds[:, 0] == 2
    changed[held] = 1 - changed[held]
    for rule in (*RULES.values(), lambda one, rows: RULES[one.better(rows)](one, rows)):
        p, decisions = _Library(trials, metric, 4).nested(rule)
        q, others = _Library([replace(t, y=changed) for t in trials], metric, 4).nested(rule)
        np.testing.assert_array_equal(p[held], q[held])
        np.testing.assert_array_equal(decisions[held], others[held])


def test_nested_selection_among_noise_finds_noise() -> None:
    """Of 60 trials without signal, the selected score is far above 0.5, the nested one is not."""
    trials = [trial(i, noise(100 + i, 0.0)) for i in range(60)]
    found = select_ensemble(trials, "auc", 10)
    greedy = next(c for c in found.choices if c.rule == "greedy")
    assert greedy.selected.low > 0.55
    assert abs(greedy.nested.value - 0.5) < 0.15
    assert abs(found.nested.value - 0.5) < 0.15


def test_a_score_that_is_lost_is_better_when_it_is_small() -> None:
    trials = [trial(0, noise(0, 0.1)), trial(1, noise(1, 2.0))]
    assert select_ensemble(trials, "log_loss", 3).choices[0].weights == {1: 1.0}


def test_of_one_trial_the_ensemble_is_the_trial() -> None:
    one = trial(3, np.stack([noise(0, 1.0), noise(1, 1.0)], axis=1), threshold=0.4)
    found = select_ensemble([one], "balanced_accuracy", 5)
    assert found.members == ((one, 1.0),)
    assert found.threshold == one.threshold
    np.testing.assert_array_equal(found.decisions, one.decisions)
    value = np.mean([balanced_accuracy_score(Y, d) for d in one.decisions.T])
    assert found.nested.value == pytest.approx(value)
    assert (found.difference.low, found.difference.high) == (0, 0)


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 member, not 0"):
        select_ensemble([trial(0, noise(0, 1.0))], "auc", 0)


@pytest.mark.parametrize("kind", ["frozen", "tuned"])
def test_a_submission_averages_the_members_refitted(tmp_path: Path, kind: str) -> None:
    make = frozen_cache if kind == "frozen" else lambda path: tuned_cache(path, pairs=True)
    path, study = make(tmp_path / "c.h5"), tmp_path / "s.db"
    tune(path, study, n_trials=8, heads=["lda", "logistic"])
    summary = submit(path, study, tmp_path / "sub.csv", ensemble=3)
    cache, found = open_cache(path), summary.ensemble
    assert found is not None
    test = np.flatnonzero(cache.patients["split"] == "test")
    fits = final_fits(cache, summary.study.encoding)
    assert summary.n_models == len(fits) == (1 if kind == "frozen" else 4)
    each = [
        weight * predict_final(cache, fits, fit_final(cache, fits, [(one.params, 1.0)]), test)
        for one, weight in found.members
    ]
    np.testing.assert_allclose(summary.probabilities, np.sum(each, axis=0), atol=1e-12)
    numbers = {one.number for one in load_trials(study)}
    assert {one.number for one, _ in found.members} <= numbers
    assert sum(weight for _, weight in found.members) == pytest.approx(1)
    prior = prevalence_threshold(found.members[0][0].y)
    if all(v is None for one, _ in found.members for k, v in one.params.items() if "class_weight" in k):
        y = found.members[0][0].y
        assert summary.threshold == pytest.approx(
            one_standard_error_threshold(y, found.probabilities[:, 0], prior=prior)
        )
