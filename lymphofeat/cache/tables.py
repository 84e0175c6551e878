"""What a cache keeps of its cohort: patients, folds, image files; in memory and in the file."""

import json
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cohort.fingerprint import bags_digest
from ..cohort.folds import assign_repeats, persons
from ..cohort.model import TABLE_COLUMNS
from ..cohort.persons import PERSON
from ..cohort.pixel_size import pixel_size_in
from ..cohort.values import Declared
from ..errors import CacheError
from .columns import Digests, ImageColumn, InFile, Names, Sizes
from .refusal import damaged

__all__ = ["CohortTables", "make_folds", "read_tables", "write_tables"]

TEXT = h5py.string_dtype()
TEXT_COLUMNS = ("id", "split", "birth", "date_order", "sex", PERSON)
_IN_FILE = {"lymphocyte_count": "count"}  # columns of the table → their names in the file, where they differ
_CHUNK = 4096  # images


@dataclass(frozen=True)
class CohortTables:
    """What a cache keeps of its cohort.

    Attributes:
        patients: columns `TABLE_COLUMNS` and, where persons are named, `person`, then those of `declared`; patients in
            the cohort's order.
        folds: (n_patients, n_repeats) int8; column 0 is the one that encoders are trained on; −1: no label.
        fold_seed: what `folds` was made with.
        fingerprint: hex digest of images, labels and order.
        names, sizes, digests: per image, patients in order: file name, bytes, hex digest of the bytes ("" where it is
            not known, as of imported features).
        source: the cohort's folder when the cache was made.
        reference: the day that ages were counted to, ISO text; `cohort.ages.AT_EXAMINATION` where each is that at the
            patient's examination; "" where it is not known.
        layout: names and words of the cohort's tables, as `cohort.layout.layout_text` writes them; "" where unknown.
        pseudonyms: IDs are pseudonyms, and there is nothing else that names a patient; see `cohort.pseudonyms`.
        exclusions: who and what was left out of the cohort and why, as JSON; see `cohort.exclusions`.
    """

    patients: pd.DataFrame
    folds: NDArray[np.int8]
    fold_seed: int
    fingerprint: str
    names: Sequence[str]
    sizes: Sequence[int]
    digests: Sequence[str]
    source: str = ""
    reference: str = ""
    layout: str = ""
    pseudonyms: bool = False
    exclusions: str = ""

    def __post_init__(self) -> None:
        for name, kind in (("names", Names), ("sizes", Sizes), ("digests", Digests)):
            object.__setattr__(self, name, kind.of(getattr(self, name)))

    def __repr__(self) -> str:
        return f"<CohortTables {len(self.patients)} patients, {self.n_images:,} images, {self.folds.shape[1]} repeats>"

    @cached_property
    def declared(self) -> Declared:
        """Clinical columns beside age, sex and count, as `layout` declares them."""
        return _declared_in(self.layout)

    @property
    def n_images(self) -> int:
        return int(self.patients["n_images"].sum())

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(n_patients,) int64, the first image of each."""
        lengths = self.patients["n_images"].to_numpy(np.int64)
        return np.asarray(np.cumsum(lengths) - lengths)

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """(n_images,) int64, the row of the patient whose image it is."""
        return np.repeat(np.arange(len(self.patients)), self.patients["n_images"].to_numpy(np.int64))

    def images_at(self, rows: NDArray[np.int64] | slice = slice(None)) -> tuple[Names, Sizes, Digests]:
        """Names, sizes and digests of some images, in memory: for who looks at many of them one by one."""
        names, sizes, digests = (_kept(column)[rows] for column in (self.names, self.sizes, self.digests))
        return Names(names), Sizes(sizes), Digests(digests)

    @cached_property
    def keys(self) -> NDArray[np.uint8]:
        """(n_images, 16) uint8, the digests of the images' bytes; zeros where they are not known."""
        return _kept(self.digests)

    @cached_property
    def has_digests(self) -> bool:
        """Whether the images are known by their bytes."""
        return bool(self.keys.any())

    @cached_property
    def images_key(self) -> str:
        """Hex digest of which images there are, in order: by their bytes, or else by patients, numbers and names."""
        state = blake2b(digest_size=16)
        if self.has_digests:
            state.update(np.ascontiguousarray(self.keys).data)
        else:
            whose = [self.patients[name].tolist() for name in ("id", "n_images")]
            state.update(json.dumps(whose).encode())
            state.update(b"\0".join(_kept(self.names).tolist()))
        return state.hexdigest()

    @cached_property
    def bags(self) -> str:
        """Digest of the patients, as `cohort.fingerprint.bags_digest`; "" where the images' bytes are not known."""
        if not self.has_digests:
            return ""
        starts, lengths = self.offsets.tolist(), self.patients["n_images"].tolist()
        whose = zip(self.patients["split"], self.patients["label"].tolist(), starts, lengths, strict=True)
        return bags_digest(
            (split, label, map(bytes, self.keys[start : start + n])) for split, label, start, n in whose
        )

    def digest(self) -> str:
        """Hex digest of everything here that a score can depend on."""
        state = blake2b(self.fingerprint.encode(), digest_size=16)
        table = self.patients[_columns(self.patients, self.declared)].rename(columns=_IN_FILE)
        state.update(table.to_csv(index=False).encode())
        for name, column in self.declared.items():
            state.update(f"{name}: {column.decides}\n".encode())
        state.update(np.ascontiguousarray(self.folds).data)
        return state.hexdigest()

    def same_state(self, other: "CohortTables") -> bool:
        """Whether a file with these tables needs no others: equal in all but the folder that the cohort lay in."""
        mine, theirs = (
            (t.digest(), t.images_key, t.reference, t.declared, t.exclusions) for t in (self, other)
        )
        return mine == theirs


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


def write_tables(file: h5py.File, tables: CohortTables) -> None:
    """Put the tables into an open, empty file."""
    file.attrs.update(
        {
            "fingerprint": tables.fingerprint,
            "fold_seed": tables.fold_seed,
            "source": tables.source,
            "age_reference": tables.reference,
            "layout": tables.layout,
            "images_key": tables.images_key,
        }
    )
    if (size := pixel_size_in(tables.layout)) is not None:
        file.attrs["microns_per_pixel"] = size
    if tables.pseudonyms:
        file.attrs["pseudonyms"] = True
    if tables.exclusions:
        file.create_dataset("exclusions", data=tables.exclusions, dtype=TEXT)  # too long for an attribute
    patients = file.create_group("patients")
    for column in _columns(tables.patients, tables.declared):
        values, name = tables.patients[column], _IN_FILE.get(column, column)
        if column in TEXT_COLUMNS or (column in tables.declared and tables.declared[column].is_text):
            patients.create_dataset(name, data=values.astype(object).to_numpy(), dtype=TEXT)
        else:
            patients.create_dataset(name, data=values.to_numpy())
    patients.create_dataset("offset", data=tables.offsets)
    patients.create_dataset("fold", data=tables.folds[:, 0])
    patients.create_dataset("folds", data=tables.folds)
    images = file.create_group("images")
    columns: dict[str, NDArray[Any]] = {
        "patient": tables.owners.astype(np.int32),
        "name": _kept(tables.names),
        "size": _kept(tables.sizes),
        "digest": np.asarray(tables.keys),
    }
    for column, kept in columns.items():
        chunks = (min(_CHUNK, max(len(kept), 1)), *kept.shape[1:])
        kind = h5py.string_dtype("utf-8", kept.dtype.itemsize) if column == "name" else kept.dtype
        packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if column != "digest" else {}
        images.create_dataset(column, data=kept.astype(kind), chunks=chunks, **packed)


def _kept(column: Sequence[Any]) -> NDArray[Any]:
    assert isinstance(column, ImageColumn), "see CohortTables.__post_init__"
    return column.array()


def read_tables(file: h5py.File) -> CohortTables:
    """The cohort part of an open cache; of format 2, names, sizes and digests stay in the file until they are needed.

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
    tables = CohortTables(
        patients=pd.DataFrame(columns),
        folds=group["folds"][:],
        fold_seed=int(file.attrs["fold_seed"]),
        fingerprint=str(file.attrs["fingerprint"]),
        **_image_columns(Path(file.filename), images),
        source=str(file.attrs["source"]),
        reference=str(file.attrs.get("age_reference", "")),
        layout=layout,
        pseudonyms=bool(file.attrs.get("pseudonyms", False)),
        exclusions=file["exclusions"].asstr()[()] if "exclusions" in file else "",
    )
    if key := file.attrs.get("images_key"):
        tables.__dict__["images_key"] = str(key)  # what the cached property would read everything for
    return tables


def _image_columns(path: Path, images: h5py.Group) -> dict[str, Any]:
    if images["digest"].ndim == 1:  # format 1: texts
        return {
            "names": list(images["name"].asstr()[:]),
            "sizes": [int(s) for s in images["size"][:]],
            "digests": list(images["digest"].asstr()[:]),
        }
    n, key = len(images["digest"]), str(images.file.attrs["images_key"])
    if {len(images[column]) for column in ("name", "size", "patient")} != {n}:
        raise ValueError("its tables of images are of several lengths")
    name, size, digest = (InFile(path, f"images/{column}", n, key) for column in ("name", "size", "digest"))
    return {"names": Names(name), "sizes": Sizes(size), "digests": Digests(digest)}
