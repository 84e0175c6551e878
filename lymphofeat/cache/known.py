"""Images whose features are known: found again by the digests of their bytes, wherever they lie in the cohort now."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_rows"]


def find_rows(known: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where each wanted digest is among the known ones.

    Args:
        known: (n, 16) uint8; all-zero ones are of no image.
        wanted: (m, 16) uint8.

    Returns:
        (m,) int64, a row of `known` with these bytes; −1 where there is none, or the digest is all zero.
    """
    if np.array_equal(known, wanted):  # as nearly always: millions need no sorting then
        return np.where(wanted.any(axis=1), np.arange(len(wanted)), -1)
    found = np.full(len(wanted), -1, dtype=np.int64)
    if not (len(known) and len(wanted)):
        return found
    old, new = _as_keys(known), _as_keys(wanted)
    order = np.argsort(old, kind="stable")
    place = np.minimum(np.searchsorted(old, new, sorter=order), len(order) - 1)
    there = (old[order[place]] == new) & wanted.any(axis=1)
    found[there] = order[place[there]]
    return found


def _as_keys(digests: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """(n,) one sortable value per digest. A byte more keeps NumPy from dropping zeros at the end."""
    padded = np.ones((len(digests), 17), dtype=np.uint8)
    padded[:, :16] = digests
    return padded.view("S17").ravel()
