"""The risk–coverage curve: how wrong the decided patients are when only the most certain are decided.

El-Yaniv & Wiener, *On the foundations of noise-free selective classification*, JMLR 11 (2010); its area (AURC):
Geifman, Uziel & El-Yaniv, ICLR 2019. Each patient's certainty is a limit; all who are at least as
certain are decided, so that equally certain patients stand or fall together. AURC is the mean risk over the patients'
own limits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ._checks import Floats, labels_and_probabilities, share
from .bootstrap import Weighted, bca_interval
from .exact import errors_unseen
from .persons import Persons
from .scores import Interval
from .triage import certainty

__all__ = ["RiskCoverage", "aurc", "aurc_interval", "risk_coverage"]


@dataclass(frozen=True)
class RiskCoverage:
    """The curve, from the most certain patients to all.

    Attributes:
        coverage: (k,) share of patients decided, ascending, the last 1.
        risk: (k,) share of the decided that is wrong.
        least_risk: (k,) the same of a pipeline with as many wrong patients that are the least certain ones.
        aurc: area under `risk`, with its stratified BCa interval.
        least_aurc: area under the least risk; what lies above it is due to the order of the patients.
    """

    coverage: Floats
    risk: Floats
    least_risk: Floats
    aurc: Interval
    least_aurc: float


def risk_coverage(
    y: ArrayLike,
    p: ArrayLike,
    *,
    threshold: float = 0.5,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> RiskCoverage:
    """The curve of decisions at p ≥ threshold, patients ordered by `triage.certainty`.

    Args:
        y: (n,) labels 0 and 1, both present.
        p: (n,) probabilities of label 1.
        threshold: in (0, 1).
        groups: as of `bootstrap.resample`.
        confidence, n_resamples, seed: of the area's interval.
    """
    labels, probabilities = labels_and_probabilities(y, p)
    area = aurc(labels, probabilities, threshold)
    certainties = certainty(probabilities, share("threshold", threshold))
    order = np.argsort(-certainties, kind="stable")
    last = np.append(
        np.flatnonzero(np.diff(certainties[order])), len(order) - 1
    )  # of each run of equally certain patients
    wrong = np.cumsum(((probabilities >= threshold) != labels)[order])
    n = len(labels)
    decided = last + 1
    least = np.maximum(0, np.arange(1, n + 1) - (n - wrong[-1])) / np.arange(1, n + 1)
    return RiskCoverage(
        decided / n,
        wrong[last] / decided,
        least[last],
        aurc_interval(area, labels, groups=groups, n_resamples=n_resamples, confidence=confidence, seed=seed),
        float(least.mean()),
    )


def aurc_interval(
    area: Weighted,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """An area's stratified BCa interval; arguments as of `bca_interval`.

    Where nobody is wrong, no resample differs. At coverage c at most q/c of the decided are wrong if q of all are, so
    the area is at most q (1 − ln q), and q is the share of errors that as many patients could hide
    (`exact.errors_unseen`). Where everybody is wrong, the same from above.
    """
    found = bca_interval(area, y, groups=groups, n_resamples=n_resamples, confidence=confidence, seed=seed)
    q = errors_unseen(len(Persons.behind(y, groups)), confidence)
    if found.value == 0:
        return Interval(0.0, 0.0, float(q * (1 - np.log(q))))
    if found.value == 1:
        return Interval(1.0, float(1 - q * (1 - np.log(q))), 1.0)
    return found


def aurc(y: ArrayLike, p: ArrayLike, threshold: float = 0.5) -> Weighted:
    """The area under the risk–coverage curve as a function of (B, n) weights."""
    labels, probabilities = labels_and_probabilities(y, p)
    certainties = certainty(probabilities, share("threshold", threshold))
    order = np.argsort(-certainties, kind="stable")
    runs = np.unique(-certainties[order], return_inverse=True)[1]
    last = np.append(np.flatnonzero(np.diff(runs)), len(order) - 1)
    wrong = ((probabilities >= threshold) != labels)[order]

    def area(weights: Floats) -> Floats:
        ordered = weights[:, order]
        decided = np.cumsum(ordered, axis=1)[:, last]
        failed = np.cumsum(ordered * wrong, axis=1)[:, last]
        risk = np.divide(failed, decided, out=np.zeros_like(failed), where=decided > 0)
        return np.asarray((ordered * risk[:, runs]).sum(axis=1) / decided[:, -1])

    return area
