"""Variance, interval and paired test of the AUC after DeLong.

DeLong, DeLong & Clarke-Pearson, *Comparing the areas under two or more correlated receiver operating characteristic
curves*, Biometrics 44 (1988), computed from midranks in O(n log n) (Sun & Xu, IEEE Signal Processing Letters 21,
2014). With Rᵢ the midrank of malignant patient i among all and Tᵢ among the malignant,

    A = mean Vᵢ,   Vᵢ = (Rᵢ − Tᵢ) / n₀,   and for reactive patient j:  Wⱼ = 1 − (Rⱼ − Tⱼ) / n₁
    cov(A, A') = cov(V, V') / n₁ + cov(W, W') / n₀

The interval is taken on the logit scale, where it cannot leave [0, 1] and covers better near 1 (Pepe 2003, section
5.2.5): logit A ± z √var / (A (1 − A)).

Where one person has several rows (`groups`), sums by person take the place of single rows (Obuchowski, *Nonparametric
analysis of clustered ROC curve data*, Biometrics 53, 1997). With I₁, I₀ and I the numbers of persons with malignant
rows, with reactive ones, and in all, and sᵢ = Σ (V − A), rᵢ = Σ (W − A) over the rows of person i:

    cov(A, A') = I₁/(I₁−1) Σ sᵢ sᵢ' / n₁² + I₀/(I₀−1) Σ rᵢ rᵢ' / n₀² + I/(I−1) Σ (sᵢ rᵢ' + sᵢ' rᵢ) / (n₀ n₁)
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from ..errors import InputError
from ._checks import Floats, Labels, share
from .exact import flawless_auc
from .intervals import Interval, widened
from .paired import Compared
from .persons import Persons
from .scores import unseen_of

__all__ = ["delong_covariance", "delong_interval", "delong_test"]


def delong_covariance(
    y: ArrayLike, scores: ArrayLike, groups: ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """The AUCs of m scores on the same patients, and their covariance.

    Args:
        y: (n,) labels 0 and 1, at least two patients of each.
        scores: (m, n) float64, larger for label 1; infinite values are allowed.
        groups: (n,) equal where two rows are of one person; None: every row is a patient of their own.

    Returns:
        (m,) AUCs and their (m, m) covariance.

    Raises:
        InputError: lengths that differ, another label, NaN, or fewer than two patients of a class.
    """
    from scipy.stats import rankdata  # here and below: a second or more to import

    given = np.asarray(y)
    values = np.asarray(scores, dtype=np.float64)
    if given.ndim != 1 or values.ndim != 2 or values.shape[1] != len(given):
        raise InputError(
            f"Scores {values.shape} must be one row per pipeline, one column per label {given.shape}."
        )
    if not np.isin(given, (0, 1)).all() or np.isnan(values).any():
        raise InputError("An AUC needs labels 0 and 1 and scores that are numbers.")
    malignant = given == 1
    n1, n0 = int(malignant.sum()), int((~malignant).sum())
    if min(n0, n1) < 2:
        raise InputError(
            f"DeLong's variance needs two patients of each class; here {n0} reactive, {n1} malignant."
        )
    among_all = rankdata(values, axis=1)
    of_malignant = (among_all[:, malignant] - rankdata(values[:, malignant], axis=1)) / n0
    of_reactive = 1 - (among_all[:, ~malignant] - rankdata(values[:, ~malignant], axis=1)) / n1
    areas = np.asarray(of_malignant.mean(axis=1))
    persons = Persons.behind(malignant, groups)
    if persons.repeat:
        return areas, _by_person(
            persons, malignant, of_malignant - areas[:, None], of_reactive - areas[:, None]
        )
    covariance = np.atleast_2d(np.cov(of_malignant)) / n1 + np.atleast_2d(np.cov(of_reactive)) / n0
    return areas, np.asarray(covariance)


def _by_person(persons: Persons, malignant: Labels, of_malignant: Floats, of_reactive: Floats) -> Floats:
    """(m, m) covariance from (m, n₁) and (m, n₀) deviations of the rows.

    Raises:
        InputError: a class has rows of one person only.
    """

    def summed(rows: Labels, away: Floats) -> tuple[Floats, float]:
        n_persons = len(np.unique(persons.of_rows[rows]))
        if n_persons < 2:
            raise InputError("DeLong's variance needs rows of two persons of each class.")
        placed = np.zeros((len(away), len(rows)))
        placed[:, rows] = away / int(rows.sum())
        return np.stack([persons.totals(values) for values in placed]), n_persons / (n_persons - 1)

    (s, of_s), (r, of_r) = summed(malignant, of_malignant), summed(~malignant, of_reactive)
    crossed = s @ r.T * (len(persons) / (len(persons) - 1))
    return np.asarray(of_s * s @ s.T + of_r * r @ r.T + crossed + crossed.T)


def delong_interval(
    y: ArrayLike, score: ArrayLike, confidence: float = 0.95, groups: ArrayLike | None = None
) -> Interval:
    """The AUC with its interval on the logit scale; by person with `groups`, see `delong_covariance`.

    Where the classes are separated the variance is 0; the bound is then the exact one of `exact.flawless_auc`.

    Raises:
        InputError: as `delong_covariance`.
    """
    from scipy.stats import norm

    z = norm.ppf((1 + share("confidence of an interval", confidence)) / 2)
    areas, covariance = delong_covariance(y, np.asarray(score, dtype=np.float64)[None], groups)
    area = float(areas[0])
    if area in (0.0, 1.0):
        bound = flawless_auc(*Persons.behind(y, groups).of_class, confidence).low
        return Interval(area, bound, 1.0) if area == 1 else Interval(area, 0.0, 1 - bound)
    reach = z * np.sqrt(covariance[0, 0]) / (area * (1 - area))
    low, high = expit(logit(area) + np.array([-reach, reach]))
    return Interval(area, float(low), float(high))


def delong_test(
    y: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    confidence: float = 0.95,
    groups: ArrayLike | None = None,
) -> Compared:
    """The difference of two AUCs on the same patients, first less second, and the two-sided p-value of none.

    Args:
        y: (n,) labels 0 and 1, at least two patients of each.
        first, second: (n,) scores of the two pipelines.
        confidence: coverage of the interval, which is difference ± z √(var + var' − 2 cov), ended at −1 and 1; of two
            AUCs of 0 or 1 by different scores, how far these may lie from the truth (`lymphofeat.estimates.intervals`).
        groups: as of `delong_covariance`.

    Returns:
        p is 1 where the two order all patients alike: nothing speaks for a difference.
    """
    from scipy.stats import norm, rankdata

    z = norm.ppf((1 + share("confidence of an interval", confidence)) / 2)
    scores = np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)])
    areas, covariance = delong_covariance(y, scores, groups)
    difference = float(areas[0] - areas[1])
    error = np.sqrt(max(float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]), 0.0))
    interval = Interval(difference, max(difference - z * error, -1.0), min(difference + z * error, 1.0))
    if error == 0:
        if not np.array_equal(*rankdata(scores, axis=1)):
            one, other = (unseen_of("auc", float(area), y, groups) for area in areas)
            interval = widened(interval, one.less(other), confidence)
        return Compared(interval, 1.0 if difference == 0 else 0.0)
    return Compared(interval, float(2 * norm.sf(abs(difference) / error)))
