"""Encodings of a cache brought along into its next index: as they are, with their rows in another order, or copied."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import CacheError
from ..storage.hdf5 import open_to_read
from .data_file import DataFile
from .encoding import Encoding
from .index import Entry
from .known import find_rows
from .layout import new_data_path, rows_of
from .learnt import Learnt, learnt_before, read_learnt, why_stale
from .partial import PartialEncoding
from .reader import Cache
from .refusal import damaged
from .source import RowSource, source_of, source_of_format_1
from .tables import CohortTables

__all__ = ["carried_along", "learnt_of", "network_of", "source_from"]


def carried_along(cache: Cache, encoding: Encoding, tables: CohortTables) -> Entry:
    """An encoding of the cache as its next index will have it.

    Where the cohort holds no image that the encoding lacks, it fits: its rows are put in the cohort's order, in a new
    data file, if need be. Otherwise it stays what it is, and waits for the command that adds the missing images.
    Rows that lie in the cache's own file (format 1, or a packed cache) get a data file.

    Args:
        cache: as it is, with its tables.
        encoding: one of its encodings.
        tables: of the cohort as it is now.

    Raises:
        CacheError: rows are not as they were written.
        OSError: the disk is full.
    """
    if encoding.lost:
        return Entry.of(encoding)
    learnt = learnt_of(cache, encoding)
    stale = why_stale(tables, encoding.spec, learnt)
    inline = encoding.place.resolve() == cache.path.resolve()
    own_key = encoding.images_key or cache.tables.images_key
    if own_key == tables.images_key:
        entry = _copied(cache, encoding, tables, learnt, in_place=True) if inline else Entry.of(encoding)
        return replace(entry, stale=stale)
    keys = _keys_of(cache, encoding)
    if (find_rows(keys, tables.keys) >= 0).all():
        entry = _copied(cache, encoding, tables, learnt, in_place=False)
        return replace(entry, end_to_end=_own(cache, encoding, tables), stale=stale)
    if inline and own_key != cache.tables.images_key:
        raise CacheError(damaged(cache.path, f"encoding {encoding.name} is of other images than its cache"))
    entry = _copied(cache, encoding, cache.tables, learnt, in_place=True) if inline else Entry.of(encoding)
    return replace(entry, stale=stale)


def learnt_of(cache: Cache, encoding: Encoding) -> Learnt | None:
    """Whom an encoding's encoder learnt from."""
    with open_to_read(encoding.place) as file:
        kept = read_learnt(rows_of(file, encoding.name))
    return kept or learnt_before(cache.tables, encoding.spec)


def source_from(cache: Cache, encoding: Encoding) -> RowSource:
    """The rows of an encoding of the cache, to take known ones from."""
    with open_to_read(encoding.place) as file:
        group = rows_of(file, encoding.name)
        if "checks" not in group:
            return source_of_format_1(file, group)
        data = DataFile.read(encoding.place, group)
    return source_of(data)


def _keys_of(cache: Cache, encoding: Encoding) -> Any:
    """(n, 16) uint8, the digests of an encoding's images."""
    with open_to_read(encoding.place) as file:
        group = rows_of(file, encoding.name)
        return group["image"][:] if "image" in group else np.asarray(cache.tables.keys)


def _copied(
    cache: Cache, encoding: Encoding, tables: CohortTables, learnt: Learnt | None, *, in_place: bool
) -> Entry:
    """The encoding with its rows in a data file of their own, in the order of `tables`."""
    source = replace(source_from(cache, encoding), in_place=in_place)
    growing = PartialEncoding(
        new_data_path(cache.path, encoding.name), tables, encoding.spec, sources=[source], learnt=learnt,
        network=network_of(encoding),
    )  # fmt: skip
    try:
        digest = growing.finished()
        frame = growing.frame()
        if in_place and digest != encoding.digest:
            raise CacheError(
                damaged(cache.path, f"the features of {encoding.name} are not as they were written")
            )
    except CacheError:
        growing.close()
        growing.path.unlink()
        raise
    growing.close()
    return Entry(
        growing.spec,
        growing.path,
        digest,
        tables.images_key,
        network_of(encoding),
        encoding.made,
        encoding.end_to_end,
        by=encoding.by,
        frame=frame,
    )


def network_of(encoding: Encoding) -> str:
    """Digest of the trained network behind an encoding; "" without one."""
    made: Mapping[str, Any] = encoding.made
    return encoding.network or str(made.get("trained_digest", ""))


def _own(cache: Cache, encoding: Encoding, tables: CohortTables) -> Any:
    """(n_patients,) the network's own probabilities in the order of `tables`; None where somebody's bag is another."""
    if encoding.end_to_end is None:
        return None
    before = dict(zip(cache.tables.patients["id"].astype(str), encoding.end_to_end, strict=True))
    found = [before.get(str(name), np.nan) for name in tables.patients["id"]]
    return np.array(found) if not np.isnan(found).any() else None
