"""Logistic regression on few columns for many weightings at once: Newton's method on (B, k) coefficients."""

import numpy as np
from scipy.special import expit

from ._checks import Floats

__all__ = ["fit_logistic", "log_odds"]

_STEPS, _LONGEST, _DONE = 60, 2.0, 1e-9
_RIDGE = 1e-9  # keeps the Hessian of a column without variance solvable; moves no coefficient that matters
_NEAREST = (
    1e-6  # probabilities are kept this far from 0 and 1: one more certain than that has no finite log-odds
)


def log_odds(p: Floats) -> Floats:
    """(n,) logit(p), with p clipped to [1e-6, 1 − 1e-6]."""
    inside = np.clip(p, _NEAREST, 1 - _NEAREST)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def fit_logistic(columns: Floats, targets: Floats, weights: Floats, offset: Floats | float = 0.0) -> Floats:
    """Maximum-likelihood coefficients of targets ~ expit(columns @ coefficients + offset).

    Steps are shortened to two standard deviations of the linear predictor, which keeps Newton's method from
    overshooting on this concave problem. Where the classes are separable there is no maximum, and the coefficients
    after the last step are returned: the caller says what that means.

    Args:
        columns: (n, k) float64.
        targets: (n,) float64 in [0, 1].
        weights: (B, n) float64, not negative.
        offset: (n,) or one number, added to the linear predictor.

    Returns:
        (B, k) float64.
    """
    n, k = columns.shape
    scale = np.sqrt((columns**2).mean(axis=0)) + np.finfo(np.float64).tiny
    scaled = columns / scale
    squares = (scaled[:, :, None] * scaled[:, None, :]).reshape(n, k * k)
    found = np.zeros((len(weights), k))
    going = np.arange(len(weights))
    for _ in range(_STEPS):
        part = weights[going]
        p = expit(found[going] @ scaled.T + offset)
        gradient = (part * (targets - p)) @ scaled
        hessian = ((part * (p * (1 - p))) @ squares).reshape(-1, k, k) + _RIDGE * np.eye(k)
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        length = np.linalg.norm(step, axis=1)
        step *= np.minimum(1.0, _LONGEST / np.maximum(length, _LONGEST))[:, None]
        found[going] += step
        going = going[length > _DONE]
        if not len(going):
            break
    return np.asarray(found / scale)
