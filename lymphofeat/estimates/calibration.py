"""Are the probabilities right? Logistic recalibration and the expected calibration error, as weighted scores.

Slope β of logit P(y = 1) = α + β logit(p): below 1, the probabilities are too extreme; above 1, too timid. Intercept
α with β fixed at 1, calibration in the large: above 0, they are too low (Cox, *Two further applications of a model
for binary regression*, Biometrika 45, 1958; which intercept: Van Calster et al., BMC Medicine 17, 2019).

Expected calibration error, Σₖ |Σᵢ∈ₖ wᵢ (yᵢ − pᵢ)| / Σ wᵢ, over `N_BINS` bins of nearly equal numbers of patients,
equal probabilities together (Naeini et al., AAAI 2015; equal numbers: Nixon et al., CVPR workshops 2019). It is never
negative, and biased upwards: `error_if_calibrated` says what perfect probabilities would show on as many patients.
Resamples are biased upwards once more, which no bootstrap interval of the error itself survives. Its interval here is
ECE ± c with c the quantile of Σₖ |dₖ* − dₖ|, dₖ the bin's Σᵢ wᵢ (yᵢ − pᵢ)/Σ wᵢ, in resamples: by the triangle
inequality the error of the same bins in the population is no further away than their Σₖ |dₖ − δₖ|. It covers more often
than stated.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._checks import Floats, Labels, labels_and_probabilities, share
from ._logistic import fit_logistic, log_odds
from .bootstrap import Weighted, resample_weights
from .exact import errors_unseen
from .persons import Persons
from .scores import Interval

__all__ = [
    "N_BINS",
    "bins_of",
    "calibration_error",
    "calibration_error_interval",
    "calibration_intercept",
    "calibration_slope",
    "error_if_calibrated",
]

N_BINS = 10


def calibration_slope(y: ArrayLike, p: ArrayLike) -> Weighted:
    """β as a function of (B, n) weights; +∞ or −∞ where p separates the classes, NaN where all p are equal."""
    labels, probabilities = labels_and_probabilities(y, p)
    logits = log_odds(probabilities)
    columns = np.column_stack([np.ones(len(logits)), logits])

    def slope(weights: Floats) -> Floats:
        found = fit_logistic(columns, labels.astype(np.float64), weights)[:, 1]
        return _where_separated(labels, logits, weights, found)

    return slope


def calibration_intercept(y: ArrayLike, p: ArrayLike) -> Weighted:
    """α at slope 1 as a function of (B, n) weights, in log-odds."""
    labels, probabilities = labels_and_probabilities(y, p)
    ones = np.ones((len(labels), 1))
    return lambda weights: fit_logistic(
        ones, labels.astype(np.float64), weights, offset=log_odds(probabilities)
    )[:, 0]


def calibration_error(y: ArrayLike, p: ArrayLike, n_bins: int = N_BINS) -> Weighted:
    """The expected calibration error as a function of (B, n) weights; the bins are those of all patients."""
    labels, probabilities = labels_and_probabilities(y, p)
    excess = _excess(labels, probabilities, n_bins)
    return lambda weights: np.asarray(np.abs(weights @ excess).sum(axis=1) / weights.sum(axis=1))


def calibration_error_interval(
    y: ArrayLike,
    p: ArrayLike,
    *,
    n_bins: int = N_BINS,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """The expected calibration error with its conservative interval, see the module's docstring.

    Args:
        y: (n,) labels 0 and 1, both present.
        p: (n,) probabilities of label 1.
        n_bins: at most as many bins.
        groups: as of `bootstrap.resample`.
        confidence, n_resamples, seed: of the stratified bootstrap.
    """
    labels, probabilities = labels_and_probabilities(y, p)
    share("confidence of an interval", confidence)
    excess = _excess(labels, probabilities, n_bins)
    here = excess.mean(axis=0)
    weights = resample_weights(labels, n_resamples, seed, groups)
    away = weights @ excess / weights.sum(axis=1, keepdims=True) - here
    reach = float(np.quantile(np.abs(away).sum(axis=1), confidence))
    error = float(np.abs(here).sum())
    if reach == 0:  # probabilities 0 and 1 that were all right, or all wrong: no resample differs
        reach = errors_unseen(len(Persons.behind(labels, groups)), confidence)
    return Interval(error, max(0.0, error - reach), min(1.0, error + reach))


def error_if_calibrated(
    p: ArrayLike,
    *,
    n_bins: int = N_BINS,
    groups: ArrayLike | None = None,
    n_drawn: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The expected calibration error that perfect probabilities would show: its mean and central range.

    Labels are drawn from p (consistency resampling: Bröcker & Smith, Weather and Forecasting 22, 2007).

    Args:
        p: (n,) probabilities.
        n_bins: as given to `calibration_error`.
        groups: (n,) equal where two rows are of one person, whose labels are then drawn together: with the same p all
            are the same.
        n_drawn: sets of labels drawn.
        confidence: share of them inside the range.
        seed: of the resampling.
    """
    _, probabilities = labels_and_probabilities(np.zeros(len(np.asarray(p))), p)
    tail = (1 - share("confidence of a range", confidence)) / 2
    bins = bins_of(probabilities, n_bins)
    persons = Persons.behind(np.zeros(len(probabilities)), groups)
    uniform = np.random.default_rng(seed).random((n_drawn, len(persons)))
    drawn = persons.rows_of(uniform) < probabilities
    excess = (drawn - probabilities) @ np.eye(bins.max() + 1)[bins]
    errors = np.abs(excess).sum(axis=1) / len(probabilities)
    low, high = np.quantile(errors, [tail, 1 - tail])
    return Interval(float(errors.mean()), float(low), float(high))


def bins_of(p: Floats, n_bins: int = N_BINS) -> NDArray[np.intp]:
    """(n,) the bin of each patient, 0 upwards: at most `n_bins`, of nearly equal size, equal p together."""
    _, inverse, counts = np.unique(p, return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - counts / 2  # where a run of equal values lies among all patients
    assigned = np.minimum((middles * n_bins / len(p)).astype(np.intp), n_bins - 1)
    return np.unique(assigned, return_inverse=True)[1][inverse]


def _excess(labels: Labels, probabilities: Floats, n_bins: int) -> Floats:
    """(n, bins) y − p in the patient's own bin, 0 elsewhere."""
    bins = bins_of(probabilities, n_bins)
    return np.asarray(np.eye(bins.max() + 1)[bins] * (labels - probabilities)[:, None])


def _where_separated(labels: Labels, logits: Floats, weights: Floats, slopes: Floats) -> Floats:
    """The slopes, infinite in the rows where no reactive patient lies on the wrong side of any malignant one."""
    drawn = weights > 0
    reactive = np.where(drawn & ~labels, logits, np.nan)
    malignant = np.where(drawn & labels, logits, np.nan)
    above = np.nanmin(malignant, axis=1) - np.nanmax(reactive, axis=1)
    below = np.nanmin(reactive, axis=1) - np.nanmax(malignant, axis=1)
    result = np.where(above >= 0, np.inf, np.where(below >= 0, -np.inf, slopes))
    result[(above == 0) & (below == 0)] = np.nan  # one probability for all: it has no slope
    return np.asarray(result)
