"""The arrays that every estimate starts from, checked once: labels, probabilities, decisions, shares."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

__all__ = ["Floats", "Labels", "labels_and_decisions", "labels_and_probabilities", "share"]

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]


def labels_and_probabilities(y: ArrayLike, p: ArrayLike) -> tuple[Labels, Floats]:
    """(n,) bool labels and (n,) float64 probabilities; both classes need not be present.

    Raises:
        InputError: no patients, lengths that differ, labels other than 0 and 1, values that are NaN or outside [0, 1].
    """
    labels, values = _aligned(y, p, "probabilities")
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError("Probabilities lie between 0 and 1; some values are NaN or outside.")
    return labels, values


def labels_and_decisions(y: ArrayLike, decision: ArrayLike) -> tuple[Labels, Labels]:
    """(n,) bool labels and (n,) bool decisions; raises as `labels_and_probabilities`."""
    labels, values = _aligned(y, decision, "decisions")
    if not np.isin(values, (0, 1)).all():
        raise InputError("Decisions are 0 and 1; apply a threshold first.")
    return labels, values == 1


def share(name: str, value: float) -> float:
    """The value, if it lies strictly between 0 and 1."""
    if not 0 < value < 1:
        raise InputError(f"The {name} must lie between 0 and 1, not be {value}.")
    return value


def _aligned(y: ArrayLike, values: ArrayLike, what: str) -> tuple[Labels, Floats]:
    labels, given = np.asarray(y), np.asarray(values, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != given.shape or not len(labels):
        raise InputError(f"Labels {labels.shape} and {what} {given.shape} must be one row per patient each.")
    if not np.isin(labels, (0, 1)).all():
        raise InputError("Labels are 0 and 1 here; leave the patients without a label out.")
    return labels == 1, given
