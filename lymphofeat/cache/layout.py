"""Format 2 of the cache: which files there are, and how they are opened and mapped.

The format as prose: `docs/cache-format.md`. Three choices carry the promises of the cache:

* Features are stored contiguously, not in chunks, with their space allocated when the file is made. A reader can then
  map them (a bag is a slice of the file), and a writer fills them without touching HDF5's own metadata: a process
  killed at any moment cannot leave the file unreadable.
* Each encoding has a data file of its own, which nobody changes once it is whole. The cache itself is an index of
  tables, descriptions and links; it is written anew and renamed over the old one.
* Every row of features is known by the digest of its image, so that no image is encoded twice.
"""

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
from numpy.typing import NDArray

import lymphofeat

from ..errors import CacheError
from ..storage.disk import reserve
from ..storage.hdf5 import open_to_read
from .refusal import why_no_cache

__all__ = [
    "DATA_GROUP",
    "FORMAT",
    "create_file",
    "data_folder",
    "image_of",
    "map_dataset",
    "new_data_path",
    "open_checked",
    "rows_of",
]

FORMAT = 2
READABLE = (1, 2)
DATA_GROUP = "encoding"  # of a data file


def data_folder(cache: Path) -> Path:
    """Where the data files of a cache lie."""
    return cache.with_name(f"{cache.stem}-encodings")


def new_data_path(cache: Path, name: str) -> Path:
    """A name for a data file of the encoding `name` that no other one has."""
    return data_folder(cache) / f"{name}.{uuid4().hex[:12]}.h5"


def image_of(file: h5py.File) -> bytes:
    """The bytes of an HDF5 file in memory."""
    file.flush()
    image: bytes = file.id.get_file_image()
    return image


def create_file(path: Path, image: bytes, room: int) -> None:
    """Write an HDF5 file that was made in memory, with room for what h5py will add to it.

    HDF5 does not survive a disk that fills up while it writes: it raises from destructors, and the process may crash
    later. Its file therefore begins as bytes in memory, and all space is taken by the system before HDF5 sees the disk.

    Args:
        path: the file.
        image: its beginning.
        room: bytes that may be added; what is not needed is given back when the file is closed.

    Raises:
        OSError: there is not so much room.
    """
    with path.open("wb") as target:
        target.write(image)
        target.flush()
        reserve(target.fileno(), len(image) + room)


def open_checked(path: Path) -> h5py.File:
    """Open a cache, or an encoding that grows, for reading.

    Raises:
        CacheError: no such file, locked, not HDF5, truncated, not a cache, or of a format this version does not know.
    """
    try:
        file = open_to_read(path)
    except OSError as error:
        raise CacheError(why_no_cache(path, str(error))) from error
    try:
        found, whole = file.attrs.get("format"), "encodings" in file or DATA_GROUP in file
    except (OSError, RuntimeError, KeyError) as error:
        file.close()
        raise CacheError(why_no_cache(path, str(error))) from error
    if found is None or not whole:
        file.close()
        raise CacheError(f"{path} is an HDF5 file of another program, not a cache; name another --cache.")
    if found not in READABLE:
        file.close()
        raise CacheError(
            f"{path} has cache format {found}, and this is lymphofeat {lymphofeat.__version__}, which reads formats "
            f"1 and {FORMAT}; name another --cache or install the version that wrote it."
        )
    return file


def rows_of(file: h5py.File, name: str) -> h5py.Group:
    """The group with the rows of the encoding `name`, in its data file or in a cache that holds them itself."""
    return file[DATA_GROUP] if DATA_GROUP in file else file[f"encodings/{name}"]


def map_dataset(dataset: h5py.Dataset, mode: str = "r") -> NDArray[Any]:
    """Map a contiguous dataset, in whichever file it lies; the HDF5 handle may be closed afterwards.

    Raises:
        CacheError: the dataset is not stored contiguously (another program rewrote the file).
    """
    path, offset = Path(os.fsdecode(dataset.file.filename)), dataset.id.get_offset()
    if offset is None:
        raise CacheError(
            f"{path}: {dataset.name} is not stored contiguously, so the file was rewritten by another program; put the "
            "original in its place, or move it away and run `lymphofeat extract` again."
        )
    return np.memmap(path, dtype=dataset.dtype, mode=mode, offset=offset, shape=dataset.shape)  # type: ignore[call-overload,no-any-return]
