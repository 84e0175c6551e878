"""Cores, threads and the memory between them: everything that decides how much of the machine is used."""

import ctypes
import os
import platform
from contextlib import AbstractContextManager, suppress
from functools import cache as once
from pathlib import Path

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

__all__ = ["cores_each", "disable_malloc_trim", "one_thread", "usable_cores"]


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_each(processes: int) -> int:
    """Cores for each of so many processes that share them, at least 1."""
    return max(1, usable_cores() // processes)


def one_thread() -> AbstractContextManager[object]:
    """Hold BLAS and OpenMP to one thread inside the block: the matrices are small. torch keeps its own threads."""
    limiter: AbstractContextManager[object] = _threads().limit(limits=1)
    return limiter


@once
def _threads() -> ThreadpoolController:
    # Finding the loaded BLAS libraries takes milliseconds; by now all of them are loaded.
    found = ThreadpoolController()
    paths = [library.filepath for library in found.lib_controllers]
    return found.select(filepath=[path for path in paths if "torch" not in Path(path).parts])


def disable_malloc_trim() -> None:
    """Keep glibc from returning each activation to the kernel and faulting it in again a moment later.

    The thresholds stay raised afterwards (glibc does not tell the old ones); they cost address space only.
    """
    if platform.libc_ver()[0] == "glibc":
        with suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
                libc.mallopt(option, 1 << 30)
