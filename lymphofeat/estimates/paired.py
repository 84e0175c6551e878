"""Two pipelines on the same patients: paired bootstrap and McNemar's exact test.

Bootstrap: both scores on the same resamples, percentile interval of their difference (Efron & Tibshirani 1993, chapters
13 and 16). Its p-value is the smallest level at which that interval excludes 0,
2 (1 + #{d* on the far side of 0, or on it}) / (B + 1).

McNemar: of the patients that only one of the two decides rightly, half should be each one's (McNemar, Psychometrika
12, 1947; exact binomial form: Agresti, *Categorical Data Analysis*, section 10.1.4). Where one person has several rows,
persons are counted: a person is the one's who decides more of their rows rightly. That is a sign test of the persons.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ._checks import labels_and_decisions
from .bootstrap import Weighted, resample
from .persons import Persons
from .scores import Interval

__all__ = ["Compared", "McNemar", "mcnemar", "paired_bootstrap"]


class Compared(NamedTuple):
    """What sets the first pipeline apart from the second.

    Attributes:
        difference: first less second, with its interval.
        p_value: two-sided, of no difference.
    """

    difference: Interval
    p_value: float


class McNemar(NamedTuple):
    """How many patients only one of two pipelines decides rightly.

    Attributes:
        only_first, only_second: patients that only this one decides rightly; of persons with several rows, those of
            whom it decides more rightly.
        p_value: exact, two-sided; 1 where the two are right on the same patients.
    """

    only_first: int
    only_second: int
    p_value: float


def paired_bootstrap(
    first: Weighted,
    second: Weighted,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Compared:
    """The difference of two scores on the same patients, with its stratified percentile interval and its p-value.

    Args:
        first, second: each pipeline's score as a function of weights, see `metrics.statistic`.
        y: (n,) labels 0 and 1, both present.
        groups: as of `bootstrap.resample`.
        n_resamples: the p-value is at least 2/(n_resamples + 1).
        confidence: coverage of the interval.
        seed: of the resamples.

    Raises:
        InputError: as `bootstrap.resample`.
    """
    one, other = (
        resample(statistic, y, groups=groups, n_resamples=n_resamples, seed=seed)
        for statistic in (first, second)
    )
    difference = one - other
    beyond = min(np.count_nonzero(difference.resampled <= 0), np.count_nonzero(difference.resampled >= 0))
    return Compared(difference.percentile(confidence), min(1.0, 2 * (1 + beyond) / (n_resamples + 1)))


def mcnemar(y: ArrayLike, first: ArrayLike, second: ArrayLike, groups: ArrayLike | None = None) -> McNemar:
    """McNemar's exact test of two pipelines' decisions.

    Args:
        y: (n,) labels 0 and 1.
        first, second: (n,) decisions 0 and 1 of the two pipelines.
        groups: (n,) equal where two rows are of one person; persons are then counted.

    Raises:
        InputError: lengths that differ, labels or decisions other than 0 and 1.
    """
    from scipy.stats import binomtest  # a second or more to import

    labels, one = labels_and_decisions(y, first)
    _, other = labels_and_decisions(y, second)
    if one.shape != other.shape:
        raise InputError(
            f"Two pipelines are compared on the same patients, not on {len(one)} and {len(other)}."
        )
    persons = Persons.behind(labels, groups)
    ahead = persons.totals((one == labels).astype(np.float64) - (other == labels))
    only_first, only_second = int((ahead > 0).sum()), int((ahead < 0).sum())
    apart = only_first + only_second
    return McNemar(only_first, only_second, float(binomtest(only_first, apart).pvalue) if apart else 1.0)
