"""Format 1 of the cache file: names, checks, and the tables every encoding shares.

The format as prose: `docs/cache-format.md`. Two choices carry the two promises of the cache:

* `features` and `done` are stored contiguously, not in chunks, with their space allocated when the file is
  made. A reader can then map them (a bag is a slice of the file), and a writer fills them through a map
  without touching HDF5's own metadata: a process killed at any moment cannot leave the file unreadable.
* A cache is never changed in place. A new encoding grows in a `.partial` file of its own; when it is whole
  and verified, a new cache with the old encodings and the new one is renamed over the old cache.
"""

import json
import re
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

import lymphofeat

from ..cohort.folds import assign_repeats, persons
from ..cohort.model import TABLE_COLUMNS
from ..cohort.persons import PERSON
from ..cohort.values import Declared
from ..errors import CacheError
from ..storage.disk import reserve
from .refusal import damaged, why_no_cache

FORMAT = 1
TEXT = h5py.string_dtype()
TEXT_COLUMNS = ("id", "split", "birth", "date_order", "sex", PERSON)
_IN_FILE = {"lymphocyte_count": "count"}  # columns of the table → their names in format 1, where they differ
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
# How the features came about, kept and shown but never compared: another device, another torch or another path to the
# same weights (whose digest is compared) gives the same features up to rounding.
PROVENANCE = ("device", "libraries", "torch", "weights")
_GROUP_BYTES = 1 << 14  # HDF5's own structures of an encoding
EVERY_FOLD = "all"  # `blind_to` of an encoding whose encoder saw no labels at all


@dataclass(frozen=True)
class CohortTables:
    """What a cache keeps of its cohort.

    Attributes:
        patients: columns `TABLE_COLUMNS` and, where persons are named, `person`, then those of `declared`; patients in
            the cohort's order.
        folds: (n_patients, n_repeats) int8; column 0 is the one that encoders are trained on; −1: no label.
        fold_seed: what `folds` was made with.
        fingerprint: hex digest of images, labels and order.
        names, sizes, digests: per image, patients in order: file name, bytes, hex digest of the bytes.
        source: the cohort's folder when the cache was made.
        reference: the day that ages were counted to, ISO text; `cohort.ages.AT_EXAMINATION` where each is that at the
            patient's examination; "" where it is not known.
        layout: names and words of the cohort's tables, as `cohort.layout.layout_text` writes them; "" where unknown.
        pseudonyms: IDs are pseudonyms, and there is nothing else that names a patient; see `cohort.pseudonyms`.
    """

    patients: pd.DataFrame
    folds: NDArray[np.int8]
    fold_seed: int
    fingerprint: str
    names: list[str]
    sizes: list[int]
    digests: list[str]
    source: str = ""
    reference: str = ""
    layout: str = ""
    pseudonyms: bool = False

    def __repr__(self) -> str:
        return f"<CohortTables {len(self.patients)} patients, {self.n_images:,} images, {self.folds.shape[1]} repeats>"

    @cached_property
    def declared(self) -> Declared:
        """Clinical columns beside age, sex and count, as `layout` declares them."""
        return _declared_in(self.layout)

    @property
    def n_images(self) -> int:
        return int(self.patients["n_images"].sum())

    def digest(self) -> str:
        """Hex digest of everything here that a score can depend on."""
        state = blake2b(self.fingerprint.encode(), digest_size=16)
        table = self.patients[_columns(self.patients, self.declared)].rename(columns=_IN_FILE)
        state.update(table.to_csv(index=False).encode())
        for name, column in self.declared.items():
            state.update(f"{name}: {column.decides}\n".encode())
        state.update(np.ascontiguousarray(self.folds).data)
        return state.hexdigest()


@dataclass(frozen=True)
class EncodingSpec:
    """What an encoding is, apart from its numbers; two runs with equal `identity` may share a partial file.

    Attributes:
        name: the encoding's name in the cache.
        encoder_family: encodings that differ only in the folds they are blind to share it.
        dim: D, features per image.
        block: images per written block.
        blind_to: folds whose labels the encoder never saw; None: it saw none at all.
        about: backbone, weights digest, preprocessing, recipe, seed, dtype, …, and the keys of `PROVENANCE`.
    """

    name: str
    encoder_family: str
    dim: int
    block: int
    blind_to: frozenset[int] | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.name, self.encoder_family):
            if not NAME.fullmatch(name):
                raise CacheError(f"{name!r} cannot name an encoding; use letters, digits and . _ + - only.")

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the meaning of the features, as JSON values; two encodings that agree here are one."""
        raw: dict[str, Any] = json.loads(self.to_json())
        del raw["block"]
        return raw | {"about": {k: v for k, v in raw["about"].items() if k not in self.provenance}}

    @property
    def names(self) -> list[str] | None:
        """(D,) names of the features, where each has one; None of a network's."""
        names: list[str] | None = self.about.get("features")
        return names

    @property
    def trained(self) -> bool:
        """Whether a recipe trained the encoder's network on the cohort; `extract` keeps it beside the cache then."""
        return isinstance(self.about.get("recipe"), dict)

    @property
    def provenance(self) -> dict[str, Any]:
        """Where and with what the features were computed."""
        known = PROVENANCE if "weights_digest" in self.about else PROVENANCE[:-1]
        return {k: v for k, v in self.about.items() if k in known}

    def to_json(self) -> str:
        blind = EVERY_FOLD if self.blind_to is None else sorted(self.blind_to)
        return json.dumps(
            {
                "name": self.name,
                "family": self.encoder_family,
                "dim": self.dim,
                "block": self.block,
                "blind_to": blind,
                "about": self.about,
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> "EncodingSpec":
        raw = json.loads(text)
        blind = raw["blind_to"]
        known = None if blind == EVERY_FOLD else frozenset(blind)
        return cls(raw["name"], raw["family"], raw["dim"], raw["block"], known, raw["about"])


def make_folds(patients: pd.DataFrame, n_folds: int, n_repeats: int, seed: int) -> NDArray[np.int8]:
    """Grouped, stratified folds of the labelled patients: (n_patients, n_repeats) int8, −1 elsewhere.

    A cohort without any label has no folds; its images can be encoded all the same.
    """
    labels = patients["label"].to_numpy(np.int8)
    if not (labels >= 0).any():
        return np.full((len(patients), n_repeats), -1, dtype=np.int8)
    return assign_repeats(labels, persons(patients), n_folds, n_repeats, seed)


def _declared_in(layout: str) -> Declared:
    """The clinical columns that the text of a layout declares."""
    if not layout or not json.loads(layout).get("clinical"):
        return {}
    from ..cohort.layout import layout_from_text  # pydantic, which most caches do without

    return layout_from_text(layout).clinical


def _columns(table: Container[str], declared: Iterable[str]) -> list[str]:
    """The columns of a table of patients, in memory or in a file."""
    return [*TABLE_COLUMNS, *([PERSON] if PERSON in table else []), *declared]


def create_file(path: Path, tables: CohortTables, room: int) -> None:
    """Write a new cache without encodings at `path`, with room for what h5py will add to it.

    HDF5 does not survive a disk that fills up while it writes: it raises from destructors, and the process may crash
    later. Its file therefore begins as bytes in memory, and all space is taken by the system before HDF5 sees the disk.

    Args:
        path: the file.
        tables: of the cohort.
        room: bytes that the encodings to come may need; what they do not is given back when the file is closed.

    Raises:
        OSError: there is not so much room.
    """
    with h5py.File("tables", "w", driver="core", backing_store=False) as file:
        _write_tables(file, tables)
        file.flush()
        image = file.id.get_file_image()
    with path.open("wb") as target:
        target.write(image)
        target.flush()
        reserve(target.fileno(), len(image) + room)


def encoding_size(spec: EncodingSpec, n_images: int) -> int:
    """Bytes that an encoding may take in a file, its description included."""
    n_blocks = -(-n_images // spec.block)
    return (4 * spec.dim + 1) * n_images + 5 * n_blocks + 4 * len(spec.to_json()) + _GROUP_BYTES


def _write_tables(file: h5py.File, tables: CohortTables) -> None:
    file.attrs.update(
        {
            "format": FORMAT,
            "lymphofeat": lymphofeat.__version__,
            "fingerprint": tables.fingerprint,
            "fold_seed": tables.fold_seed,
            "source": tables.source,
            "age_reference": tables.reference,
            "layout": tables.layout,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
    if tables.pseudonyms:
        file.attrs["pseudonyms"] = True
    patients = file.create_group("patients")
    for column in _columns(tables.patients, tables.declared):
        values, name = tables.patients[column], _IN_FILE.get(column, column)
        if column in TEXT_COLUMNS or (column in tables.declared and tables.declared[column].is_text):
            patients.create_dataset(name, data=values.astype(object).to_numpy(), dtype=TEXT)
        else:
            patients.create_dataset(name, data=values.to_numpy())
    lengths = tables.patients["n_images"].to_numpy(np.int64)
    patients.create_dataset("offset", data=np.cumsum(lengths) - lengths)
    patients.create_dataset("fold", data=tables.folds[:, 0])
    patients.create_dataset("folds", data=tables.folds)
    images = file.create_group("images")
    images.create_dataset("patient", data=np.repeat(np.arange(len(lengths), dtype=np.int32), lengths))
    images.create_dataset("name", data=np.array(tables.names, dtype=object), dtype=TEXT)
    images.create_dataset("size", data=np.array(tables.sizes, dtype=np.int64))
    images.create_dataset("digest", data=np.array(tables.digests, dtype=object), dtype=TEXT)
    file.create_group("encodings")


def create_encoding(file: h5py.File, spec: EncodingSpec, n_images: int) -> None:
    """Add an empty, incomplete encoding to an open file, its space allocated and zeroed.

    Named features have their `quality` beside them: how far each image could be measured. `checks` is for the time of
    growing only: the CRC-32 of each block, so that what a power cut tore is found.
    """
    group = file["encodings"].create_group(spec.name)
    group.attrs.update({"spec": spec.to_json(), "complete": False, "digest": ""})
    group.attrs["blind_to"] = blindness_text(spec.blind_to)
    for key, value in spec.about.items():
        group.attrs[key] = value if isinstance(value, str | int | float) else json.dumps(value)
    n_blocks = -(-n_images // spec.block)
    _allocate(group, "features", (n_images, spec.dim), h5py.h5t.IEEE_F32LE)
    if spec.names is not None:
        _allocate(group, "quality", (n_images,), h5py.h5t.STD_U8LE)
    _allocate(group, "done", (n_blocks,), h5py.h5t.STD_U8LE)
    _allocate(group, "checks", (n_blocks,), h5py.h5t.STD_U32LE)


def _allocate(group: h5py.Group, name: str, shape: tuple[int, ...], kind: Any) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.CONTIGUOUS)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_ALLOC)
    h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple(shape), plan)


def open_checked(path: Path) -> h5py.File:
    """Open a file of this format for reading.

    Raises:
        CacheError: no such file, locked, not HDF5, truncated, not a cache, or of a format this version does not know.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise CacheError(why_no_cache(path, str(error))) from error
    try:
        found, whole = file.attrs.get("format"), "encodings" in file
    except (OSError, RuntimeError, KeyError) as error:
        file.close()
        raise CacheError(why_no_cache(path, str(error))) from error
    if found is None or not whole:
        file.close()
        raise CacheError(f"{path} is an HDF5 file of another program, not a cache; name another --cache.")
    if found != FORMAT:
        file.close()
        raise CacheError(
            f"{path} has cache format {found}, and this is lymphofeat {lymphofeat.__version__}, which reads format "
            f"{FORMAT}; name another --cache or install the version that wrote it."
        )
    return file


def read_tables(file: h5py.File) -> CohortTables:
    """The cohort part of an open cache.

    Raises:
        CacheError: it is damaged.
    """
    try:
        return _tables(file)
    except (KeyError, OSError, RuntimeError, ValueError, TypeError) as error:
        raise CacheError(damaged(Path(file.filename), error)) from error


def _tables(file: h5py.File) -> CohortTables:
    group, images = file["patients"], file["images"]
    layout = str(file.attrs.get("layout", ""))
    declared = _declared_in(layout)
    columns = {
        c: group[c].asstr()[:].astype(object) if is_text else group[_IN_FILE.get(c, c)][:]
        for c in _columns(group, declared)
        for is_text in [c in TEXT_COLUMNS or (c in declared and declared[c].is_text)]
    }
    return CohortTables(
        patients=pd.DataFrame(columns),
        folds=group["folds"][:],
        fold_seed=int(file.attrs["fold_seed"]),
        fingerprint=str(file.attrs["fingerprint"]),
        names=list(images["name"].asstr()[:]),
        sizes=[int(s) for s in images["size"][:]],
        digests=list(images["digest"].asstr()[:]),
        source=str(file.attrs["source"]),
        reference=str(file.attrs.get("age_reference", "")),
        layout=layout,
        pseudonyms=bool(file.attrs.get("pseudonyms", False)),
    )


def map_dataset(path: Path, dataset: h5py.Dataset, mode: str) -> NDArray[Any]:
    """Map a contiguous dataset of the file at `path`; the HDF5 handle may be closed afterwards.

    Raises:
        CacheError: the dataset is not stored contiguously (another program rewrote the file).
    """
    offset = dataset.id.get_offset()
    if offset is None:
        raise CacheError(
            f"{path}: {dataset.name} is not stored contiguously, so the file was rewritten by another program; put the "
            "original in its place, or move it away and run `lymphofeat extract` again."
        )
    return np.memmap(path, dtype=dataset.dtype, mode=mode, offset=offset, shape=dataset.shape)  # type: ignore[call-overload,no-any-return]


def blindness_text(blind_to: frozenset[int] | None) -> str:
    """`blind_to` as the attribute of an encoding's group has it, for those who read the file with other tools."""
    return EVERY_FOLD if blind_to is None else json.dumps(sorted(blind_to))


def blind_to_all(blind_to: frozenset[int] | None, held_out: Collection[int]) -> bool:
    """Whether an encoder with this `blind_to` saw none of the labels of the folds `held_out`."""
    return blind_to is None or set(held_out) <= blind_to
