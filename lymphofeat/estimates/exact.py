"""Exact binomial bounds: of a share that was counted, and of a score without any error.

Clopper & Pearson, *The use of confidence or fiducial limits illustrated in the case of the binomial*, Biometrika 26
(1934): the bounds are quantiles of beta distributions. Their coverage is at least the stated one.

Where one person has several cases, these say less than as many persons do. The bounds are then those of n* cases, n*
the number of independent ones with the same variance, corrected for its degrees of freedom (Korn & Graubard,
*Confidence intervals for proportions with small expected number of positive counts estimated from survey data*, Survey
Methodology 24, 1998):

    n* = min(n, p (1 − p) / v (t_{n−1} / t_{m−1})²),   v = m / (m − 1) Σᵢ (kᵢ − p nᵢ)² / n²

with kᵢ of nᵢ cases of person i of m, t the quantiles of the t distribution; m where p is 0 or 1.
"""

import numpy as np

from ..errors import InputError
from ._checks import Floats, Labels, share
from .intervals import Interval, unseen, widened
from .persons import Numbers, Persons

__all__ = [
    "errors_unseen",
    "flawless_auc",
    "flawless_balanced_accuracy",
    "lower_bound",
    "share_interval",
    "share_interval_by_person",
    "share_interval_over_runs",
    "upper_bound",
]


def share_interval(k: int, n: int, confidence: float = 0.95) -> Interval:
    """k/n with its Clopper–Pearson interval; of no cases, NaN between 0 and 1."""
    _counted(k, n)
    return _clopper_pearson(k / n if n else float("nan"), k, n, confidence)


def share_interval_by_person(right: Labels, groups: Numbers | None, confidence: float = 0.95) -> Interval:
    """The share of cases that are right, with its interval by person; that of `share_interval` where none repeats.

    Args:
        right: (n,) bool.
        groups: (n,) equal where two cases are of one person; None: all are different ones.
        confidence: coverage of the interval, in (0, 1).
    """
    return share_interval_over_runs(right[:, None], np.ones((len(right), 1), dtype=bool), groups, confidence)


def share_interval_over_runs(
    right: Labels, cases: Labels, groups: Numbers | None, confidence: float = 0.95
) -> Interval:
    """The share of cases that are right, of the rounded mean counts of several runs, with its interval by person.

    Args:
        right: (n, runs) bool, true for cases only.
        cases: (n, runs) bool, what is counted in each run.
        groups, confidence: as of `share_interval_by_person`.
    """
    k, n = (round(float(counted.sum(axis=0).mean())) for counted in (right, cases))
    persons = Persons.behind(np.zeros(len(right)), groups)
    if not persons.repeat or n == 0:
        return share_interval(min(k, n), n, confidence)
    each = [
        _independent_cases(right[:, run].astype(float), cases[:, run].astype(float), persons, confidence)
        for run in np.flatnonzero(cases.any(axis=0))
    ]
    effective = min(float(n), float(np.mean(each)))
    return _clopper_pearson(min(k / n, 1.0), min(k / n, 1.0) * effective, effective, confidence)


def lower_bound(k: int, n: int, confidence: float) -> float:
    """The share that k of n leaves no doubt about at that one-sided confidence; 0 for k = 0."""
    _counted(k, n)
    return _beta_quantile(1 - confidence, k, n - k + 1) if k else 0.0


def upper_bound(k: int, n: int, confidence: float) -> float:
    """The largest share that k of n is compatible with at that one-sided confidence; 1 for k = n."""
    _counted(k, n)
    return _beta_quantile(confidence, k + 1, n - k) if k < n else 1.0


def _clopper_pearson(value: float, k: float, n: float, confidence: float) -> Interval:
    tail = (1 + share("confidence of an interval", confidence)) / 2
    low = _beta_quantile(1 - tail, k, n - k + 1) if k > 0 else 0.0
    high = _beta_quantile(tail, k + 1, n - k) if k < n else 1.0
    return Interval(value, low, high)


def _independent_cases(right: Floats, cases: Floats, persons: Persons, confidence: float) -> float:
    """n* above; `right` and `cases` are (n,) 0 or 1."""
    from scipy.stats import t

    n, m = float(cases.sum()), int((persons.totals(cases) > 0).sum())
    share_right = float(right.sum()) / n
    away = persons.totals(right - share_right * cases)
    variance = float((away**2).sum()) * m / max(m - 1, 1) / n**2
    if not 0 < share_right < 1 or m == 1 or n <= 1:
        return min(n, float(m))
    if variance == 0:
        return n
    level = (1 + confidence) / 2
    lost = float(t.ppf(level, n - 1) / t.ppf(level, m - 1)) ** 2
    return min(n, max(1.0, share_right * (1 - share_right) / variance * lost))


def _beta_quantile(probability: float, a: float, b: float) -> float:
    from scipy.stats import beta  # a second or more to import, and most scores need no exact bound

    return float(beta.ppf(probability, a, b))


def flawless_auc(n_reactive: int, n_malignant: int, confidence: float = 0.95) -> Interval:
    """An AUC of 1 with its lower bound, at the level of a two-sided interval, see `lymphofeat.estimates.intervals`."""
    return _flawless("auc", n_reactive, n_malignant, confidence)


def flawless_balanced_accuracy(n_reactive: int, n_malignant: int, confidence: float = 0.95) -> Interval:
    """A balanced accuracy of 1 with its lower bound, at the level of a two-sided interval, likewise."""
    return _flawless("balanced_accuracy", n_reactive, n_malignant, confidence)


def errors_unseen(n: int, confidence: float = 0.95) -> float:
    """The largest share of errors that n patients, however drawn from two classes, show none of, two-sided level."""
    return float(1 - ((1 - share("confidence of an interval", confidence)) / 2) ** (1 / n))


def _flawless(metric: str, n_reactive: int, n_malignant: int, confidence: float) -> Interval:
    share("confidence of an interval", confidence)
    return widened(Interval(1.0, 1.0, 1.0), unseen(metric, 1.0, n_reactive, n_malignant), confidence)


def _counted(k: int, n: int) -> None:
    if not 0 <= k <= n or not np.isfinite(n):
        raise InputError(f"A share counts 0 to n of n cases, not {k} of {n}.")
