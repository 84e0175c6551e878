"""From probabilities to decisions: where to cut. A patient is called malignant at p ≥ cut."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

__all__ = ["CUT_METRICS", "best_cut", "prior_cut"]

Floats = NDArray[np.float64]

# (sensitivity, specificity, share of malignant) → what a cut is chosen by, larger is better.
CUT_METRICS: dict[str, Callable[[Floats, Floats, float], Floats]] = {
    "balanced_accuracy": lambda sensitivity, specificity, _: (sensitivity + specificity) / 2,
    "accuracy": lambda sensitivity, specificity, share: share * sensitivity + (1 - share) * specificity,
}


def best_cut(
    y: ArrayLike, p: ArrayLike, metric: str = "balanced_accuracy", *, prior: float | None = None
) -> float:
    """The cut that scores best on (y, p), in the middle of the widest gap between neighbouring probabilities.

    Every cut inside one gap decides alike on these patients; its middle is the one furthest from changing
    its mind on new ones. Of equally wide best gaps the one nearest to the prior is taken. The gaps at the ends
    (all malignant, all reactive) count as well.

    Args:
        y: (n,) labels 0 and 1, both present.
        p: (n,) probabilities of label 1, from models that did not see the patient.
        metric: a key of `CUT_METRICS`.
        prior: where ties go; by default the share of malignant patients.

    Returns:
        A cut in [0, 1], or just above 1 where only "all reactive" is best and some p is 1.

    Raises:
        InputError: an unknown metric, one class only, NaN, or values outside [0, 1].
    """
    labels, probabilities = _checked(y, p)
    if metric not in CUT_METRICS:
        raise InputError(f"There is no cut by {metric!r}; choose one of {', '.join(sorted(CUT_METRICS))}.")
    share = float(labels.mean())
    values = np.unique(probabilities)
    low, high = np.append(0.0, values), np.append(values, max(1.0, np.nextafter(values[-1], 2.0)))
    # Between low[i] and high[i]: the patients with p ≥ high[i] are called malignant.
    sensitivity = _share_at_least(probabilities[labels], high)
    specificity = 1 - _share_at_least(probabilities[~labels], high)
    score = CUT_METRICS[metric](sensitivity, specificity, share)
    best = np.flatnonzero(score >= score.max() - 1e-12)
    width = (high - low)[best]
    widest = best[width >= width.max() - 1e-12]
    middles = (low + high)[widest] / 2
    chosen = widest[np.argmin(np.abs(middles - (share if prior is None else prior)))]
    middle = float(low[chosen] + high[chosen]) / 2
    # Between two neighbouring floats the middle may round down to the lower one, which must stay below.
    return middle if middle > low[chosen] or chosen == 0 else float(high[chosen])


def prior_cut(y: ArrayLike, *, balanced: bool = False) -> float:
    """The cut for balanced accuracy where there are no predictions to choose it on.

    A calibrated probability above the share of malignant patients is evidence for malignancy, and cutting there
    is the Bayes decision for balanced accuracy. A head trained with balanced class weights gives probabilities
    for equal shares: there it is 0.5.

    Args:
        y: (n,) labels 0 and 1 of the training patients.
        balanced: whether the head weighs the classes equally.
    """
    return 0.5 if balanced else float(np.mean(np.asarray(y) == 1))


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
        raise InputError("A cut needs patients of both classes, labelled 0 and 1.")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise InputError("A cut is chosen on probabilities; some values are NaN or outside 0 to 1.")
    return labels == 1, probabilities
