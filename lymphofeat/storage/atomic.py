"""Files that are either there and whole, or not there, after a kill and after a power cut."""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from ..errors import InputError

__all__ = [
    "atomic_write",
    "atomic_writes",
    "check_place",
    "leftovers",
    "make_folder",
    "move_into_place",
    "naming",
    "refuse_existing",
    "sync",
    "sync_descriptor",
    "temporary_for",
]

# `.<name>.<token>.tmp`: the token is a UUID (earlier versions wrote the process's number); SQLite adds "-journal".
_TEMPORARY = re.compile(r"\.(.+)\.(?:[0-9a-f]{32}|\d+)\.(?:tmp|old)(?:-journal|-wal|-shm)?", re.DOTALL)


def check_place(path: Path) -> None:
    """For a path at which a file is to be written.

    Raises:
        InputError: `path` is empty, or a folder.
    """
    if path.name in ("", "..") or path.is_dir():
        raise InputError(
            f"{path} is a folder, and a file is to be written there; name a file in it, such as {path / 'NAME'}."
        )


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """For before the work that is to be written to `path`.

    Raises:
        InputError: `path` is a folder, or it exists and `overwrite` is false.
    """
    check_place(path)
    if not overwrite and os.path.lexists(path):
        raise InputError(f"{path} exists already; give --force to replace it, or another --out.")


@contextmanager
def atomic_write(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary path in `path`'s folder and rename it to `path` when the block ends well.

    File and folder are flushed to the disk, the file before the rename; when the block raises, the temporary file is
    removed and `path` stays as it was.

    Raises:
        InputError: `path` is a folder, or it exists and `overwrite` is false (before the block runs, or after it if
            somebody else wrote `path` meanwhile).
    """
    with atomic_writes([path], overwrite=overwrite) as temporaries:
        yield temporaries[path]


@contextmanager
def atomic_writes(paths: Sequence[Path], *, overwrite: bool = True) -> Iterator[dict[Path, Path]]:
    """As `atomic_write` for several files, of which all are whole and on the disk before the first takes its place.

    Yields:
        By path, the temporary one; each is to be written in the block.

    Raises:
        InputError: as `atomic_write`, of any of them.
    """
    for path in paths:
        refuse_existing(path, overwrite=overwrite)
    temporaries = {path: temporary_for(path) for path in paths}
    try:
        with naming(paths[0]):
            for path in paths:
                make_folder(path.parent)
            yield temporaries
        for path, temporary in temporaries.items():
            with naming(path):
                sync(temporary)
        for path in paths:
            refuse_existing(path, overwrite=overwrite)
        for path, temporary in temporaries.items():
            with naming(path):
                move_into_place(temporary, path)
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the system name `path` if it names no file, as of a write, or a temporary one.

    Raises:
        OSError: of the same kind.
    """
    try:
        yield
    except OSError as error:
        named = None if error.filename is None else Path(os.fsdecode(error.filename)).parts
        if error.errno is None or (named is not None and not any(map(_TEMPORARY.fullmatch, named))):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def temporary_for(path: Path, ending: str = "tmp") -> Path:
    """A name beside `path` that no other process, thread or machine chooses."""
    return path.with_name(f".{path.name}.{uuid4().hex}.{ending}")


def leftovers(folder: Path) -> Iterator[tuple[Path, str]]:
    """Temporary files and folders in `folder`, each with the name it was to take.

    Some may belong to processes that are at work: remove only those whose target's lock is held.
    """
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        found = _TEMPORARY.fullmatch(path.name)
        if found:
            yield path, found[1]


def move_into_place(temporary: Path, path: Path) -> None:
    """Rename `temporary`, whose contents are on the disk, to `path`, and bring the rename to the disk."""
    temporary.replace(path)
    sync(path.parent)


def make_folder(folder: Path) -> None:
    """Make `folder` and its parents if need be, and bring them to the disk."""
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync(made.parent)


def sync(path: Path) -> None:
    """Bring a file's contents, or a folder's list of names, to the disk."""
    if path.is_dir():
        if os.name == "nt":  # which opens no folder
            return
        descriptor = os.open(path, os.O_RDONLY)
    else:
        descriptor = os.open(path, os.O_RDWR)
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def sync_descriptor(descriptor: int) -> None:
    """Bring an open file's contents to the disk."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot
            raise
