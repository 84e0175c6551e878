"""How many patients a score would need to reach the wished precision.

Resamples of m patients, drawn within the classes in these patients' shares, say how wide the percentile interval of m
patients would be (m-out-of-n bootstrap with m > n; Efron & Tibshirani 1993, chapter 25). It falls as 1/√m; the search
starts at m = n (width/wished)² and follows the law until the width is met. More patients would also train a better
model: that is `learning_curve`'s. Where one person has several rows (`groups`), the patients counted here are persons.
"""

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ._checks import Labels, share
from .bootstrap import Weighted
from .persons import Persons

__all__ = ["patients_for_width", "patients_to_halve", "width_with"]

_ROUNDS, _CLOSE = 8, 0.01


def width_with(
    statistic: Weighted,
    y: ArrayLike,
    n_patients: int,
    *,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 4000,
    seed: int = 0,
) -> float:
    """How wide the interval of the score would be on `n_patients` patients like these.

    Args:
        statistic: the score as a function of weights, see `metrics.statistic`.
        y: (n,) labels 0 and 1, both present.
        n_patients: at least 2, of both classes in the shares of y.
        groups: as of `bootstrap.resample`.
        confidence, n_resamples, seed: of the bootstrap; the width's own error is about 2 % with 4000.

    Raises:
        InputError: one class only, or so few patients that a class would have none.
    """
    malignant: Labels = np.asarray(y) == 1
    tail = (1 - share("confidence of an interval", confidence)) / 2
    if malignant.all() or not malignant.any():
        raise InputError("A score needs patients of both classes; here all have the same label.")
    persons = Persons.behind(malignant, groups)
    rng = np.random.default_rng(seed)
    weights = np.empty((n_resamples, len(persons)))
    drawn_of = _drawn(persons, n_patients)
    for members in reversed(list(persons.by_stratum())):
        drawn, size = drawn_of[persons.strata[members[0]]], len(members)
        weights[:, members] = rng.multinomial(drawn, np.full(size, 1 / size), size=n_resamples)
    low, high = np.quantile(statistic(persons.rows_of(weights)), [tail, 1 - tail])
    return float(high - low)


def _drawn(persons: Persons, n_patients: int) -> list[int]:
    """How many persons of each stratum are drawn, in the shares of those that there are.

    Raises:
        InputError: so few that a class would have none.
    """
    _, malignant, both = (
        round(n_patients * (int(size) / len(persons))) for size in np.bincount(persons.strata, minlength=3)
    )
    drawn = [n_patients - malignant - both, malignant, both]  # the first takes what rounding leaves
    if min(drawn) < 0 or not min(drawn[0], drawn[1]) + both > 0:
        raise InputError(f"Among {n_patients} patients like these one class would have none; ask for more.")
    if not (persons.strata == 0).any():  # of persons with rows of both classes all resamples have some
        drawn = [0, n_patients - both, both] if malignant else [0, 0, n_patients]
    return drawn


def patients_for_width(
    statistic: Weighted,
    y: ArrayLike,
    width: float,
    *,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 4000,
    seed: int = 0,
) -> int:
    """How many patients in all the interval needs to be that wide; arguments as of `width_with`.

    Raises:
        InputError: as `width_with`, a width that is not above 0, or a score that does not vary among these patients.
    """
    if not (np.isfinite(width) and width > 0):
        raise InputError(f"The width of an interval is above 0, not {width}.")
    n = len(Persons.behind(y, groups))
    for _ in range(_ROUNDS):
        reached = width_with(
            statistic, y, n, groups=groups, confidence=confidence, n_resamples=n_resamples, seed=seed
        )
        if not (np.isfinite(reached) and reached > 0):
            raise InputError("This score does not vary among these patients; no number can be estimated.")
        if abs(reached / width - 1) < _CLOSE:
            break
        n = max(2, round(n * (reached / width) ** 2))
    return n


def patients_to_halve(
    statistic: Weighted,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 4000,
    seed: int = 0,
) -> int:
    """How many patients in all would halve the score's interval: about four times as many."""
    n = len(Persons.behind(y, groups))
    now = width_with(
        statistic, y, n, groups=groups, confidence=confidence, n_resamples=n_resamples, seed=seed
    )
    if not (np.isfinite(now) and now > 0):
        raise InputError("This score does not vary among these patients; no number can be estimated.")
    return patients_for_width(
        statistic, y, now / 2, groups=groups, confidence=confidence, n_resamples=n_resamples, seed=seed
    )
