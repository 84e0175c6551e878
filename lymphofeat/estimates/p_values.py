"""Several p-values together, and a p-value from permuted labels."""

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ._checks import Floats

__all__ = ["holm", "permutation_p"]


def holm(p_values: ArrayLike) -> Floats:
    """p-values adjusted for their number: reject those at most α, and any false rejection has probability ≤ α.

    The i-th smallest of m is multiplied by m − i + 1 and made at least its predecessor (Holm, Scandinavian Journal of
    Statistics 6, 1979). No assumption on how the tests depend on each other.

    Args:
        p_values: (m,) in [0, 1].

    Returns:
        (m,) float64, in the order given.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise InputError("p-values come as a list of numbers between 0 and 1.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def permutation_p(value: float, permuted: ArrayLike) -> float:
    """How rare a score as large is under permuted labels: (1 + #{permuted ≥ value}) / (1 + B).

    Never 0: the labels as they are count as one permutation (Phipson & Smyth, Statistical Applications in Genetics and
    Molecular Biology 9, 2010).

    Args:
        value: the score with the true labels, larger is better.
        permuted: (B,) scores of the same pipeline with permuted labels.
    """
    scores = np.asarray(permuted, dtype=np.float64)
    if scores.ndim != 1 or not len(scores) or np.isnan(scores).any() or np.isnan(value):
        raise InputError("A permutation test needs the score and at least one permuted score, all numbers.")
    return float((1 + np.count_nonzero(scores >= value)) / (1 + len(scores)))
