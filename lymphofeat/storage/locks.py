"""Locks of files: at most one process writes, and whoever finds a lock is told who holds it.

The system drops a lock when its process ends, however it ends. A file system without locks is the exception: there the
lock is the file `.<name>.lock` itself, which a killed process leaves behind, so messages name it.
"""

import errno
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import LymphofeatError
from .atomic import make_folder

__all__ = ["NO_LOCKS", "cannot_lock", "held_by_another", "holder", "locked", "remove_lock"]

_PATIENCE = 1.0  # seconds of waiting that need no word
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # of a file system that has none


@contextmanager
def locked(
    path: Path,
    error: type[LymphofeatError],
    *,
    doing: str = "being written",
    way_out: str = "",
    patience: float = 0.0,
    tell: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Hold the lock of `path` for this process; the folder that it lies in is made if need be.

    Args:
        path: the file or folder (it need not exist); the lock is `.<name>.lock` beside it.
        error: what to raise.
        doing: what another holder does with the file, for the sentence.
        way_out: what else the user can do than wait, for the sentence.
        patience: seconds to wait for another holder; `math.inf`: until it is done.
        tell: is told when it takes more than a second.

    Raises:
        LymphofeatError: of the class `error`: another process holds the lock, or its folder cannot be written.
    """
    file = _lock_of(path)
    lock = FileLock(file)
    try:
        make_folder(path.parent)
        try:
            lock.acquire(timeout=min(patience, _PATIENCE))
        except Timeout:
            if patience <= _PATIENCE:
                raise
            if tell is not None:
                tell(f"Waiting for another process{_by(file)}, which holds {file}")
            lock.acquire(timeout=-1 if math.isinf(patience) else patience - _PATIENCE)
    except Timeout as busy:
        raise error(
            f"{path} is {doing} by another process{_by(file)}; wait for it{way_out}.{_file_lock(file)}"
        ) from busy
    except NotImplementedError as lacking:  # of filelock before it had locks that are files
        raise error(_without_locks(path, str(lacking))) from lacking
    except OSError as failed:
        why = failed.strerror or str(failed)
        sentence = f"{path} cannot be written ({why}); choose another place."
        raise error(_without_locks(path, why) if failed.errno in NO_LOCKS else sentence) from failed
    try:
        yield
    finally:
        lock.release()


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def remove_lock(path: Path) -> None:
    """Remove the file of `path`'s lock, when nobody who may still wait for it would do anything once it has it."""
    _lock_of(path).unlink(missing_ok=True)


def holder(path: Path) -> str:
    """Who holds a lock on the file at `path`, as "process 4711, python3"; "" where the system does not tell."""
    numbers = []
    with suppress(OSError, ValueError, IndexError):
        inode = path.stat().st_ino
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            words = (
                line.split()
            )  # 1: FLOCK ADVISORY WRITE 4711 08:02:1234567 0 EOF; "->" in front of those that wait
            if words[1] != "->" and words[5].rpartition(":")[2] == str(inode) and int(words[4]) > 0:
                numbers.append(int(words[4]))
    confirmed = [number for number in dict.fromkeys(numbers) if _has_open(number, path)]
    return ", ".join(f"process {number}{_program(number)}" for number in confirmed)


def held_by_another(path: Path) -> str:
    """A sentence on a file that another program has locked."""
    who = holder(path)
    return (
        f"{path} is locked by another program{f' ({who})' if who else ''}; close it there, or wait, and run the "
        "command again. The file itself is intact."
    )


def cannot_lock(path: Path) -> str | None:
    """What the system says where a file cannot be locked at all, whoever asks; None: it can, or there is no telling."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        with path.open("rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return (error.strerror or str(error)) if error.errno in NO_LOCKS else None
    return None


def _has_open(process: int, path: Path) -> bool:
    """Whether a process has this very file open (inodes of two devices may share a number); True if not told."""
    try:
        descriptors = list(Path(f"/proc/{process}/fd").iterdir())
    except OSError:
        return True
    for descriptor in descriptors:
        with suppress(OSError):
            if descriptor.samefile(path):
                return True
    return False


def _program(process: int) -> str:
    try:
        return ", " + Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _by(file: Path) -> str:
    marker = _marker(file)
    who = f"process {marker[0]} on {marker[1]}" if marker else holder(file)
    return f" ({who})" if who else ""


def _marker(file: Path) -> tuple[str, str] | None:
    """Process and machine that a lock which is only a file names; None for the system's locks (empty files)."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return (lines[0], lines[1]) if len(lines) >= 2 and lines[0].isdecimal() else None


def _file_lock(file: Path) -> str:
    if not _is_marker(file):
        return ""
    return (
        f" The file system has no locks, so the file {file} stands for one, and a process that was killed leaves it: "
        "remove it if no lymphofeat is running there."
    )


def _is_marker(file: Path) -> bool:
    try:
        return file.stat().st_size > 0 and os.access(file, os.R_OK)
    except OSError:
        return False


def _without_locks(path: Path, why: str) -> str:
    return (
        f"{path} cannot be locked ({why}): its file system has no locks, without which two runs could spoil each "
        "other's files; choose a place on another file system, or mount this one with locks."
    )
