"""Scores of repeated k-fold cross-validation: the corrected t interval and test.

The training parts of folds and repeats overlap, so that their scores are not independent and the plain t interval is
far too narrow. Nadeau & Bengio (Machine Learning 52, 2003) add the share that overlap costs; for r repeats of k folds
(Bouckaert & Frank, PAKDD 2004), with m = r k scores of mean x̄ and variance s²,

    x̄ ± t_{m−1} e,   e = √((1/m + n_test/n_train) s²),   n_test/n_train = 1/(k − 1)

Scores from 0 to 1 have their interval on the logit scale, logit x̄ ± t e/(x̄ (1 − x̄)), as DeLong's (`delong`; Pepe,
*The Statistical Evaluation of Medical Tests*, 2003, section 5.2.5): it stays inside 0 and 1, and covers near 1, where
x̄ ± t e does not (docs/coverage.md). Where all scores are 1 they do not vary, and do not say how far the truth may be.

Beyond that it takes the scores of folds to vary by training part as much as by test part. It is for scores per fold;
the interval by patient of `bootstrap` says what other patients would have given under the same models. All rows of one
person share a fold, so that two folds' scores have no person in common; within a fold a score counts rows.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from ..errors import InputError
from ._checks import Floats, share
from .intervals import Interval
from .paired import Compared

__all__ = ["corrected_t", "corrected_t_test"]


_NEAREST = 1e-12  # scores nearer to 0 or 1 are 0 or 1


def corrected_t(scores: ArrayLike, confidence: float = 0.95, *, unit: bool = True) -> Interval:
    """The mean score with its corrected t interval.

    Args:
        scores: (r, k) float64, a row per repeat of the cross-validation, a column per fold.
        confidence: coverage of the interval, in (0, 1).
        unit: whether the scores lie between 0 and 1, and so does their interval; false for others, such as log loss.

    Returns:
        Bounds of scores that are all 0 or all 1 are NaN: not known.

    Raises:
        InputError: not r × k with k at least 2, values that are not finite, or with `unit` outside 0 to 1.
    """
    from scipy.stats import t  # here and below: a second or more to import

    values, error = _corrected(scores)
    reach = float(t.ppf((1 + share("confidence of an interval", confidence)) / 2, values.size - 1)) * error
    mean = float(values.mean())
    if not unit:
        return Interval(mean, mean - reach, mean + reach)
    if values.min() < 0 or values.max() > 1:
        raise InputError("Scores outside 0 to 1 have no interval on the logit scale; give unit=False.")
    if not _NEAREST < mean < 1 - _NEAREST:
        return Interval(mean, float("nan"), float("nan"))
    reach /= mean * (1 - mean)
    low, high = expit(logit(mean) + np.array([-reach, reach]))
    return Interval(mean, float(low), float(high))


def corrected_t_test(
    first: ArrayLike, second: ArrayLike, confidence: float = 0.95, *, unit: bool = True
) -> Compared:
    """The mean difference of two pipelines' scores on the same folds, and the two-sided p-value of none.

    Args:
        first, second: (r, k) float64, scores of the two pipelines on the same repeats and folds.
        confidence: coverage of the interval.
        unit: whether the scores lie between 0 and 1; their difference's interval then ends at −1 and 1, which takes
            nothing from its coverage.

    Raises:
        InputError: as `corrected_t`, and shapes that differ.
    """
    from scipy.stats import t

    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape:
        raise InputError(
            f"Two pipelines are compared on the same folds, not on {one.shape} and {other.shape}."
        )
    difference = corrected_t(one - other, confidence, unit=False)
    if unit:
        difference = Interval(difference.value, max(difference.low, -1.0), min(difference.high, 1.0))
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
