"""The score of a head: out-of-fold probabilities, honest thresholds, and the metrics of them.

The models of the outer folds are fitted first, those behind the thresholds after them, so that who watches the folds
may prune a head before most of the work is done.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cache.reader import Cache
from ..estimates.scores import ClassWeights, score
from ..metric import METRICS
from ..parallel import one_thread
from .plan import FoldPlan, ScoringPlan
from .threshold import one_standard_error_threshold, prevalence_threshold

if TYPE_CHECKING:  # heads need scikit-learn, and reading scores does not
    from ..heads.base import FitCache, Head

__all__ = [
    "TrialScores",
    "Watch",
    "decide",
    "inner_probabilities",
    "score_head",
    "score_plan",
    "scores_of",
    "weighs_equally",
]

Floats = NDArray[np.float64]

# Told of each fold's number in `ScoringPlan.scored` and of its probabilities, in this order; to stop the scoring, it
# raises.
Watch = Callable[[int, Floats], None]


@dataclass(frozen=True)
class TrialScores:
    """What one head reached, measured on labelled patients by models that did not see them.

    Attributes:
        probabilities: (n, repeats) float64 of malignant, labelled patients in the cache's order.
        thresholds: (repeats, K) float64, the threshold of each fold's model, K the folds of a repeat.
        inner: (repeats, K) bool; true where the threshold was chosen on inner out-of-fold predictions, false where
            it is the prior of the training labels.
        folds: per metric, (repeats, K) float64 on the fold alone, NaN where it holds one class only.
        values: per metric, the score on all patients together, averaged over the repeats.
    """

    probabilities: Floats
    thresholds: Floats
    inner: NDArray[np.bool_]
    folds: dict[str, Floats]
    values: dict[str, float]

    def __repr__(self) -> str:
        n, repeats = self.probabilities.shape
        values = ", ".join(f"{metric} {value:.3f}" for metric, value in self.values.items())
        return f"<TrialScores of {n} patients, {repeats} × {self.thresholds.shape[1]} folds: {values}>"


def decide(probabilities: Floats, thresholds: Floats, folds: NDArray[np.int8]) -> NDArray[np.bool_]:
    """(n, repeats) decisions for malignant: p ≥ the threshold of the patient's fold.

    Args:
        probabilities: (n, repeats).
        thresholds: (repeats, K), in the order of the sorted folds of a repeat.
        folds: (n, repeats).
    """
    decisions = np.empty(probabilities.shape, dtype=bool)
    for r in range(probabilities.shape[1]):
        position = np.searchsorted(np.unique(folds[:, r]), folds[:, r])
        decisions[:, r] = probabilities[:, r] >= thresholds[r, position]
    return decisions


def score_head(
    cache: Cache,
    encoder_family: str,
    head: "Head",
    repeats: int = 1,
    *,
    fit_cache: "FitCache | None" = None,
    class_weights: ClassWeights = None,
) -> TrialScores:
    """Score a head on the encodings of `encoder_family`.

    Args:
        cache: a cache with labelled patients.
        encoder_family: whose encodings the head sees; every fold is predicted from one that is blind to it.
        head: unfitted; stays so.
        repeats: how many of the cache's repeats of folds to average over.
        fit_cache: work kept from earlier calls with the same cache; for this call only by default.
        class_weights: of a reactive and of a malignant patient, in balanced accuracy and in choosing thresholds.

    Raises:
        InputError, CacheError, LeakageError: as `ScoringPlan.of`.
    """
    from ..heads.base import FitCache

    plan = ScoringPlan.of(cache, encoder_family, repeats)
    return score_plan(plan, head, FitCache() if fit_cache is None else fit_cache, class_weights)


def score_plan(
    plan: ScoringPlan,
    head: "Head",
    fit_cache: "FitCache",
    class_weights: ClassWeights = None,
    watch: Watch | None = None,
) -> TrialScores:
    """As `score_head`, for many heads on one plan. BLAS is held to one thread: the matrices are small.

    With `watch`, the folds are shown to it as soon as they are predicted: one after the other, or the outer folds of
    all repeats together where the head shares their work.
    """
    with one_thread():
        predicted = _predicted(plan, head, fit_cache, watch)
    balanced = weighs_equally(head)
    n_folds = len(plan.scored) // plan.repeats
    by_row = np.full((len(plan.labels), plan.repeats), np.nan)
    thresholds = np.empty((plan.repeats, n_folds))
    folds = {metric: np.full(thresholds.shape, np.nan) for metric in METRICS}
    for number, fold in enumerate(plan.scored):
        at = divmod(number, n_folds)
        rows, p = plan.splits[fold.outer].test, predicted[fold.outer]
        by_row[rows, fold.repeat] = p
        thresholds[at] = _threshold(plan, fold, predicted, class_weights, balanced=balanced)
        labels = plan.labels[rows]
        if len(np.unique(labels)) == 2:
            for metric, value in scores_of(labels, p, p >= thresholds[at], class_weights).items():
                folds[metric][at] = value
    inner = np.array([fold.inner is not None for fold in plan.scored]).reshape(thresholds.shape)
    probabilities = by_row[plan.labelled]
    decisions = decide(probabilities, thresholds, plan.folds[plan.labelled])
    each = [
        scores_of(plan.y, probabilities[:, r], decisions[:, r], class_weights) for r in range(plan.repeats)
    ]
    values = {metric: float(np.mean([scores[metric] for scores in each])) for metric in METRICS}
    return TrialScores(probabilities, thresholds, inner, folds, values)


def inner_probabilities(plan: ScoringPlan, head: "Head", fit_cache: "FitCache") -> list[Floats | None]:
    """For each fold of `plan.scored`, what its training patients get from models that saw neither them nor the fold.

    Returns:
        (n_patients,) float64 out-of-fold probabilities each, NaN for whom the fold does not train on; None where an
        encoding or a class is lacking for one of the models.
    """
    from ..heads.base import fit_predict

    numbers = sorted({number for fold in plan.scored for number in fold.inner or ()})
    splits = [plan.splits[number] for number in numbers]
    with one_thread():
        each = fit_predict(head, splits, plan.clinical, plan.labels, fit_cache)
    predicted = dict(zip(numbers, each, strict=True))
    return [None if fold.inner is None else _inner(plan, fold, predicted) for fold in plan.scored]


def _predicted(
    plan: ScoringPlan, head: "Head", fit_cache: "FitCache", watch: Watch | None
) -> dict[int, Floats]:
    """Per split of the plan, its probabilities."""
    from ..heads.base import BatchFit, fit_predict

    predicted: dict[int, Floats] = {}

    def fit(numbers: Sequence[int]) -> None:
        splits = [plan.splits[number] for number in numbers]
        predicted.update(
            zip(numbers, fit_predict(head, splits, plan.clinical, plan.labels, fit_cache), strict=True)
        )

    if watch is None:
        fit(range(len(plan.splits)))
        return predicted
    outer = [fold.outer for fold in plan.scored]
    if isinstance(head, BatchFit):
        fit(outer)
    for number, split in enumerate(outer):
        if split not in predicted:
            fit([split])
        watch(number, predicted[split])
    fit([number for number in range(len(plan.splits)) if number not in predicted])
    return predicted


def weighs_equally(head: "Head") -> bool:
    """Whether the head's probabilities are those of equally frequent classes."""
    return bool(getattr(head, "class_weight", None) == "balanced")


def _threshold(
    plan: ScoringPlan,
    fold: FoldPlan,
    predicted: Mapping[int, Floats],
    class_weights: ClassWeights,
    *,
    balanced: bool,
) -> float:
    """The fold's threshold, from its training patients alone."""
    prior = prevalence_threshold(plan.labels[fold.train], balanced=balanced, class_weights=class_weights)
    if fold.inner is None:
        return prior
    inner = _inner(plan, fold, predicted)
    return one_standard_error_threshold(
        plan.labels[fold.train], inner[fold.train], prior=prior, class_weights=class_weights
    )


def _inner(plan: ScoringPlan, fold: FoldPlan, predicted: Mapping[int, Floats]) -> Floats:
    inner = np.full(len(plan.labels), np.nan)
    for number in fold.inner or ():
        inner[plan.splits[number].test] = predicted[number]
    inner[plan.splits[fold.outer].test] = np.nan  # whom these models have not seen either
    return inner


def scores_of(
    y: NDArray[np.int8], p: Floats, decision: NDArray[np.bool_], class_weights: ClassWeights
) -> dict[str, float]:
    """Every metric of predictions: labels, probabilities and decisions of n patients, (n,) each."""
    return {
        name: score(name, y, metric.judged(p, decision), class_weights) for name, metric in METRICS.items()
    }
