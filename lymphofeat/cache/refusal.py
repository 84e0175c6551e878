"""Why a cache cannot be opened or written: one sentence and one way out for each cause."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import CacheError, LymphofeatError
from ..storage.kinds import inspect_path
from ..storage.locks import held_by_another

__all__ = ["damaged", "incomplete", "no_data_file", "room_for", "whole", "why_no_cache"]


def why_no_cache(path: Path, cause: str) -> str:
    """A sentence on why a path cannot be opened as a cache, and the way out that fits.

    Args:
        path: what was given.
        cause: what HDF5 says.
    """
    kind = inspect_path(path)
    match kind.name:
        case "missing":
            link = f" is {kind.phrase}" if path.is_symlink() else ": no such cache"
            return f"{path}{link}; make it with `lymphofeat extract COHORT --cache {path}`."
        case "folder" | "bundle":
            inside = sorted(p.name for p in path.glob("*.h5"))
            there = f"it holds {', '.join(inside[:3])}" if inside else "a cache in it would be features.h5"
            name = path / (inside[0] if inside else "features.h5")
            return f"{path} is {kind.phrase}, not a cache; {there}: name the file, as --cache {name}."
        case "locked":
            return held_by_another(path)
        case "no-locks":
            return (
                f"{path} is on a file system without locks, which HDF5 needs ({kind.cause}); set the variable "
                "HDF5_USE_FILE_LOCKING=FALSE and run the command again."
            )
        case "unreadable":
            return f"{path} cannot be read ({kind.cause}); check its permissions and the disk."
        case "damaged-hdf5":
            return damaged(path, kind.cause)
        case "cache":  # by now; or a fault that a second look does not show
            return f"{path} could not be opened ({cause}); run the command again."
        case _:
            return f"{path} is not a cache: it is {kind.phrase}; name another --cache."


def incomplete(path: Path, encoding: str) -> str:
    """A sentence on a file with an encoding that is not whole."""
    what = f"encoding {encoding} is not complete"
    if path.suffix != ".partial":  # a cache gets whole ones only
        return damaged(path, what)
    return f"{path}: {what}; give the `lymphofeat extract` command that began it again; it continues."


def no_data_file(data: Path, encoding: str) -> str:
    """A sentence on a cache without the data file of one of its encodings."""
    return (
        f"the features of {encoding} should be in {data}, which is not there; a cache moves together with its folder "
        f"{data.parent.name} (`lymphofeat pack` makes one file of both), so put the folder back, or give the "
        "`lymphofeat extract` command that made them again"
    )


def damaged(path: Path, cause: object) -> str:
    """A sentence on a file of this program that is damaged."""
    return (
        f"{path} is a damaged HDF5 file ({cause}); restore a good copy, or move it away and run `lymphofeat "
        "extract` again."
    )


@contextlib.contextmanager
def whole(path: Path) -> Iterator[None]:
    """Word what h5py and JSON say of a file of this program that is damaged where no checksum is compared.

    Raises:
        CacheError: in their place.
    """
    try:
        yield
    except LymphofeatError:
        raise
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise CacheError(damaged(path, _cause(error))) from error


@contextlib.contextmanager
def room_for(path: Path, kept: str) -> Iterator[None]:
    """Word what h5py and the system say of a disk that is full or cannot be written.

    Raises:
        CacheError: with what is `kept`.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise CacheError(
            f"{path} cannot be written ({_cause(error)}): {kept}; free space or make the folder writable, and "
            "run the same command again."
        ) from error


def _cause(error: BaseException) -> str:
    """What the system said; h5py hides it in a long text, or in the error that was being handled."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None:
        links.append(link)
        link = link.__cause__ or link.__context__
    for one in links:
        if isinstance(one, OSError) and one.errno:
            return os.strerror(one.errno)
        if found := re.search(r"error message = '([^']+)'", str(one)):
            return found[1]
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
