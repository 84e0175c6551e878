"""How many cores there are for this process."""

import os

__all__ = ["cores_each", "usable_cores"]


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_each(processes: int) -> int:
    """Cores for each of so many processes that share them, at least 1."""
    return max(1, usable_cores() // processes)
