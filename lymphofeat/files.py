"""Files that are either there and whole, or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """For before the work that is to be written to `path`.

    Raises:
        InputError: `path` exists and `overwrite` is false.
    """
    if not overwrite and path.exists():
        raise InputError(f"{path} exists already; give --force to replace it, or another --out.")


@contextmanager
def written_beside(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary path in `path`'s folder and rename it to `path` when the block ends well.

    The file is flushed to the disk before the rename; when the block raises, it is removed and `path`
    stays as it was.

    Raises:
        InputError: `path` exists and `overwrite` is false (before the block runs).
    """
    refuse_existing(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
