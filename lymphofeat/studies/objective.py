"""The score of a head: out-of-fold probabilities, honest thresholds, three metrics."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache as once
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from ..cache.reader import Cache
from ..heads.base import Head, Memo, fit_predict
from ..heads.cut import prior_cut, steady_cut
from ..statistics import METRICS, auc, balanced_accuracy, log_loss
from .plan import FoldPlan, ScoringPlan

__all__ = ["DIRECTIONS", "TrialScores", "decide", "one_thread", "score_head", "score_plan", "weighs_equally"]

Floats = NDArray[np.float64]

# Which way a metric is better, in Optuna's words.
DIRECTIONS: Mapping[str, Literal["maximize", "minimize"]] = {
    "balanced_accuracy": "maximize",
    "auc": "maximize",
    "log_loss": "minimize",
}


@dataclass(frozen=True)
class TrialScores:
    """What one head reached, measured on labelled patients by models that did not see them.

    Attributes:
        probabilities: (n, repeats) float64 of malignant, labelled patients in the cache's order.
        cuts: (repeats, K) float64, the threshold of each fold's model, K the folds of a repeat.
        inner: (repeats, K) bool; true where the cut was chosen on inner out-of-fold predictions, false where
            it is the prior of the training labels.
        folds: per metric, (repeats, K) float64 on the fold alone, NaN where it holds one class only.
        values: per metric, the score on all patients together, averaged over the repeats.
    """

    probabilities: Floats
    cuts: Floats
    inner: NDArray[np.bool_]
    folds: dict[str, Floats]
    values: dict[str, float]


def decide(probabilities: Floats, cuts: Floats, folds: NDArray[np.int8]) -> NDArray[np.bool_]:
    """(n, repeats) decisions for malignant: p ≥ the cut of the patient's fold.

    Args:
        probabilities: (n, repeats).
        cuts: (repeats, K), in the order of the sorted folds of a repeat.
        folds: (n, repeats).
    """
    decisions = np.empty(probabilities.shape, dtype=bool)
    for r in range(probabilities.shape[1]):
        position = np.searchsorted(np.unique(folds[:, r]), folds[:, r])
        decisions[:, r] = probabilities[:, r] >= cuts[r, position]
    return decisions


def score_head(
    cache: Cache, family: str, head: Head, repeats: int = 1, *, memo: Memo | None = None
) -> TrialScores:
    """Score a head on the encodings of `family`.

    Args:
        cache: a cache with labelled patients.
        family: whose encodings the head sees; every fold is predicted from one that is blind to it.
        head: unfitted; stays so.
        repeats: how many of the cache's drawings of folds to average over.
        memo: work kept from earlier calls with the same cache; for this call only by default.

    Raises:
        InputError, CacheError, LeakageError: as `ScoringPlan.of`.
    """
    return score_plan(ScoringPlan.of(cache, family, repeats), head, Memo() if memo is None else memo)


def score_plan(plan: ScoringPlan, head: Head, memo: Memo) -> TrialScores:
    """As `score_head`, for many heads on one plan. BLAS is held to one thread: the matrices are small."""
    with one_thread():
        predicted = fit_predict(head, plan.splits, plan.clinical, plan.labels, memo)
    balanced = weighs_equally(head)
    n_folds = len(plan.scored) // plan.repeats
    by_row = np.full((len(plan.labels), plan.repeats), np.nan)
    cuts = np.empty((plan.repeats, n_folds))
    folds = {metric: np.full(cuts.shape, np.nan) for metric in METRICS}
    for number, fold in enumerate(plan.scored):
        at = divmod(number, n_folds)
        rows, p = plan.splits[fold.outer].test, predicted[fold.outer]
        by_row[rows, fold.repeat] = p
        cuts[at] = _cut(plan, fold, predicted, balanced=balanced)
        labels = plan.labels[rows]
        if len(np.unique(labels)) == 2:
            for metric, value in _scores(labels, p, p >= cuts[at]).items():
                folds[metric][at] = value
    inner = np.array([fold.inner is not None for fold in plan.scored]).reshape(cuts.shape)
    probabilities = by_row[plan.labelled]
    decisions = decide(probabilities, cuts, plan.folds[plan.labelled])
    each = [_scores(plan.y, probabilities[:, r], decisions[:, r]) for r in range(plan.repeats)]
    values = {metric: float(np.mean([scores[metric] for scores in each])) for metric in METRICS}
    return TrialScores(probabilities, cuts, inner, folds, values)


def weighs_equally(head: Head) -> bool:
    """Whether the head's probabilities are those of equally frequent classes."""
    return bool(head.get_params().get("class_weight") == "balanced")


def _cut(plan: ScoringPlan, fold: FoldPlan, predicted: list[Floats], *, balanced: bool) -> float:
    """The fold's threshold, from its training patients alone."""
    prior = prior_cut(plan.labels[fold.train], balanced=balanced)
    if fold.inner is None:
        return prior
    inner = np.full(len(plan.labels), np.nan)
    for number in fold.inner:
        inner[plan.splits[number].test] = predicted[number]
    return steady_cut(plan.labels[fold.train], inner[fold.train], prior=prior)


def _scores(y: NDArray[np.int8], p: Floats, decision: NDArray[np.bool_]) -> dict[str, float]:
    return {
        "auc": auc(y, p),
        "balanced_accuracy": balanced_accuracy(y, decision),
        "log_loss": log_loss(y, p),
    }


def one_thread() -> AbstractContextManager[object]:
    """Hold BLAS and OpenMP to one thread inside the block."""
    limiter: AbstractContextManager[object] = _threads().limit(limits=1)
    return limiter


@once
def _threads() -> ThreadpoolController:
    # Finding the loaded BLAS libraries takes milliseconds; by now all of them are loaded.
    return ThreadpoolController()
