"""Where known features are taken from: an encoding of the cache, or what an earlier run left of one."""

import json
import zlib
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..storage.checked import FileDisk
from .data_file import DataFile, origin_of
from .layout import map_dataset
from .spec import EncodingSpec
from .tables import read_tables

__all__ = ["RowSource", "is_bad", "source_of", "source_of_format_1"]


@dataclass(frozen=True)
class RowSource:
    """Rows of features by their images.

    Attributes:
        spec: of the encoding.
        keys: (n, 16) uint8, digests of the images; rows of zeros are of images that are not known.
        features: (n, D) float32, mapped.
        quality: (n,) uint8 of named features, else None.
        origin: (n,) uint8, by which of `origins` a row was computed.
        origins: devices and versions.
        usable: (n,) whether the row was written, and reads back so.
        in_place: the rows are of the very images that are wanted, in their order; `keys` is not looked at.
    """

    spec: EncodingSpec
    keys: NDArray[np.uint8]
    features: NDArray[np.float32]
    quality: NDArray[np.uint8] | None
    origin: NDArray[np.uint8]
    origins: list[dict[str, Any]]
    usable: NDArray[np.bool_]
    in_place: bool = False


def source_of(data: DataFile) -> RowSource:
    """The rows of a data file; each block is read once, to see whether it is as it was written."""
    usable = np.ones(len(data.keys), dtype=bool)
    with FileDisk.open(data.path) as disk:
        blocks = data.blocks(disk)
        for block in blocks.pending():
            usable[list(blocks.rows(block))] = False
    return RowSource(data.spec, data.keys, data.features, data.quality, data.origin, data.origins(), usable)


def source_of_format_1(file: h5py.File, group: h5py.Group) -> RowSource:
    """The rows of an encoding of format 1, whole or not.

    What grows has a flag for each block, and from some version on a checksum beside it; before that, a block of which
    a power cut lost a row shows it by a row of zeros.
    """
    spec, tables = EncodingSpec.from_json(str(group.attrs["spec"])), read_tables(file)
    features = map_dataset(group["features"])
    quality = group["quality"][:] if "quality" in group else None
    checks = group["checks"][:] if "checks" in group else None
    usable = np.zeros(len(features), dtype=bool)
    for block in np.flatnonzero(group["done"][:]).tolist():
        rows = slice(block * spec.block, min((block + 1) * spec.block, len(features)))
        content = np.ascontiguousarray(features[rows])
        if checks is None:
            usable[rows] = bool(group.attrs["complete"]) or not is_bad(content).any()
            continue
        check = zlib.crc32(content.data.cast("B"))
        check = check if quality is None else zlib.crc32(quality[rows].tobytes(), check)
        usable[rows] = check == checks[block]
    made = json.loads(group.attrs.get("made", "{}"))
    origins = [origin_of(spec), *([made["finished_with"]] if "finished_with" in made else [])]
    origin = np.zeros(len(features), dtype=np.uint8)
    return RowSource(spec, np.asarray(tables.keys), features, quality, origin, origins, usable)


def is_bad(features: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(n,) whether a row holds what no encoder gives for an image."""
    return np.asarray(~np.isfinite(features).all(axis=1) | ~features.any(axis=1))
