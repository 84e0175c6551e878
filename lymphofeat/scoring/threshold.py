"""From probabilities to decisions: thresholds. A patient is called malignant at p ≥ threshold."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..estimates.scores import ClassWeights

__all__ = ["THRESHOLD_METRICS", "best_threshold", "one_standard_error_threshold", "prevalence_threshold"]

Floats = NDArray[np.float64]
_TIE = 1e-12  # scores and widths that differ by less are equal

# (sensitivity, specificity, share of malignant) → what a threshold is chosen by, larger is better.
THRESHOLD_METRICS: dict[str, Callable[[Floats, Floats, float], Floats]] = {
    "balanced_accuracy": lambda sensitivity, specificity, _: (sensitivity + specificity) / 2,
    "accuracy": lambda sensitivity, specificity, share: share * sensitivity + (1 - share) * specificity,
}


def best_threshold(
    y: ArrayLike, p: ArrayLike, metric: str = "balanced_accuracy", *, prior: float | None = None
) -> float:
    """The threshold that scores best on (y, p), in the middle of the widest gap between neighbouring probabilities.

    Every threshold inside one gap decides alike on these patients; its middle is the one furthest from changing
    its mind on new ones. Of equally wide best gaps the one nearest to the prior is taken. The gaps at the ends
    (all malignant, all reactive) count as well.

    Args:
        y: (n,) labels 0 and 1, both present.
        p: (n,) probabilities of label 1, from models that did not see the patient.
        metric: a key of `THRESHOLD_METRICS`.
        prior: where ties go; by default the share of malignant patients.

    Returns:
        A threshold in [0, 1], or just above 1 where only "all reactive" is best and some p is 1.

    Raises:
        InputError: an unknown metric, one class only, NaN, or values outside [0, 1].
    """
    labels, probabilities = _checked(y, p)
    if metric not in THRESHOLD_METRICS:
        raise InputError(
            f"There is no threshold by {metric!r}; choose one of {', '.join(sorted(THRESHOLD_METRICS))}."
        )
    share = float(labels.mean())
    gaps = _Gaps.of(labels, probabilities)
    score = THRESHOLD_METRICS[metric](gaps.sensitivity, gaps.specificity, share)
    best = np.flatnonzero(score >= score.max() - _TIE)
    width = (gaps.high - gaps.low)[best]
    return gaps.middle_nearest(best[width >= width.max() - _TIE], share if prior is None else prior)


def one_standard_error_threshold(
    y: ArrayLike, p: ArrayLike, *, prior: float | None = None, class_weights: ClassWeights = None
) -> float:
    """The threshold nearest to the prior among those that the best balanced accuracy does not clearly beat.

    Not clearly: within one standard error of the best, the one-standard-error rule (Breiman et al.,
    Classification and Regression Trees, 1984, section 3.4.3) with the prevalence threshold as the simple choice. The
    best threshold on a hundred patients is mostly luck. Nearness is measured in log-odds.

    Args:
        y, p: as for `best_threshold`, each patient once: the standard error counts them.
        prior: the threshold that needs no predictions, `prevalence_threshold`; by default the share of malignant
            patients.
        class_weights: of a reactive and of a malignant patient; the accuracy under them takes balanced accuracy's
            place, see `scores.balanced_accuracy_score`.

    Returns, Raises: as `best_threshold`.
    """
    labels, probabilities = _checked(y, p)
    gaps = _Gaps.of(labels, probabilities)
    weight = _weight_of_sensitivity(float(labels.mean()), class_weights)
    score = weight * gaps.sensitivity + (1 - weight) * gaps.specificity
    top = int(np.argmax(score >= score.max() - _TIE))  # the first of equals, whatever the rounding
    error = np.sqrt(
        weight**2 * gaps.sensitivity[top] * (1 - gaps.sensitivity[top]) / labels.sum()
        + (1 - weight) ** 2 * gaps.specificity[top] * (1 - gaps.specificity[top]) / (~labels).sum()
    )
    near = np.flatnonzero(score >= score[top] - error - _TIE)
    return gaps.middle_nearest(near, float(labels.mean()) if prior is None else prior)


def prevalence_threshold(
    y: ArrayLike, *, balanced: bool = False, class_weights: ClassWeights = None
) -> float:
    """The threshold for balanced accuracy where there are no predictions to choose it on.

    A calibrated probability above the share of malignant patients is evidence for malignancy, and cutting there
    is the Bayes decision for balanced accuracy. A head trained with balanced class weights gives probabilities
    for equal shares: there it is 0.5.

    Args:
        y: (n,) labels 0 and 1 of the training patients.
        balanced: whether the head weighs the classes equally.
        class_weights: of a reactive and of a malignant patient, (u, v): a calibrated probability then has its threshold
            at u / (u + v), where the expected weight of an error is the same on both sides.
    """
    share = float(np.mean(np.asarray(y) == 1))
    if class_weights is None:
        return 0.5 if balanced else share
    reactive, malignant = class_weights
    if balanced:
        reactive, malignant = reactive * (1 - share), malignant * share
    return reactive / (reactive + malignant)


def _weight_of_sensitivity(share: float, class_weights: ClassWeights) -> float:
    """What sensitivity weighs beside specificity, of 1, where `share` of the patients are malignant."""
    if class_weights is None:
        return 0.5
    reactive, malignant = (1 - share) * class_weights[0], share * class_weights[1]
    return malignant / (reactive + malignant)


@dataclass(frozen=True)
class _Gaps:
    """The stretches of thresholds that decide alike, (low, high]: those with p ≥ high are called malignant."""

    low: Floats
    high: Floats
    sensitivity: Floats
    specificity: Floats

    @classmethod
    def of(cls, labels: NDArray[np.bool_], probabilities: Floats) -> "_Gaps":
        values = np.unique(probabilities)
        low, high = np.append(0.0, values), np.append(values, max(1.0, np.nextafter(values[-1], 2.0)))
        sensitivity = _share_at_least(probabilities[labels], high)
        return cls(low, high, sensitivity, 1 - _share_at_least(probabilities[~labels], high))

    def middle_nearest(self, which: NDArray[np.intp], prior: float) -> float:
        """The middle, of the gaps `which`, that is nearest to `prior` in log-odds."""
        middles = (self.low + self.high)[which] / 2
        chosen = which[np.argmin(np.abs(_log_odds(middles) - _log_odds(np.array(prior))))]
        middle = float(self.low[chosen] + self.high[chosen]) / 2
        # Between two neighbouring floats the middle may round down to the lower one, which must stay below.
        return middle if middle > self.low[chosen] or chosen == 0 else float(self.high[chosen])


def _log_odds(p: Floats) -> Floats:
    tiny = np.finfo(np.float64).eps
    inside = np.clip(p, tiny, 1 - tiny)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _share_at_least(values: Floats, bounds: Floats) -> Floats:
    below = np.searchsorted(np.sort(values), bounds, side="left")
    return np.asarray((len(values) - below) / len(values))


def _checked(y: ArrayLike, p: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    labels, probabilities = np.asarray(y), np.asarray(p, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != probabilities.shape:
        raise InputError(
            f"Labels {labels.shape} and probabilities {probabilities.shape} must be one per patient."
        )
    if not np.isin(labels, (0, 1)).all() or len(np.unique(labels)) < 2:
        raise InputError("A threshold needs patients of both classes, labelled 0 and 1.")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise InputError("A threshold is chosen on probabilities; some values are NaN or outside 0 to 1.")
    return labels == 1, probabilities
