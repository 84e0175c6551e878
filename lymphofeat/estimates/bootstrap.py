"""The bootstrap by patient, stratified by class, and its bias-corrected and accelerated (BCa) intervals.

Every resample draws as many patients of each class as there are. It is a row of integer weights, so that all resamples
of a score are a few array operations.

Where one person has several rows (`groups`), whole persons are drawn, as many as there are of those with reactive rows
only, with malignant ones only, and with both, so that no resample lacks a class; patient i below is then a person, h
one of the three (`persons`).

Efron, *Better bootstrap confidence intervals*, JASA 82 (1987). With θ̂ the score, θ*ᵦ its resamples, Φ the normal
distribution function and α the tail,

    z₀ = Φ⁻¹(share of θ*ᵦ below θ̂, ties as half)
    a  = Σₕ Σᵢ Uₕᵢ³ / nₕ³ / (6 (Σₕ Σᵢ Uₕᵢ² / nₕ²)^(3/2))
    Uₕᵢ = (nₕ − 1)(mean of θ̂ without one patient of class h − θ̂ without patient i)

and the bounds are the quantiles Φ(z₀ + (z₀ + z)/(1 − a (z₀ + z))) of θ*, with z = Φ⁻¹(α) and Φ⁻¹(1 − α). The sum over
classes h is the acceleration for samples drawn in strata (Davison & Hinkley, *Bootstrap Methods and their
Application*, 1997, section 5.3.2; Efron & Tibshirani 1993, chapter 14).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from ..errors import InputError
from ._checks import Floats, share
from .intervals import SEEN, Interval, Unseen, widened
from .persons import Numbers, Persons

__all__ = ["Resampled", "Weighted", "bca_interval", "resample", "resample_weights"]

# (B, n) weights, each row with some weight in both classes → (B,) scores.
Weighted = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Resampled:
    """A score on all patients, on every resample of them, and without each of them.

    A patient is a person here, with all their rows.

    Attributes:
        value: on all patients.
        resampled: (B,) float64; the same seed, labels and groups draw the same resamples, so that two pipelines' scores
            on the same patients may be subtracted.
        jackknife: (m,) float64, without that patient; NaN for the only one of its stratum.
        strata: (m,) int64, see `Persons.strata`.
        beyond: what a sample without any error, or without any success, cannot see (`intervals`).
    """

    value: float
    resampled: Floats
    jackknife: Floats
    strata: Numbers
    beyond: Unseen = SEEN

    def __sub__(self, other: "Resampled") -> "Resampled":
        """The paired difference of two scores on the same patients, with the same seed."""
        beyond = SEEN if other is self else self.beyond.less(other.beyond)
        with np.errstate(invalid="ignore"):  # ∞ − ∞ is not a number, and shows as such
            return Resampled(
                self.value - other.value,
                self.resampled - other.resampled,
                self.jackknife - other.jackknife,
                self.strata,
                beyond,
            )

    @property
    def acceleration(self) -> float:
        """a above; 0 where the score does not change with any patient, or jumps to infinity without one."""
        cubes = squares = 0.0
        for stratum in (1, 0, 2):
            left_out = self.jackknife[self.strata == stratum]
            if not len(left_out):
                continue
            if np.isfinite(left_out).all():
                influence = (len(left_out) - 1) * (left_out.mean() - left_out)
                cubes += float((influence**3).sum()) / len(left_out) ** 3
                squares += float((influence**2).sum()) / len(left_out) ** 2
            elif len(left_out) > 1:
                return 0.0
        return cubes / (6 * squares**1.5) if squares > 0 else 0.0

    def interval(self, confidence: float = 0.95) -> Interval:
        """The value with its BCa interval of that coverage, in (0, 1).

        Where all resamples score alike the interval has no width, or that of `beyond`: the bootstrap cannot see beyond
        the sample. An infinite bound says that the sample sets none.
        """
        tail = (1 - share("confidence of an interval", confidence)) / 2
        if (self.resampled == self.value).all():
            low = high = self.value
        else:
            low, high = (self._quantile(self._level(z)) for z in (ndtri(tail), -ndtri(tail)))
        return widened(Interval(self.value, low, high), self.beyond, confidence)

    def percentile(self, confidence: float = 0.95) -> Interval:
        """The value with its percentile interval: for paired differences, which are nearly symmetric.

        There is little for z₀ and a to correct in them, and their own noise costs coverage (docs/coverage.md).
        """
        tail = (1 - share("confidence of an interval", confidence)) / 2
        found = Interval(self.value, self._quantile(tail), self._quantile(1 - tail))
        return widened(found, self.beyond, confidence)

    def _level(self, z: float) -> float:
        n = len(self.resampled)
        below = np.count_nonzero(self.resampled < self.value) + np.count_nonzero(self.resampled <= self.value)
        z0 = ndtri(np.clip(below / (2 * n), 0.5 / n, 1 - 0.5 / n))  # never infinite
        stretch = 1 - self.acceleration * (z0 + z)
        if stretch <= 0:  # so skew that the bound lies beyond all resamples
            return float(z > 0)
        return float(ndtr(z0 + (z0 + z) / stretch))

    def _quantile(self, level: float) -> float:
        # Between a finite and an infinite resample nothing can be interpolated.
        method = "linear" if np.isfinite(self.resampled).all() else "inverted_cdf"
        return float(np.quantile(self.resampled, level, method=method))  # type: ignore[call-overload]


def resample(
    statistic: Weighted,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Resampled:
    """The score on all patients, on stratified resamples and without each patient.

    Args:
        statistic: the score as a function of the rows' weights, as `metrics.statistic` makes it.
        y: (n,) labels 0 and 1, both present.
        groups: (n,) equal where two rows are of one person; None: every row is a patient of their own.
        n_resamples: at least 1.
        seed: of the resamples.

    Raises:
        InputError: one class only, no resamples, or another number of groups.
    """
    malignant = np.asarray(y) == 1
    if malignant.all() or not malignant.any():
        raise InputError("A score needs patients of both classes; here all have the same label.")
    if n_resamples < 1:
        raise InputError(f"The bootstrap needs at least 1 resample, not {n_resamples}.")
    persons = Persons.behind(y, groups)
    sizes = np.bincount(persons.strata, minlength=3)[persons.strata]
    jackknife = np.full(len(persons), np.nan)
    replaceable = np.flatnonzero(sizes > 1)
    if len(replaceable):
        jackknife[replaceable] = statistic(persons.without(replaceable))
    value = float(statistic(np.ones((1, len(malignant))))[0])
    resampled = statistic(_weights(persons, n_resamples, seed))
    return Resampled(value, resampled, jackknife, persons.strata)


def resample_weights(y: ArrayLike, n_resamples: int, seed: int, groups: ArrayLike | None = None) -> Floats:
    """(n_resamples, n) float64: how often each resample drew each row, whole persons within their strata.

    The same arguments give the same resamples, here and in `resample`.
    """
    return _weights(Persons.behind(y, groups), n_resamples, seed)


def _weights(persons: Persons, n_resamples: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    weights = np.empty((n_resamples, len(persons)))
    for members in persons.by_stratum():
        size = len(members)
        drawn = rng.integers(size, size=(n_resamples, size))
        drawn += np.arange(n_resamples)[:, None] * size  # one range of numbers per resample: a single count
        counts = np.bincount(drawn.ravel(), minlength=n_resamples * size)
        weights[:, members] = counts.reshape(n_resamples, size)
    return persons.rows_of(weights)


def bca_interval(
    statistic: Weighted,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The score with its stratified BCa interval; arguments and errors as of `resample`."""
    return resample(statistic, y, groups=groups, n_resamples=n_resamples, seed=seed).interval(confidence)
