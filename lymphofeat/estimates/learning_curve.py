"""What more patients would bring: an inverse power law through scores on fewer.

    score(n) = a − b n^(−c),   b ≥ 0,  c in [0.1, 2],  a in its own bounds

Figueroa et al., *Predicting sample size required for classification performance*, BMC Medical Informatics and Decision
Making 12 (2012); fitted by weighted least squares. At a given c it is linear in a and b, so that a grid of c with
bounded linear least squares finds the optimum without a start to choose.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ._checks import Floats, share
from .scores import Interval

__all__ = ["LearningCurve", "fit_learning_curve"]

_OfParameters = Callable[[Floats, Floats, Floats], Floats]  # a, b, c → what they predict
_DECAYS = np.geomspace(0.1, 2.0, 241)


@dataclass(frozen=True)
class LearningCurve:
    """A fitted curve and what it might as well have been.

    Attributes:
        ceiling, reach, decay: a, b, c.
        draws: (B, 3) the same, fitted to each draw of the scores.
        sizes: (S,) the numbers of patients that it was fitted on.
        bounds: of the score; the law knows none below, where few patients are.
    """

    ceiling: float
    reach: float
    decay: float
    draws: Floats
    sizes: Floats
    bounds: tuple[float, float] = (0.0, 1.0)

    def at(self, n: float, confidence: float = 0.95) -> Interval:
        """The score with n patients; beyond `sizes` the law is taken on trust, and the interval does not say so."""
        return self._interval(lambda a, b, c: np.clip(a - b * n**-c, *self.bounds), confidence)

    def gain(self, n_from: float, n_to: float, confidence: float = 0.95) -> Interval:
        """What going from one number of patients to another brings."""
        width = self.bounds[1] - self.bounds[0]
        return self._interval(lambda a, b, c: np.clip(b * (n_from**-c - n_to**-c), -width, width), confidence)

    def _interval(self, of: _OfParameters, confidence: float) -> Interval:
        tail = (1 - share("confidence of an interval", confidence)) / 2
        value = float(of(np.array(self.ceiling), np.array(self.reach), np.array(self.decay)))
        low, high = np.quantile(of(*self.draws.T), [tail, 1 - tail])
        return Interval(value, float(low), float(high))


def fit_learning_curve(
    sizes: ArrayLike, scores: ArrayLike, draws: ArrayLike, *, bounds: tuple[float, float] = (0.0, 1.0)
) -> LearningCurve:
    """Fit the law to scores at several numbers of patients.

    Args:
        sizes: (S,) numbers of training patients, at least three different ones.
        scores: (S,) the score with each, larger is better (give a loss its minus sign).
        draws: (B, S) what the scores might as well have been, a row per draw: the scores on resampled patients
            (`bootstrap.resample` with one seed for all sizes, a row is one resample), or of repeats. Their variances
            are the weights of the fit, their fits the interval.
        bounds: of a, the score with infinitely many patients.

    Raises:
        InputError: fewer than three sizes, shapes that differ, values that are not finite, draws without any variance.
    """
    n, s, d = (np.asarray(given, dtype=np.float64) for given in (sizes, scores, draws))
    if n.ndim != 1 or n.shape != s.shape or d.ndim != 2 or d.shape[1:] != n.shape or len(d) < 2:
        raise InputError(
            f"Sizes {n.shape}, scores {s.shape} and draws {d.shape} must be (S,), (S,) and (B, S)."
        )
    if not all(np.isfinite(given).all() for given in (n, s, d)) or n.min(initial=1) < 1:
        raise InputError("A learning curve needs sizes of at least 1 and scores that are finite.")
    if len(np.unique(n)) < 3:
        raise InputError("A learning curve needs at least three different numbers of patients.")
    variance = d.var(axis=0, ddof=1)
    if variance.max() == 0:
        raise InputError(
            "The draws of the scores do not vary; they cannot give the uncertainty of a learning curve."
        )
    weights = 1 / np.maximum(
        variance, variance.max() * 1e-3
    )  # a size that happens not to vary is not certain
    a, b, c = _fit(n, s[None], weights, bounds)[0]
    return LearningCurve(float(a), float(b), float(c), _fit(n, d, weights, bounds), n, bounds)


def _fit(n: Floats, scores: Floats, weights: Floats, bounds: tuple[float, float]) -> Floats:
    """(B, S) scores → (B, 3) the best a, b, c of each row."""
    best = np.full(len(scores), np.inf)
    found = np.empty((len(scores), 3))
    for c in _DECAYS:
        a, b, loss = _linear(n**-c, scores, weights, bounds)
        better = loss < best
        best[better] = loss[better]
        found[better] = np.column_stack([a, b, np.full(len(a), c)])[better]
    return found


def _linear(
    x: Floats, scores: Floats, weights: Floats, bounds: tuple[float, float]
) -> tuple[Floats, Floats, Floats]:
    """The best a in its bounds and b ≥ 0 of scores ≈ a − b x, and the weighted squares left, each (B,).

    The problem is convex in two unknowns: its optimum is the free one where that is allowed, else on an edge.
    """
    total = weights.sum()
    mean_x, mean_s = weights @ x / total, scores @ weights / total
    slope = (scores - mean_s[:, None]) @ (weights * (x - mean_x)) / (weights @ (x - mean_x) ** 2)
    candidates = [(np.clip(mean_s, *bounds), np.zeros(len(scores)))]  # the edge b = 0
    for edge in bounds:  # the edges of a
        candidates.append(
            (np.full(len(scores), edge), np.maximum((edge - scores) @ (weights * x), 0) / (weights @ x**2))
        )
    free = mean_s - slope * mean_x, -slope
    allowed = (free[1] >= 0) & (free[0] >= bounds[0]) & (free[0] <= bounds[1])
    candidates.append(
        tuple(np.where(allowed, one, edge) for one, edge in zip(free, candidates[0], strict=True))
    )
    losses = np.stack([((scores - a[:, None] + b[:, None] * x) ** 2) @ weights for a, b in candidates])
    which = np.argmin(losses, axis=0)
    rows = np.arange(len(scores))
    a_all, b_all = (np.stack([pair[k] for pair in candidates]) for k in (0, 1))
    return a_all[which, rows], b_all[which, rows], losses[which, rows]
