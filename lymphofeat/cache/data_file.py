"""The data file of one encoding: its rows, which image each is of, and a checksum for each block."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..storage.checked import CheckedBlocks, Column, Disk, checksum
from ..storage.hdf5 import open_to_read
from .layout import DATA_GROUP, FORMAT, create_file, image_of, map_dataset
from .learnt import Learnt, write_learnt
from .spec import EncodingSpec, blindness_text
from .tables import CohortTables

__all__ = ["ROW_PARTS", "DataFile", "create_data_file", "data_size", "origin_of", "slots_of"]

ROW_PARTS = ("features", "quality", "origin")  # what a block's checksum covers, in this order
_SLOTS, _SLOT_BYTES = 64, 512  # of `origins`
_PIECE = 1 << 24  # bytes
_GROUP_BYTES = 1 << 16  # HDF5's own structures


@dataclass(frozen=True)
class DataFile:
    """An open view of a data file, as it grows or whole.

    Attributes:
        path: the file.
        spec: what the rows are.
        images_key: of the cohort whose images they are, see `CohortTables.images_key`.
        network: digest of the trained network that computes them; "" of one that is not trained here.
        keys: (n, 16) uint8, the digest of each row's image.
        features: (n, D) float32, mapped.
        quality: (n,) uint8 of named features, else None.
        origin: (n,) uint8, which of `origins` computed the row.
        places: offsets in the file: of each of the parts of a row, of `checks` and of `origins`.
        group: where in the file it lies.
    """

    path: Path
    spec: EncodingSpec
    images_key: str
    network: str
    keys: NDArray[np.uint8]
    features: NDArray[np.float32]
    quality: NDArray[np.uint8] | None
    origin: NDArray[np.uint8]
    places: Mapping[str, int]
    group: str

    @classmethod
    def read(cls, path: Path, group: h5py.Group) -> "DataFile":
        """Of the group of an open data file.

        Raises:
            KeyError, ValueError: something is not there.
        """
        parts = [name for name in ROW_PARTS if name in group]
        return cls(
            path,
            EncodingSpec.from_json(str(group.attrs["spec"])),
            str(group.attrs["images_key"]),
            str(group.attrs["network"]),
            group["image"][:],
            map_dataset(group["features"]),
            map_dataset(group["quality"]) if "quality" in group else None,
            map_dataset(group["origin"]),
            {name: int(group[name].id.get_offset()) for name in [*parts, "checks", "origins"]},
            group.name,
        )

    def blocks(self, disk: Disk) -> CheckedBlocks:
        """Its rows in checked blocks, on `disk`, which is this file."""
        return CheckedBlocks(disk, self._columns, len(self.keys), self.spec.block, self.places["checks"])

    @property
    def _columns(self) -> list[Column]:
        """Where the parts of the rows lie, in the order of `ROW_PARTS`."""
        widths = {"features": 4 * self.spec.dim, "quality": 1, "origin": 1}
        return [Column(self.places[name], widths[name]) for name in ROW_PARTS if name in self.places]

    def parts(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Copies of some rows, by `ROW_PARTS`."""
        parts: dict[str, NDArray[Any]] = {"features": self.features[rows], "origin": self.origin[rows]}
        return parts if self.quality is None else parts | {"quality": self.quality[rows]}

    def empty_parts(self, n: int) -> dict[str, NDArray[Any]]:
        """Zeros for `n` rows, by `ROW_PARTS`."""
        parts: dict[str, NDArray[Any]] = {"features": np.zeros((n, self.spec.dim), np.float32)}
        parts["origin"] = np.zeros(n, np.uint8)
        return parts if self.quality is None else parts | {"quality": np.zeros(n, np.uint8)}

    def digest(self, disk: Disk) -> str:
        """Hex digest of the features, as `features_digest` has it; read piece by piece, so that memory stays flat."""
        state, place = blake2b(digest_size=16), self.places["features"]
        left = 4 * self.spec.dim * len(self.keys)
        while left:
            state.update(disk.read(place, min(left, _PIECE)))
            place, left = place + min(left, _PIECE), left - min(left, _PIECE)
        return state.hexdigest()

    def frame(self, disk: Disk) -> str:
        """Hex digest of all of the file but the blocks and their checksums: HDF5's structures, images, origins."""
        checks = self.places["checks"]
        rows = [
            (column.offset, column.offset + len(self.keys) * column.row_bytes) for column in self._columns
        ]
        rows = sorted([*rows, (checks, checks + 4 * self.blocks(disk).n_blocks)])
        state = blake2b(digest_size=16)
        for start, stop in pairwise([0, *(at for pair in rows for at in pair), self.path.stat().st_size]):
            if (start, stop) not in rows:
                state.update(disk.read(start, stop - start))
        return state.hexdigest()

    def origins(self) -> list[dict[str, Any]]:
        """What computed the rows, by the numbers in `origin`."""
        with open_to_read(self.path) as file:
            return slots_of(file[self.group]["origins"][:])

    def add_origin(self, disk: Disk, about: Mapping[str, Any]) -> int:
        """The number of what computes rows from now on; it is on the disk before any row of it.

        The last of the slots stands for all that no slot is left for.
        """
        text = _slot_text(about)
        for slot, known in enumerate(self.origins()):
            if known == dict(about) and slot < _SLOTS - 1:
                return slot
        used = len(self.origins())
        slot = min(used, _SLOTS - 1)
        if slot < _SLOTS - 1:
            disk.write(self.places["origins"] + slot * _SLOT_BYTES, text.ljust(_SLOT_BYTES, b"\0"))
            disk.sync()
        return slot


def slots_of(texts: NDArray[Any]) -> list[dict[str, Any]]:
    """What is written in the slots of `origins`; nothing where one is torn or damaged."""
    found: list[dict[str, Any]] = []
    for text in texts.tolist():
        if not text:
            break
        try:
            about = dict(json.loads(text))
        except ValueError:
            about = {}
        about.pop("check", None)
        found.append(about if _slot_text(about) == text else {})
    return found


def _slot_text(about: Mapping[str, Any]) -> bytes:
    """A slot of `origins`: JSON with a checksum of itself; "{}" for what is too long."""
    check = checksum(json.dumps(about, sort_keys=True).encode())
    text = json.dumps({**about, "check": check}, sort_keys=True).encode()
    return text if len(text) <= _SLOT_BYTES else b"{}"


def origin_of(spec: EncodingSpec) -> dict[str, Any]:
    """What of an encoding's description says where and with what a row was computed."""
    return {key: value for key, value in spec.provenance.items() if key != "weights"}


def data_size(spec: EncodingSpec, n_images: int) -> int:
    """Bytes that the rows of a data file may take."""
    n_blocks = -(-n_images // spec.block)
    return (4 * spec.dim + 2) * n_images + 4 * n_blocks + _SLOTS * _SLOT_BYTES + _GROUP_BYTES


def create_data_file(
    path: Path,
    tables: CohortTables,
    spec: EncodingSpec,
    *,
    learnt: Learnt | None = None,
    network: str = "",
) -> None:
    """Write a data file without rows: its space is allocated, its checksums are zero.

    Args:
        path: the file.
        tables: of the cohort whose images the rows are of.
        spec: what the rows will be.
        learnt: whom the encoder learnt from; None where it learnt from nobody.
        network: digest of the trained network; "" without one.

    Raises:
        OSError: the disk is full.
    """
    with h5py.File("data", "w", driver="core", backing_store=False) as file:
        file.attrs["format"] = FORMAT
        group = file.create_group(DATA_GROUP)
        group.attrs.update({"spec": spec.to_json(), "images_key": tables.images_key, "network": network})
        group.attrs.update({"blind_to": blindness_text(spec.blind_to), "pseudonyms": tables.pseudonyms})
        group.create_dataset("image", data=np.asarray(tables.keys))
        if learnt is not None:
            write_learnt(group, learnt)
        image = image_of(file)
    n_images = tables.n_images
    create_file(path, image, data_size(spec, n_images))
    with h5py.File(path, "r+") as file:
        group = file[DATA_GROUP]
        _allocate(group, "features", (n_images, spec.dim), h5py.h5t.IEEE_F32LE)
        if spec.names is not None:
            _allocate(group, "quality", (n_images,), h5py.h5t.STD_U8LE)
        _allocate(group, "origin", (n_images,), h5py.h5t.STD_U8LE)
        _allocate(group, "checks", (-(-n_images // spec.block),), h5py.h5t.STD_U32LE)
        text = h5py.h5t.C_S1.copy()
        text.set_size(_SLOT_BYTES)
        text.set_strpad(h5py.h5t.STR_NULLPAD)
        _allocate(group, "origins", (_SLOTS,), text)


def _allocate(group: h5py.Group, name: str, shape: tuple[int, ...], kind: Any) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.CONTIGUOUS)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_ALLOC)
    h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple(shape), plan)
