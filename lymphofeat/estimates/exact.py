"""Exact binomial bounds: of a share that was counted, and of a score without any error.

Clopper & Pearson, *The use of confidence or fiducial limits illustrated in the case of the binomial*, Biometrika 26
(1934): the bounds are quantiles of beta distributions. Their coverage is at least the stated one.
"""

import numpy as np

from ..errors import InputError
from ._checks import share
from .intervals import Interval, unseen, widened

__all__ = [
    "errors_unseen",
    "flawless_auc",
    "flawless_balanced_accuracy",
    "lower_bound",
    "share_interval",
    "upper_bound",
]


def share_interval(k: int, n: int, confidence: float = 0.95) -> Interval:
    """k/n with its Clopper–Pearson interval; of no cases, NaN between 0 and 1."""
    tail = (1 + share("confidence of an interval", confidence)) / 2
    value = k / n if n else float("nan")
    return Interval(value, lower_bound(k, n, tail), upper_bound(k, n, tail))


def lower_bound(k: int, n: int, confidence: float) -> float:
    """The share that k of n leaves no doubt about at that one-sided confidence; 0 for k = 0."""
    _counted(k, n)
    return _beta_quantile(1 - confidence, k, n - k + 1) if k else 0.0


def upper_bound(k: int, n: int, confidence: float) -> float:
    """The largest share that k of n is compatible with at that one-sided confidence; 1 for k = n."""
    _counted(k, n)
    return _beta_quantile(confidence, k + 1, n - k) if k < n else 1.0


def _beta_quantile(probability: float, a: int, b: int) -> float:
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
