"""Scores over patients and how sure they are: AUC, balanced accuracy, log loss, bootstrap intervals.

The interval is the percentile bootstrap (Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993,
chapter 13), stratified by class: every resample draws as many patients of each class as there are. A
resample is a row of integer weights, so that all resamples of a score are a few array operations.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError

__all__ = [
    "METRICS",
    "Bootstrap",
    "Interval",
    "auc",
    "balanced_accuracy",
    "bootstrap",
    "bootstrap_interval",
    "log_loss",
]

METRICS = ("auc", "balanced_accuracy", "log_loss")

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]


class Interval(NamedTuple):
    """A score on all patients, and the bounds of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bootstrap:
    """A score on all patients and on every resample of them.

    Attributes:
        value: on all patients.
        resampled: (B,) float64, on each resample. The same seed and labels draw the same resamples, so two
            systems' scores on the same patients may be subtracted resample by resample.
    """

    value: float
    resampled: Floats

    def __sub__(self, other: "Bootstrap") -> "Bootstrap":
        """The paired difference of two scores on the same patients, metric and seed."""
        return Bootstrap(self.value - other.value, self.resampled - other.resampled)

    def interval(self, confidence: float = 0.95) -> Interval:
        """The value with its percentile interval of that coverage, in (0, 1)."""
        tail = (1 - confidence) / 2
        low, high = np.quantile(self.resampled, [tail, 1 - tail])
        return Interval(self.value, float(low), float(high))


def auc(y: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve: the share of (malignant, reactive) pairs ordered rightly, ties as half.

    Args:
        y: (n,) labels 0 and 1, both present.
        score: (n,) floats, larger for label 1; infinite values are allowed.

    Raises:
        InputError: another label, a class without patients, a NaN, or lengths that differ.
    """
    labels, scores = _checked(y, score, "auc")
    return float(_auc(labels, scores, _once(labels))[0])


def balanced_accuracy(y: ArrayLike, decision: ArrayLike) -> float:
    """Mean of sensitivity and specificity.

    Args:
        y: (n,) labels 0 and 1, both present.
        decision: (n,) decisions 0 and 1.

    Raises:
        InputError: as for `auc`, and a decision that is neither 0 nor 1.
    """
    labels, decisions = _checked(y, decision, "balanced_accuracy")
    return float(_balanced_accuracy(labels, decisions, _once(labels))[0])


def log_loss(y: ArrayLike, p: ArrayLike) -> float:
    """Mean negative log-likelihood, in nats.

    Args:
        y: (n,) labels 0 and 1, both present.
        p: (n,) probabilities of label 1, clipped to [eps, 1 − eps] with float64's eps (2.2e-16).

    Raises:
        InputError: as for `auc`, and a probability outside [0, 1].
    """
    labels, probabilities = _checked(y, p, "log_loss")
    return float(_log_loss(labels, probabilities, _once(labels))[0])


def bootstrap_interval(
    metric: str,
    y: ArrayLike,
    p: ArrayLike,
    *,
    decision: ArrayLike | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The score on all patients with its stratified percentile bootstrap interval.

    At a perfect AUC (1.0) every resample is perfect too, and the interval has no width: the bootstrap cannot
    see beyond the sample.

    Args:
        metric: "auc", "balanced_accuracy" or "log_loss".
        y: (n,) labels 0 and 1, both present.
        p: (n,) scores ("auc") or probabilities ("log_loss") of label 1; not looked at for
            "balanced_accuracy".
        decision: (n,) decisions 0 and 1; needed for "balanced_accuracy", not looked at otherwise.
        n_resamples: number of resamples, at least 1.
        confidence: coverage of the interval, in (0, 1).
        seed: the same seed and labels draw the same resamples for every metric and score.

    Raises:
        InputError: an unknown metric, no `decision` where it is needed, bad values (see the scores above).
    """
    if not 0 < confidence < 1:
        raise InputError(f"The confidence of an interval must lie between 0 and 1, not be {confidence}.")
    return bootstrap(metric, y, p, decision=decision, n_resamples=n_resamples, seed=seed).interval(confidence)


def bootstrap(
    metric: str,
    y: ArrayLike,
    p: ArrayLike,
    *,
    decision: ArrayLike | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Bootstrap:
    """The score on all patients and on stratified resamples of them; arguments as of `bootstrap_interval`.

    Raises:
        InputError: an unknown metric, no `decision` where it is needed, bad values (see the scores above).
    """
    if metric not in METRICS:
        raise InputError(f"There is no metric {metric!r}; choose one of {', '.join(METRICS)}.")
    if metric == "balanced_accuracy" and decision is None:
        raise InputError("Balanced accuracy is measured on decisions; give `decision` (0 or 1 per patient).")
    if n_resamples < 1:
        raise InputError(f"The bootstrap needs at least 1 resample, not {n_resamples}.")
    judged = decision if metric == "balanced_accuracy" and decision is not None else p
    labels, values = _checked(y, judged, metric)
    statistic = {"auc": _auc, "balanced_accuracy": _balanced_accuracy, "log_loss": _log_loss}[metric]
    resampled = statistic(labels, values, _resampled(labels, n_resamples, seed))
    return Bootstrap(float(statistic(labels, values, _once(labels))[0]), resampled)


def _checked(y: ArrayLike, values: ArrayLike, metric: str) -> tuple[Labels, Floats]:
    labels = np.asarray(y)
    judged = np.asarray(values, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != judged.shape:
        raise InputError(f"Labels {labels.shape} and scores {judged.shape} must be one row per patient each.")
    if not np.isin(labels, (0, 1)).all():
        raise InputError("A score needs labels 0 and 1; leave the patients without a label out.")
    if len(np.unique(labels)) < 2:
        raise InputError("A score needs patients of both classes; here all have the same label.")
    if np.isnan(judged).any():
        raise InputError(f"{int(np.isnan(judged).sum())} of {len(judged)} scores are not numbers (NaN).")
    if metric == "balanced_accuracy" and not np.isin(judged, (0, 1)).all():
        raise InputError("Balanced accuracy is measured on decisions 0 and 1; apply a threshold first.")
    if metric == "log_loss" and not ((judged >= 0) & (judged <= 1)).all():
        raise InputError("Log loss is measured on probabilities; some values are outside 0 to 1.")
    return labels == 1, judged


def _once(labels: Labels) -> Floats:
    """(1, n) weights: every patient once."""
    return np.ones((1, len(labels)))


def _resampled(labels: Labels, n_resamples: int, seed: int) -> Floats:
    """(n_resamples, n) weights: how often each resample drew each patient, within the classes."""
    rng = np.random.default_rng(seed)
    weights = np.empty((n_resamples, len(labels)))
    for members in (np.flatnonzero(~labels), np.flatnonzero(labels)):
        size = len(members)
        drawn = rng.integers(size, size=(n_resamples, size))
        drawn += np.arange(n_resamples)[:, None] * size  # one range of numbers per resample: a single count
        counts = np.bincount(drawn.ravel(), minlength=n_resamples * size)
        weights[:, members] = counts.reshape(n_resamples, size)
    return weights


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


def _log_loss(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """(B,) log loss under (B, n) weights."""
    eps = np.finfo(np.float64).eps
    p = np.clip(probabilities, eps, 1 - eps)
    losses = -np.log(np.where(labels, p, 1 - p))
    return np.asarray(weights @ losses / weights.sum(axis=1))
