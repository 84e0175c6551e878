"""The index of a cache: the tables of its cohort, and for each encoding its description and links to its data file."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

import lymphofeat

from ..storage.trailing_digest import with_digest
from .data_file import ROW_PARTS
from .encoding import Encoding
from .layout import DATA_GROUP, FORMAT, create_file, image_of
from .spec import EncodingSpec, blindness_text
from .tables import CohortTables, write_tables

__all__ = ["Entry", "write_index"]

_LINKED = (*ROW_PARTS, "image", "checks", "origins", "learnt")


@dataclass(frozen=True)
class Entry:
    """An encoding as the index has it.

    Attributes:
        spec: what it is.
        data: its data file.
        digest: hex digest of its features.
        images_key: which images they are of.
        network: digest of the trained network; "" without one.
        made: as of `Encoding`.
        end_to_end: as of `Encoding`.
        stale, by, frame: as of `Encoding`.
    """

    spec: EncodingSpec
    data: Path
    digest: str
    images_key: str
    network: str = ""
    made: Mapping[str, Any] = field(default_factory=dict)
    end_to_end: NDArray[np.float64] | None = None
    stale: str = ""
    by: Mapping[str, str] = field(default_factory=dict)
    frame: str = ""

    @classmethod
    def of(cls, encoding: Encoding) -> "Entry":
        """Of an encoding whose rows lie in a data file."""
        return cls(
            encoding.spec, encoding.place, encoding.digest, encoding.images_key, encoding.network, encoding.made,
            encoding.end_to_end, encoding.stale, encoding.by,
            encoding.frame,
        )  # fmt: skip


def write_index(
    path: Path, tables: CohortTables, entries: Iterable[Entry], *, cache: Path, created: str, latest: str
) -> None:
    """Write an index to `path`, from where it will be renamed to `cache`.

    Args:
        path: the file.
        tables: of the cohort.
        entries: encodings; their data files lie in the cache's folder of data files.
        cache: its name to be.
        created: when the cache was first made; "" for now.
        latest: the encoder family written last, control experiments aside.

    Raises:
        OSError: the disk is full.
    """
    with h5py.File("index", "w", driver="core", backing_store=False) as file:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        file.attrs.update({"format": FORMAT, "lymphofeat": lymphofeat.__version__, "created": created or now})
        file.attrs["latest"] = latest
        write_tables(file, tables)
        group = file.create_group("encodings")
        for entry in entries:
            _write_entry(group.create_group(entry.spec.name), entry, cache.parent)
        image = image_of(file)
    create_file(path, with_digest(image), 0)


def _write_entry(group: h5py.Group, entry: Entry, folder: Path) -> None:
    data = Path(os.path.relpath(entry.data, folder)).as_posix()
    for key, value in entry.spec.about.items():
        group.attrs[key] = value if isinstance(value, str | int | float) else json.dumps(value)
    group.attrs.update({"spec": entry.spec.to_json(), "blind_to": blindness_text(entry.spec.blind_to)})
    group.attrs.update({"complete": True, "digest": entry.digest, "images_key": entry.images_key})
    group.attrs.update({"network": entry.network, "made": json.dumps(entry.made), "stale": entry.stale})
    group.attrs.update({"by": json.dumps(entry.by), "frame": entry.frame})
    for name in _LINKED:
        if (name != "quality" or entry.spec.names is not None) and (name != "learnt" or entry.spec.learns):
            group[name] = h5py.ExternalLink(data, f"{DATA_GROUP}/{name}")
    if entry.end_to_end is not None:
        group.create_dataset("end_to_end", data=entry.end_to_end)
