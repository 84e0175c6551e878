"""Scores over patients and their uncertainty: five metrics and their bootstrap intervals.

Each score is a function of the patients' weights, so all resamples of it are a few array operations. The resamples and
the intervals are those of `bootstrap`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..metric import METRICS, find_metric
from ._checks import Floats, Labels
from .bootstrap import Resampled, Weighted, resample
from .intervals import Interval, Unseen, unseen
from .persons import Persons

__all__ = [
    "ClassWeights",
    "Interval",
    "average_precision_score",
    "balanced_accuracy_score",
    "bootstrap",
    "brier_loss",
    "judged",
    "log_loss",
    "mean_of",
    "roc_auc_score",
    "score",
    "unseen_of",
    "weighted_score",
]

# What a reactive and what a malignant patient weighs in the accuracy, from outside; None: such that both classes
# weigh the same.
ClassWeights = tuple[float, float] | None


def roc_auc_score(y: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve: the share of (malignant, reactive) pairs ordered rightly, ties as half.

    Args:
        y: (n,) labels 0 and 1, both present.
        score: (n,) floats, larger for label 1; infinite values are allowed.

    Raises:
        InputError: another label, a class without patients, a NaN, or lengths that differ.
    """
    labels, scores = _checked(y, score, "auc")
    return float(_auc(labels, scores, _once(labels))[0])


def balanced_accuracy_score(y: ArrayLike, decision: ArrayLike, class_weights: ClassWeights = None) -> float:
    """Mean of sensitivity and specificity, or the accuracy under class weights.

    With weights (u, v) it is Σ wᵢ [decision right] / Σ wᵢ, wᵢ = u for a reactive patient and v for a malignant one.
    Leaderboards compute balanced accuracy so: weights that balance the classes of all test patients are fixed once
    and stay the same for any part of them. On patients of which shares are as those behind the weights, the two are
    equal.

    Args:
        y: (n,) labels 0 and 1, both present.
        decision: (n,) decisions 0 and 1.
        class_weights: of a reactive and of a malignant patient, both above 0.

    Raises:
        InputError: as for `roc_auc_score`, a decision that is neither 0 nor 1, or weights that are not above 0.
    """
    return score("balanced_accuracy", y, decision, class_weights)


def average_precision_score(y: ArrayLike, score: ArrayLike) -> float:
    """Average precision, Σ (Rₖ − Rₖ₋₁) Pₖ over the distinct scores from the largest down, ties together.

    Args:
        y: (n,) labels 0 and 1, both present.
        score: (n,) floats, larger for label 1.

    Raises:
        InputError: as for `roc_auc_score`.
    """
    labels, scores = _checked(y, score, "average_precision")
    return float(_average_precision(labels, scores, _once(labels))[0])


def log_loss(y: ArrayLike, p: ArrayLike) -> float:
    """Mean negative log-likelihood, in nats.

    Args:
        y: (n,) labels 0 and 1, both present.
        p: (n,) probabilities of label 1, clipped to [eps, 1 − eps] with float64's eps (2.2e-16).

    Raises:
        InputError: as for `roc_auc_score`, and a probability outside [0, 1].
    """
    return score("log_loss", y, p)


def brier_loss(y: ArrayLike, p: ArrayLike) -> float:
    """Mean squared difference of probability and label (Brier, Monthly Weather Review 78, 1950).

    Args:
        y: (n,) labels 0 and 1, both present.
        p: (n,) probabilities of label 1.

    Raises:
        InputError: as for `log_loss`.
    """
    return score("brier", y, p)


def score(metric: str, y: ArrayLike, judged: ArrayLike, class_weights: ClassWeights = None) -> float:
    """A metric by its name.

    Args:
        metric: one of `METRICS`.
        y: (n,) labels 0 and 1, both present.
        judged: (n,) decisions for "balanced_accuracy", scores or probabilities of label 1 for the others.
        class_weights: see `balanced_accuracy_score`; the others do not look at them.

    Raises:
        InputError: an unknown metric, or bad values (see the functions above).
    """
    labels, values = _checked(y, judged, metric)
    return float(_statistic(metric, class_weights)(labels, values, _once(labels))[0])


def bootstrap(
    metric: str,
    y: ArrayLike,
    p: ArrayLike,
    *,
    decision: ArrayLike | None = None,
    class_weights: ClassWeights = None,
    groups: ArrayLike | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Resampled:
    """The score on all patients, on stratified resamples of them, and without each of them.

    Its `interval()` is BCa, that of a difference of two is `percentile()`. At a perfect AUC or balanced accuracy (1.0)
    every resample is perfect too: the bounds are then exact ones, see `intervals`; for average precision and log loss
    they are NaN, not known.

    Args:
        metric: one of `METRICS`.
        y: (n,) labels 0 and 1, both present.
        p: (n,) scores ("auc", "average_precision") or probabilities ("log_loss", "brier") of label 1; not looked at
            for "balanced_accuracy". Or (n, runs): the score is then averaged over the runs, on the same resamples.
        decision: decisions 0 and 1 in the shape of p; needed for "balanced_accuracy", not looked at otherwise.
        class_weights: see `balanced_accuracy_score`; not looked at otherwise.
        groups: (n,) equal where two rows are of one person, who is then drawn as a whole; see `bootstrap.resample`.
        n_resamples: number of resamples, at least 1.
        seed: the same seed, labels and groups draw the same resamples for every metric and score.

    Raises:
        InputError: an unknown metric, no `decision` where it is needed, bad values (see the scores above).
    """
    values = np.asarray(judged(metric, p, decision), dtype=np.float64)
    runs = values.T if values.ndim == 2 else [values]
    found = resample(
        mean_of([weighted_score(metric, y, run, class_weights) for run in runs]),
        y,
        groups=groups,
        n_resamples=n_resamples,
        seed=seed,
    )
    return replace(found, beyond=unseen_of(metric, found.value, y, groups, class_weights))


def unseen_of(
    metric: str,
    value: float,
    y: ArrayLike,
    groups: ArrayLike | None = None,
    class_weights: ClassWeights = None,
) -> Unseen:
    """`intervals.unseen` of a score of rows with these labels and groups."""
    labels = np.asarray(y)
    n_malignant = int((labels == 1).sum())
    persons = None if groups is None else Persons.behind(labels, groups).of_class
    return unseen(metric, value, len(labels) - n_malignant, n_malignant, class_weights, persons)


def mean_of(each: Sequence[Weighted]) -> Weighted:
    """The mean of several scores as one function of the patients' weights."""
    if len(each) == 1:
        return each[0]
    return lambda weights: np.asarray(np.mean([one(weights) for one in each], axis=0))


def judged(metric: str, p: ArrayLike, decision: ArrayLike | None) -> ArrayLike:
    """What a metric is measured on: p, or the decisions.

    Raises:
        InputError: an unknown metric, or no `decision` where it is needed.
    """
    found = find_metric(metric).judged(p, decision)
    if found is None:
        raise InputError(f"{_what(metric)} is measured on decisions; give `decision` (0 or 1 per patient).")
    return found


def weighted_score(
    metric: str, y: ArrayLike, values: ArrayLike, class_weights: ClassWeights = None
) -> Callable[[Floats], Floats]:
    """The score as a function of patients' weights: what a bootstrap or a jackknife evaluates.

    Args:
        metric, y, class_weights: as of `bootstrap`.
        values: (n,) decisions ("balanced_accuracy"), scores or probabilities, as the metric asks.

    Returns:
        (B, n) weights, each row with some weight in both classes → (B,) scores.

    Raises:
        InputError: as `bootstrap`.
    """
    statistic = _statistic(metric, class_weights)
    labels, judged = _checked(y, values, metric)
    return lambda weights: statistic(labels, judged, weights)


def _checked(y: ArrayLike, values: ArrayLike, metric: str) -> tuple[Labels, Floats]:
    takes, labels = find_metric(metric).takes, np.asarray(y)
    given = np.asarray(values, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != given.shape:
        raise InputError(f"Labels {labels.shape} and scores {given.shape} must be one row per patient each.")
    if not np.isin(labels, (0, 1)).all():
        raise InputError("A score needs labels 0 and 1; leave the patients without a label out.")
    if len(np.unique(labels)) < 2:
        raise InputError("A score needs patients of both classes; here all have the same label.")
    if np.isnan(given).any():
        raise InputError(f"{int(np.isnan(given).sum())} of {len(given)} scores are not numbers (NaN).")
    if takes == "decisions" and not np.isin(given, (0, 1)).all():
        raise InputError(f"{_what(metric)} is measured on decisions 0 and 1; apply a threshold first.")
    if takes == "probabilities" and not ((given >= 0) & (given <= 1)).all():
        raise InputError(f"{_what(metric)} is measured on probabilities; some values are outside 0 to 1.")
    return labels == 1, given


def _what(metric: str) -> str:
    """The metric's label at the beginning of a sentence."""
    label = METRICS[metric].label
    return label[0].upper() + label[1:]


def _once(labels: Labels) -> Floats:
    """(1, n) weights: every patient once."""
    return np.ones((1, len(labels)))


def _auc(labels: Labels, scores: Floats, weights: Floats) -> Floats:
    """(B,) AUC under (B, n) weights: for each malignant patient, the weight of the reactive ones below it."""
    reactive = np.flatnonzero(~labels)
    reactive = reactive[np.argsort(scores[reactive], kind="stable")]
    below = np.zeros((len(weights), len(reactive) + 1))
    np.cumsum(weights[:, reactive], axis=1, out=below[:, 1:])
    first = np.searchsorted(scores[reactive], scores[labels], side="left")
    last = np.searchsorted(scores[reactive], scores[labels], side="right")
    positive = weights[:, labels]
    ordered = np.einsum("bi,bi->b", positive, below[:, first] + below[:, last]) / 2
    return np.asarray(ordered / (positive.sum(axis=1) * below[:, -1]))


def _balanced_accuracy(labels: Labels, decisions: Floats, weights: Floats) -> Floats:
    """(B,) balanced accuracy under (B, n) weights."""
    right = (decisions == labels).astype(np.float64)
    recalls = [weights[:, c] @ right[c] / weights[:, c].sum(axis=1) for c in (labels, ~labels)]
    return np.asarray((recalls[0] + recalls[1]) / 2)


def _weighted_accuracy(reactive: float, malignant: float) -> "Statistic":
    def accuracy(labels: Labels, decisions: Floats, weights: Floats) -> Floats:
        """(B,) accuracy under (B, n) weights times those of the classes."""
        each = weights * np.where(labels, malignant, reactive)
        return np.asarray(each @ (decisions == labels).astype(np.float64) / each.sum(axis=1))

    return accuracy


def _average_precision(labels: Labels, scores: Floats, weights: Floats) -> Floats:
    """(B,) average precision under (B, n) weights."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of each run of equal scores
    called = np.cumsum(weights[:, order], axis=1)[:, last]
    rightly = np.cumsum(weights[:, order] * labels[order], axis=1)[:, last]
    precision = np.divide(rightly, called, out=np.zeros_like(called), where=called > 0)
    gained = np.diff(rightly, axis=1, prepend=0.0)
    return np.asarray((gained * precision).sum(axis=1) / rightly[:, -1])


def _log_loss(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """(B,) log loss under (B, n) weights."""
    eps = np.finfo(np.float64).eps
    p = np.clip(probabilities, eps, 1 - eps)
    losses = -np.log(np.where(labels, p, 1 - p))
    return np.asarray(weights @ losses / weights.sum(axis=1))


def _brier(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """(B,) Brier score under (B, n) weights."""
    return np.asarray(weights @ (probabilities - labels) ** 2 / weights.sum(axis=1))


# (n,) labels, (n,) values, (B, n) weights of the patients → (B,) scores.
Statistic = Callable[[Labels, Floats, Floats], Floats]
_STATISTICS: Mapping[str, Statistic] = {
    "balanced_accuracy": _balanced_accuracy,
    "auc": _auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": _brier,
}


def _statistic(metric: str, class_weights: ClassWeights) -> Statistic:
    takes = find_metric(metric).takes
    if class_weights is None or takes != "decisions":
        return _STATISTICS[metric]
    if len(class_weights) != 2 or not all(np.isfinite(w) and w > 0 for w in class_weights):
        raise InputError(f"Class weights are two numbers above 0, not {class_weights!r}.")
    return _weighted_accuracy(*class_weights)
