"""Arrays over a mapped file: which part of them will be read next."""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["announce"]

_LEAST = 1 << 16  # bytes; what is smaller comes with one read of the system anyway


def announce(rows: NDArray[Any]) -> NDArray[Any]:
    """Tell the system that a part of a mapped array will be read, so that it is read from the disk in one piece.

    Without this each page is fetched when it is touched: a bag of 200 kB, none of it in memory, then takes some ten
    reads, one after another, and 20 times as long. Arrays in memory are left alone.

    Args:
        rows: contiguous, a slice of an array over a mapped file or any other array.

    Returns:
        The same array.
    """
    if rows.nbytes < _LEAST or not hasattr(mmap, "MADV_WILLNEED"):
        return rows
    base: Any = rows
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        start = rows.ctypes.data - np.frombuffer(base, np.uint8, 1).ctypes.data
        first = start - start % mmap.PAGESIZE
        base.madvise(mmap.MADV_WILLNEED, first, start + rows.nbytes - first)
    return rows
