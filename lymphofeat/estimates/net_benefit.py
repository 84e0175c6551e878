"""Decision curves: is it better to act on the model, on all patients, on none, or on another model?

Vickers & Elkin, *Decision curve analysis*, Medical Decision Making 26 (2006). Whoever acts at probability t holds a
missed patient for (1 − t)/t times as bad as a false alarm; so, in true positives per patient,

    net benefit(t) = TP/n − FP/n · t/(1 − t),   patients called at p ≥ t

Acting on all is p = 1 for everyone, acting on none p = 0. The probabilities must be calibrated, or t means nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ._checks import Floats, Labels, labels_and_probabilities, share
from .bootstrap import resample_weights

__all__ = ["TREAT_ALL", "TREAT_NONE", "Curve", "decision_curves", "net_benefit", "net_benefit_difference"]

TREAT_ALL, TREAT_NONE = "treat all", "treat none"
_DEFAULT = np.arange(1, 100) / 100


@dataclass(frozen=True)
class Curve:
    """Net benefit, or a difference of two, over threshold probabilities.

    Attributes:
        thresholds, value, low, high: (T,) float64; low and high are the pointwise percentile bootstrap interval.
    """

    thresholds: Floats
    value: Floats
    low: Floats
    high: Floats


def net_benefit(y: ArrayLike, p: ArrayLike, thresholds: ArrayLike = _DEFAULT) -> Floats:
    """(T,) net benefit at each threshold.

    Args:
        y: (n,) labels 0 and 1.
        p: (n,) probabilities of label 1.
        thresholds: (T,) in (0, 1).
    """
    labels, probabilities = labels_and_probabilities(y, p)
    return np.asarray(_contributions(labels, probabilities, _checked(thresholds)).mean(axis=0))


def net_benefit_difference(
    y: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    thresholds: ArrayLike = _DEFAULT,
    *,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Curve:
    """What acting on the first pipeline gains over acting on the second, on the same patients.

    Args:
        y: (n,) labels 0 and 1, both present.
        first, second: (n,) probabilities; ones to act on all patients, zeros to act on none.
        thresholds: (T,) in (0, 1).
        groups: as of `bootstrap.resample`.
        confidence, n_resamples, seed: of the stratified bootstrap; coverage is pointwise, not of the whole curve.
    """
    labels, one = labels_and_probabilities(y, first)
    _, other = labels_and_probabilities(y, second)
    if one.shape != other.shape:
        raise InputError(
            f"Two pipelines are compared on the same patients, not on {len(one)} and {len(other)}."
        )
    at = _checked(thresholds)
    each = _contributions(labels, one, at) - _contributions(labels, other, at)
    tail = (1 - share("confidence of an interval", confidence)) / 2
    weights = resample_weights(labels, n_resamples, seed, groups)
    resampled = weights @ each / weights.sum(axis=1, keepdims=True)
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return Curve(at, each.mean(axis=0), low, high)


def decision_curves(
    y: ArrayLike,
    models: Mapping[str, ArrayLike],
    thresholds: ArrayLike = _DEFAULT,
    *,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Curve]:
    """The net benefit of every model, and of `TREAT_ALL` and `TREAT_NONE`; arguments as above."""
    n = len(np.asarray(y))
    everyone = {**models, TREAT_ALL: np.ones(n), TREAT_NONE: np.zeros(n)}
    if len(everyone) < len(models) + 2:
        raise InputError(f"A model cannot be named {TREAT_ALL!r} or {TREAT_NONE!r}.")
    return {
        name: net_benefit_difference(
            y,
            p,
            np.zeros(n),
            thresholds,
            groups=groups,
            confidence=confidence,
            n_resamples=n_resamples,
            seed=seed,
        )
        for name, p in everyone.items()
    }


def _contributions(labels: Labels, p: Floats, thresholds: Floats) -> Floats:
    """(n, T) what each patient adds to n × net benefit."""
    worth = np.where(labels[:, None], 1.0, -thresholds / (1 - thresholds))
    return np.asarray(worth * (p[:, None] >= thresholds))


def _checked(thresholds: ArrayLike) -> Floats:
    at = np.asarray(thresholds, dtype=np.float64)
    if at.ndim != 1 or not len(at) or not ((at > 0) & (at < 1)).all():
        raise InputError("Threshold probabilities are a list of numbers between 0 and 1, both excluded.")
    return at
