"""Caches and partial files as versions up to format 1 wrote them: all in one file, digests and names as texts."""

import json
import zlib
from pathlib import Path

import h5py
import numpy as np

from lymphofeat.cache import open_cache
from lymphofeat.cache.data_file import DataFile
from lymphofeat.cache.layout import DATA_GROUP
from lymphofeat.cache.spec import EncodingSpec, blindness_text
from lymphofeat.cache.tables import CohortTables

TEXT = h5py.string_dtype()


def write_format_1(path: Path, cache: Path) -> Path:
    """The cache at `cache`, written to `path` in format 1."""
    found = open_cache(cache)
    with h5py.File(path, "w") as file:
        _write_tables(file, found.tables)
        file.attrs.update({"lymphofeat": "0.1.0", "latest": found.default_encoder_family})
        for name, encoding in found.everything.items():
            n_blocks = -(-len(encoding.features) // encoding.spec.block)
            group = _write_rows(file, encoding.spec, encoding.features, encoding.quality, np.ones(n_blocks))
            group.attrs.update(
                {"complete": True, "digest": encoding.digest, "made": json.dumps(encoding.made)}
            )
            if encoding.end_to_end is not None:
                group["end_to_end"] = encoding.end_to_end
            assert group.name.endswith(name)
    return path


def rewrite_partial(path: Path, tables: CohortTables, *, checks: bool = True) -> None:
    """Bring a partial file into the form of format 1, with or without the checksums that later versions of it had."""
    with h5py.File(path, "r") as file:
        data = DataFile.read(path, file[DATA_GROUP])
        done = (file[DATA_GROUP]["checks"][:] != 0).astype(np.uint8)
    features = np.array(data.features)
    quality = None if data.quality is None else np.array(data.quality)
    path.unlink()
    with h5py.File(path, "w") as file:
        _write_tables(file, tables)
        group = _write_rows(file, data.spec, features, quality, done)
        group.attrs.update({"complete": False, "digest": ""})
        if checks:
            group["checks"] = np.array(
                [_check(features, quality, b, data.spec.block) for b in range(len(done))], np.uint32
            )


def _check(features: np.ndarray, quality: np.ndarray | None, block: int, size: int) -> int:
    rows = slice(block * size, (block + 1) * size)
    value = zlib.crc32(np.ascontiguousarray(features[rows]).tobytes())
    return value if quality is None else zlib.crc32(quality[rows].tobytes(), value)


def _write_rows(
    file: h5py.File, spec: EncodingSpec, features: np.ndarray, quality: np.ndarray | None, done: np.ndarray
) -> h5py.Group:
    group = file.require_group("encodings").create_group(spec.name)
    group.attrs.update({"spec": spec.to_json(), "blind_to": blindness_text(spec.blind_to)})
    group["features"], group["done"] = np.asarray(features), done.astype(np.uint8)
    if quality is not None:
        group["quality"] = quality
    return group


def _write_tables(file: h5py.File, tables: CohortTables) -> None:
    file.attrs.update(
        {"format": 1, "created": "2026-01-01T00:00:00+00:00", "fingerprint": tables.fingerprint}
    )
    file.attrs.update(
        {"fold_seed": tables.fold_seed, "source": tables.source, "age_reference": tables.reference}
    )
    file.attrs["layout"] = tables.layout
    patients = file.create_group("patients")
    for column in tables.patients.columns:
        values = tables.patients[column]
        name = "count" if column == "lymphocyte_count" else column
        if values.dtype.kind in "OTU" or values.dtype == "str":
            patients.create_dataset(name, data=values.astype(object).to_numpy(), dtype=TEXT)
        else:
            patients[name] = values.to_numpy()
    patients["offset"], patients["fold"], patients["folds"] = tables.offsets, tables.folds[:, 0], tables.folds
    images = file.create_group("images")
    images["patient"], images["size"] = tables.owners.astype(np.int32), np.array(list(tables.sizes))
    for column in ("name", "digest"):
        texts = list(tables.names if column == "name" else tables.digests)
        images.create_dataset(column, data=np.array(texts, dtype=object), dtype=TEXT)
