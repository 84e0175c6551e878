"""Scores of repeated k-fold cross-validation: the corrected t interval and test.

The training parts of folds and repeats overlap, so that their scores are not independent and the plain t interval is
far too narrow. Nadeau & Bengio (Machine Learning 52, 2003) add the share that overlap costs; for r repeats of k folds
(Bouckaert & Frank, PAKDD 2004), with m = r k scores of mean x̄ and variance s²,

    x̄ ± t_{m−1} √((1/m + n_test/n_train) s²),   n_test/n_train = 1/(k − 1)

Beyond that it takes the scores of folds to vary by training part as much as by test part. It is for scores per fold;
the interval by patient of `bca` says what other patients would have given under the same models.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

from ..errors import InputError
from ..statistics import Interval
from ._checks import Floats, share
from .paired import Compared

__all__ = ["corrected_t", "corrected_t_test"]


def corrected_t(scores: ArrayLike, confidence: float = 0.95) -> Interval:
    """The mean score with its corrected t interval.

    Args:
        scores: (r, k) float64, a row per repeat of the cross-validation, a column per fold.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        InputError: not r × k with k at least 2, or values that are not finite.
    """
    values, error = _corrected(scores)
    reach = t.ppf((1 + share("confidence of an interval", confidence)) / 2, values.size - 1) * error
    mean = float(values.mean())
    return Interval(mean, float(mean - reach), float(mean + reach))


def corrected_t_test(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> Compared:
    """The mean difference of two systems' scores on the same folds, and the two-sided p-value of none.

    Args:
        first, second: (r, k) float64, scores of the two systems on the same repeats and folds.
        confidence: coverage of the interval.

    Raises:
        InputError: as `corrected_t`, and shapes that differ.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape:
        raise InputError(f"Two systems are compared on the same folds, not on {one.shape} and {other.shape}.")
    difference = corrected_t(one - other, confidence)
    values, error = _corrected(one - other)
    if error == 0:
        return Compared(difference, 1.0 if difference.value == 0 else 0.0)
    return Compared(difference, float(2 * t.sf(abs(difference.value) / error, values.size - 1)))


def _corrected(scores: ArrayLike) -> tuple[Floats, float]:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2 or not np.isfinite(values).all():
        raise InputError(
            f"Scores come as repeats × folds, at least two folds, all finite; not {values.shape}."
        )
    overlap = 1 / (values.shape[1] - 1)
    return values, float(np.sqrt((1 / values.size + overlap) * values.var(ddof=1)))
