"""A cache as one file, to be sent or kept: its index and the data files of its encodings together."""

from pathlib import Path

import h5py

from ..errors import CacheError
from ..storage.atomic import atomic_write, refuse_existing
from ..storage.paths import AnyPath
from ..storage.trailing_digest import append_digest
from .layout import create_file, image_of, open_checked
from .reader import Cache, open_cache
from .refusal import room_for

__all__ = ["pack"]

_ROOM = 1 << 20  # bytes that HDF5 may need beside the data, for each encoding


def pack(cache: AnyPath, out: AnyPath, *, overwrite: bool = False) -> Cache:
    """Write a cache into one file, which every command reads as it reads the cache.

    Features, tables, descriptions and checksums are those of the cache. `extract` on the packed file gives each
    encoding its data file again. Trained encoders, studies and stored pixels are not part of a cache.

    Args:
        cache: the cache.
        out: the file to write.
        overwrite: replace a file that is there.

    Returns:
        The packed cache.

    Raises:
        InputError: `out` is there, and `overwrite` is false.
        CacheError: the cache cannot be read, or the disk is full.

    Example:
        >>> pack("cache/features.h5", "cache/packed.h5")
        <Cache packed.h5: 46 patients (40 labelled, 20 malignant), 115 images; encodings resnet18-random0-crop32>
    """
    cache, out = Path(cache), Path(out)
    refuse_existing(out, overwrite=overwrite)
    opened = open_cache(cache)
    encodings = list(opened.everything.values())
    if lost := next((e.lost for e in encodings if e.lost), ""):
        raise CacheError(f"{cache} cannot be packed: {lost}.")
    room = cache.stat().st_size + sum({e.place: e.place.stat().st_size + _ROOM for e in encodings}.values())
    with room_for(out, "nothing was written"), atomic_write(out, overwrite=overwrite) as temporary:
        with h5py.File("packed", "w", driver="core", backing_store=False) as empty:
            create_file(temporary, image_of(empty), room)
        with open_checked(cache) as source, h5py.File(temporary, "r+") as packed:
            packed.attrs.update(source.attrs)
            for name, found in source.items():
                source.copy(found, packed, name=name, expand_external=True)
        append_digest(temporary)
    return open_cache(out)
