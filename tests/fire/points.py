"""Every change that a program makes to the file system, counted, so that it can be killed or refused at each."""

import builtins
import errno
import io
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["at_changes", "killed_at", "refused_at"]

_CHANGES = (
    "replace",
    "rename",
    "unlink",
    "rmdir",
    "mkdir",
    "fsync",
    "ftruncate",
    "posix_fallocate",
    "pwrite",
)


@contextmanager
def at_changes(act: Callable[[int, str], None]) -> Iterator[list[str]]:
    """Call `act` with number and name of each change before it is made; yields the names of all as they come.

    Changes are calls of `os`, and files that Python opens for writing; what HDF5 and SQLite do in C is not seen.
    """
    seen: list[str] = []

    def told(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            mode = str(options.get("mode", arguments[1] if len(arguments) > 1 else "r"))
            if name != "open" or set("wax+") & set(mode):
                seen.append(name)
                act(len(seen) - 1, name)
            return change(*arguments, **options)

        return changed

    with pytest.MonkeyPatch.context() as patch:
        for name in _CHANGES:
            patch.setattr(os, name, told(name, getattr(os, name)))
        plain = builtins.open
        for module in (io, builtins):
            patch.setattr(module, "open", told("open", plain))
        yield seen


def killed_at(point: int, work: Callable[[], object]) -> bool:
    """Do work in a forked process that SIGKILL ends before its so many-th change (0: the first).

    Returns:
        Whether it came so far; False: it is done.
    """

    def kill(number: int, _: str) -> None:
        if number == point:
            os.kill(os.getpid(), signal.SIGKILL)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, which the work does not use
        child = os.fork()
    if child == 0:
        try:
            with at_changes(kill):
                work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing of the test runs in the child
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed"
    return os.WIFSIGNALED(status)


@contextmanager
def refused_at(point: int, number: int = errno.ENOSPC, *, for_good: bool = False) -> Iterator[list[str]]:
    """Refuse the so many-th change, or with `for_good` it and all after it but removals, as a full disk does."""

    def refuse(change: int, name: str) -> None:
        if change == point or (for_good and change > point and name not in ("unlink", "rmdir")):
            raise OSError(number, os.strerror(number))

    with at_changes(refuse) as seen:
        yield seen
