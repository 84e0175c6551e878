"""All metrics of a set of predictions, each with its interval, ready for a table.

Each metric is a function of patients' weights, so that bootstrap and jackknife are a few array operations. The
intervals are stratified BCa (`bootstrap`), those of sensitivity and specificity Clopper–Pearson (`exact`), that of the
calibration error its own (`calibration`). They hold for the
classes' shares of these patients. Where one person has several rows (`groups`), persons are resampled and counted.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..metric import METRICS
from ._checks import Floats, Labels, labels_and_decisions, labels_and_probabilities, share
from .bootstrap import Weighted, resample
from .calibration import (
    calibration_error,
    calibration_error_interval,
    calibration_intercept,
    calibration_slope,
)
from .exact import share_interval_by_person
from .persons import Persons, taken
from .scores import Interval, bootstrap, judged, weighted_score

__all__ = ["DESCRIBED", "FEWEST_AT_95", "describe", "sensitivity_at", "specificity_at", "statistic"]

# With fewer patients of a class, 95 % of them means all of them; the bootstrap interval then covers about 80 %.
FEWEST_AT_95 = 20
_TIE = 1e-9  # shares are sums of floats


def sensitivity_at(y: ArrayLike, p: ArrayLike, specificity: float = 0.95) -> Weighted:
    """The highest sensitivity of any threshold with at least that specificity, as a function of (B, n) weights.

    A patient is called malignant at p ≥ threshold; the threshold that calls nobody malignant counts. The threshold is
    chosen anew in every resample, so that its choice is part of the interval.
    """
    labels, probabilities = labels_and_probabilities(y, p)
    allowed = 1 - share("specificity", specificity)
    return lambda weights: _called_at(labels, probabilities, weights, allowed)


def specificity_at(y: ArrayLike, p: ArrayLike, sensitivity: float = 0.95) -> Weighted:
    """The highest specificity of any threshold with at least that sensitivity; the mirror of `sensitivity_at`."""
    labels, probabilities = labels_and_probabilities(y, p)
    allowed = 1 - share("sensitivity", sensitivity)
    return lambda weights: _called_at(~labels, -probabilities, weights, allowed)


# name → (y, p) → the score of weights. Those of METRICS come from `statistics`.
_MADE_HERE: Mapping[str, Callable[[ArrayLike, ArrayLike], Weighted]] = {
    "sensitivity_at_95_specificity": sensitivity_at,
    "specificity_at_95_sensitivity": specificity_at,
    "calibration_slope": calibration_slope,
    "calibration_intercept": calibration_intercept,
    "calibration_error": calibration_error,
}
_COUNTED = ("sensitivity", "specificity")
DESCRIBED = (
    "balanced_accuracy",
    *_COUNTED,
    "auc",
    "average_precision",
    "sensitivity_at_95_specificity",
    "specificity_at_95_sensitivity",
    "log_loss",
    "brier",
    "calibration_slope",
    "calibration_intercept",
    "calibration_error",
)


def statistic(name: str, y: ArrayLike, p: ArrayLike, decision: ArrayLike | None = None) -> Weighted:
    """A metric by name as a function of (B, n) weights.

    Args:
        name: one of `DESCRIBED` except "sensitivity" and "specificity".
        y: (n,) labels 0 and 1.
        p: (n,) probabilities of label 1.
        decision: (n,) 0 and 1; what balanced accuracy is measured on.

    Raises:
        InputError: an unknown name, or values that the metric does not take.
    """
    if name in _MADE_HERE:
        return _MADE_HERE[name](y, p)
    if name not in METRICS:
        raise InputError(f"There is no metric {name!r}; choose one of {', '.join([*_MADE_HERE, *METRICS])}.")
    return weighted_score(name, y, judged(name, p, decision))


def describe(
    y: ArrayLike,
    p: ArrayLike,
    decision: ArrayLike,
    *,
    names: Sequence[str] = DESCRIBED,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> list[tuple[str, Interval]]:
    """The metrics of one set of predictions with their intervals, in the order of `names`.

    Args:
        y: (n,) labels 0 and 1, both present.
        p: (n,) probabilities of label 1.
        decision: (n,) decisions 0 and 1.
        names: of `DESCRIBED`.
        groups: (n,) equal where two rows are of one person; None: every row is a patient of their own.
        confidence: coverage of each interval, in (0, 1).
        n_resamples, seed: of the bootstrap.

    Returns:
        (name, interval) each. Where the sample is flawless, so that no resample differs from it, the bounds are exact
        (balanced accuracy, AUC) or NaN: not known. So are those of sensitivity at 95 % specificity (and the reverse)
        with fewer than `FEWEST_AT_95` reactive (malignant) patients.

    Raises:
        InputError: one class only, an unknown name, bad values or lengths.
    """
    labels, probabilities = labels_and_probabilities(y, p)
    _, decided = labels_and_decisions(y, decision)
    persons = Persons.behind(labels, groups)

    def measured(name: str) -> Interval:
        if name in _COUNTED:
            members = labels if name == "sensitivity" else ~labels
            return share_interval_by_person(
                (decided == labels)[members], taken(persons.of_rows, members), confidence
            )
        if name == "calibration_error":
            return calibration_error_interval(
                labels,
                probabilities,
                groups=groups,
                confidence=confidence,
                n_resamples=n_resamples,
                seed=seed,
            )
        if name in METRICS:
            found = bootstrap(
                name,
                labels,
                probabilities,
                decision=decided,
                groups=groups,
                n_resamples=n_resamples,
                seed=seed,
            )
        else:
            found = resample(
                statistic(name, labels, probabilities),
                labels,
                groups=groups,
                n_resamples=n_resamples,
                seed=seed,
            )
        return _known(name, found.interval(confidence), persons)

    return [(name, measured(name)) for name in names]


def _known(name: str, found: Interval, persons: Persons) -> Interval:
    """The interval, or what can be said where the bootstrap cannot give one."""
    reactive, malignant = persons.of_class
    limiting = {"sensitivity_at_95_specificity": reactive, "specificity_at_95_sensitivity": malignant}.get(
        name
    )
    if limiting is not None and limiting < FEWEST_AT_95:
        return Interval(found.value, float("nan"), float("nan"))
    if found.low < found.high or np.isinf(found.value):
        return found
    return Interval(found.value, float("nan"), float("nan"))


def _called_at(labels: Labels, scores: Floats, weights: Floats, allowed: float) -> Floats:
    """(B,) the largest share of label 1 called by a threshold that calls at most the share `allowed` of label 0."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of each run of equal scores
    rightly = np.cumsum(weights[:, order] * labels[order], axis=1)
    wrongly = np.cumsum(weights[:, order] * ~labels[order], axis=1)
    within = wrongly[:, last] <= (allowed + _TIE) * wrongly[:, -1:]
    return np.asarray((rightly[:, last] * within).max(axis=1) / rightly[:, -1])
