"""Thresholds that follow from what errors cost, or from the sensitivity that must be kept.

A patient is called malignant at p ≥ threshold. The threshold for balanced accuracy is another matter:
`scoring.threshold`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ._checks import Floats, Labels, labels_and_decisions, labels_and_probabilities, share
from .bootstrap import bca_interval
from .exact import errors_unseen, lower_bound, share_interval
from .persons import Persons
from .scores import Interval

__all__ = ["OperatingPoint", "cost_threshold", "mean_cost", "operating_point", "sensitive_threshold"]


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold does on the patients given.

    Attributes:
        threshold: malignant at p ≥ threshold.
        sensitivity, specificity: with Clopper–Pearson intervals, as for a threshold fixed beforehand.
        promised: the sensitivity that holds at the confidence asked for; NaN where the threshold was not chosen for
            one.
    """

    threshold: float
    sensitivity: Interval
    specificity: Interval
    guaranteed: float = float("nan")


def cost_threshold(missed: float, false_alarm: float) -> float:
    """The threshold of least expected cost for calibrated probabilities: false_alarm / (false_alarm + missed).

    Elkan, *The foundations of cost-sensitive learning*, IJCAI 2001. Probabilities of a head with balanced class weights
    are not calibrated; calibrate them first (`calibrators`).

    Args:
        missed: cost of a malignant patient called reactive, above 0.
        false_alarm: cost of a reactive patient called malignant, above 0.
    """
    _costs(missed, false_alarm)
    return false_alarm / (false_alarm + missed)


def mean_cost(
    y: ArrayLike,
    decision: ArrayLike,
    missed: float,
    false_alarm: float,
    *,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Cost per patient of the decisions, with its stratified BCa interval.

    Where none is wrong, no resample differs; the upper bound is then the cost of the worse error for the largest share
    of errors that as many patients could hide (`exact.errors_unseen`); likewise where all are.

    Args:
        y, decision: (n,) 0 and 1; both classes present.
        missed, false_alarm: as for `cost_threshold`.
        groups: as of `bootstrap.resample`.
    """
    _costs(missed, false_alarm)
    labels, decided = labels_and_decisions(y, decision)
    each = np.where(labels, missed, false_alarm) * (labels != decided)

    def cost(weights: Floats) -> Floats:
        return np.asarray(weights @ each / weights.sum(axis=1))

    found = bca_interval(cost, labels, groups=groups, confidence=confidence, seed=seed)
    hidden = max(missed, false_alarm) * errors_unseen(len(Persons.behind(labels, groups)), confidence)
    if (labels == decided).all():
        return Interval(found.value, 0.0, hidden)
    if (labels != decided).all():
        return Interval(found.value, max(0.0, found.value - hidden), found.value)
    return found


def operating_point(y: ArrayLike, p: ArrayLike, threshold: float, confidence: float = 0.95) -> OperatingPoint:
    """Sensitivity and specificity of a threshold that was not chosen on these patients."""
    labels, probabilities = labels_and_probabilities(y, p)
    return _at(labels, probabilities, threshold, confidence)


def sensitive_threshold(
    y: ArrayLike, p: ArrayLike, sensitivity: float = 0.95, confidence: float = 0.95
) -> OperatingPoint:
    """The largest threshold whose true sensitivity is at least the target at that confidence.

    The threshold is the k-th smallest probability of the n malignant patients. Its sensitivity on new patients follows
    Beta(n − k + 1, k), or lies above that where probabilities tie, so the largest k is taken for which P(Binomial(n,
    1 − target) ≥ k) is at least the confidence (tolerance limits: Wilks, Annals of Mathematical Statistics 12, 1941).
    This is the Clopper–Pearson bound with k − 1 missed; that the threshold is chosen on the same patients is in it.

    Args:
        y: (n,) labels 0 and 1, both present.
        p: (n,) probabilities from one model that saw none of the patients, or out-of-fold ones as its stand-in.
        sensitivity, confidence: in (0, 1).

    Returns:
        The operating point; threshold 0 (all malignant), promising 1, where the patients are too few for the target: it
        takes log(1 − confidence)/log(target) malignant ones, 59 for 0.95 and 0.95.
    """
    from scipy.stats import binom  # a second or more to import

    labels, probabilities = labels_and_probabilities(y, p)
    target, certainties = share("sensitivity", sensitivity), share("confidence", confidence)
    if labels.all() or not labels.any():
        raise InputError("A threshold needs patients of both classes, labelled 0 and 1.")
    malignant = np.sort(probabilities[labels])
    n = len(malignant)
    # P(Binomial ≥ k) falls with k: as many ranks keep the promise as the largest of them
    k = int(np.count_nonzero(binom.sf(np.arange(n), n, 1 - target) >= certainties))
    if k == 0:
        return _at(labels, probabilities, 0.0, confidence, guaranteed=1.0)
    guaranteed = lower_bound(n - k + 1, n, certainties)
    return _at(labels, probabilities, float(malignant[k - 1]), confidence, guaranteed=guaranteed)


def _at(
    labels: Labels, p: Floats, threshold: float, confidence: float, guaranteed: float = float("nan")
) -> OperatingPoint:
    called = p >= threshold
    sensitivity = share_interval(int(called[labels].sum()), int(labels.sum()), confidence)
    specificity = share_interval(int((~called)[~labels].sum()), int((~labels).sum()), confidence)
    return OperatingPoint(threshold, sensitivity, specificity, guaranteed)


def _costs(missed: float, false_alarm: float) -> None:
    if not (np.isfinite(missed) and np.isfinite(false_alarm) and missed > 0 and false_alarm > 0):
        raise InputError(
            f"Costs are finite and above 0, not {missed} (missed) and {false_alarm} (false alarm)."
        )
