"""Data files that no cache links any more are removed, and no others."""

from collections.abc import Iterator
from pathlib import Path

import h5py

from ..storage.hdf5 import open_to_read
from ..storage.kinds import HDF5
from .layout import data_folder

__all__ = ["remove_unlinked", "unlinked"]

_GROWING = (".partial", ".share", ".tmp")  # links nothing, and may be being written by a task of an array


def remove_unlinked(cache: Path) -> None:
    """Remove what a killed run or an older index left, while the cache's lock is held.

    A cache may have been renamed in its folder, or copied there: it links the same data files still. So nothing is
    removed that any file of the folder links, and nothing at all where one of them cannot be read.
    """
    for path in unlinked(cache):
        path.unlink(missing_ok=True)


def unlinked(cache: Path) -> list[Path]:
    """The data files of the cache's folder that no file beside the cache links; none where one is unreadable."""
    data = sorted(data_folder(cache).glob("*.h5"))
    try:
        linked = {path.resolve() for path in _linked_beside(cache)} if data else set()
    except (OSError, RuntimeError, KeyError):
        return []
    return [path for path in data if path.resolve() not in linked]


def _linked_beside(cache: Path) -> Iterator[Path]:
    """The data files that the caches of a folder link."""
    for path in sorted(cache.parent.iterdir()):
        if path.is_file() and path.suffix not in _GROWING and _is_hdf5(path):
            with open_to_read(path) as file:
                for group in file.get("encodings", {}).values():
                    link = group.get("features", getlink=True)
                    if isinstance(link, h5py.ExternalLink):
                        yield cache.parent / link.filename


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(HDF5)) == HDF5
