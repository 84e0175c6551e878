"""Cores, threads and the memory between them: everything that decides how much of the machine is used."""

import ctypes
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import cache as once
from pathlib import Path

from threadpoolctl import ThreadpoolController, threadpool_limits  # type: ignore[import-untyped]

__all__ = [
    "available_memory",
    "best_jobs",
    "cores_each",
    "disable_malloc_trim",
    "hold_threads",
    "one_thread",
    "thread_pool",
    "torch_threads",
    "usable_cores",
]

_WITH_LIBRARIES = ("numpy", "scipy.linalg", "sklearn")  # of `one_thread`


def usable_cores() -> int:
    """Cores that this process may use: affinity, a container's CPU quota and LOKY_MAX_CPU_COUNT are honoured."""
    from joblib import cpu_count  # a third of a second, and not every command counts

    return max(1, int(cpu_count()))


def cores_each(processes: int) -> int:
    """Cores for each of so many processes that share them, at least 1."""
    return max(1, usable_cores() // processes)


_FEW_TASKS = 200  # tenths of a second each; a new process takes seconds


def best_jobs(tasks: int, memory_each: int) -> int:
    """Processes for so many tasks of a search: one per core as far as the memory goes; 1 where there are few tasks.

    Args:
        tasks: in all.
        memory_each: bytes that a process needs.
    """
    if tasks < _FEW_TASKS:
        return 1
    memory = available_memory()
    most = usable_cores() if memory is None else min(usable_cores(), memory // memory_each)
    return max(1, most)


def available_memory() -> int | None:
    """Bytes that new processes may take: of the machine, and of the container's limit (cgroup v2); None: not known."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):  # "max": no limit
        limit, used = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        found.append(max(limit - used, 0))
    return min(found, default=None)


_MEMINFO, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


@contextmanager
def thread_pool(workers: int, *, torch_each: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads that ends with the block: tasks that have not begun are cancelled when it is left by an error.

    An error is any way out but the last line: an exception, Ctrl-C, or a generator that is closed. The tasks at work
    are waited for in any case.

    Args:
        workers: threads.
        torch_each: threads that torch's arithmetic has in each of them, for tasks that use torch; torch's number for
            the caller's thread is put back afterwards.
    """
    with ExitStack() as stack:
        if torch_each is None:
            pool = ThreadPoolExecutor(workers)
        else:
            import torch

            stack.callback(torch.set_num_threads, torch.get_num_threads())
            pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(torch_each,))
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()


def one_thread() -> AbstractContextManager[object]:
    """Hold BLAS and OpenMP to one thread inside the block: the matrices are small. torch keeps its own threads."""
    loaded = tuple(module for module in _WITH_LIBRARIES if module in sys.modules)
    limiter: AbstractContextManager[object] = _threads(loaded).limit(limits=1)
    return limiter


@once
def _threads(loaded: tuple[str, ...]) -> ThreadpoolController:
    """Of the BLAS and OpenMP libraries in this process, which takes milliseconds to find.

    Args:
        loaded: the packages imported so far that bring such libraries; after another one they are looked for again.
    """
    found = ThreadpoolController()
    paths = [library.filepath for library in found.lib_controllers]
    return found.select(filepath=[path for path in paths if "torch" not in Path(path).parts])


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads inside the block; with 1, the bits do not depend on their number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def hold_threads(count: int) -> None:
    """Hold torch, BLAS and OpenMP to so many threads for the rest of this process, which is one of several."""
    import torch

    torch.set_num_threads(count)
    threadpool_limits(count)


def disable_malloc_trim() -> None:
    """Keep glibc from returning each activation to the kernel and faulting it in again a moment later.

    The thresholds stay raised afterwards (glibc does not tell the old ones); they cost address space only.
    """
    if platform.libc_ver()[0] == "glibc":
        with suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
                libc.mallopt(option, 1 << 30)
