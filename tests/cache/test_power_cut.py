"""Power cuts while an encoding grows: the whole partial file with HDF5's structures, as `PartialEncoding` writes it.

See tests/storage/test_power_cut.py: any of the writes since the last sync may be there, in any order, torn anywhere.
"""

import random
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lymphofeat.cache import open_cache
from lymphofeat.cache.data_file import DataFile
from lymphofeat.cache.partial import PartialEncoding
from lymphofeat.cache.spec import EncodingSpec
from lymphofeat.cache.tables import CohortTables
from lymphofeat.encoder.morphology.quality import NO_NUCLEUS, impute
from lymphofeat.errors import CacheError
from lymphofeat.storage.checked import CheckedBlocks, FileDisk

from ..helpers.caches import frozen_cache
from ..helpers.power import LosingDisk, PowerCut

NAMES = ["area", "roundness", "chromatin"]
SPEC = EncodingSpec("cells", "cells", len(NAMES), 4, None, {"features": NAMES, "device": "cpu"})


class LosingFile(LosingDisk):
    """A disk that loses power, whose running system is a file: HDF5 and maps read it there."""

    def __init__(self, path: Path, cut_at: int | None = None) -> None:
        super().__init__(path.read_bytes(), cut_at)
        self._path = path

    def write(self, offset: int, content: bytes | memoryview) -> None:
        super().write(offset, content)
        with self._path.open("rb+") as file:
            file.seek(offset)
            file.write(content)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> CohortTables:
    """Of 10 patients; every image has a digest."""
    found = open_cache(
        frozen_cache(tmp_path_factory.mktemp("tables") / "c.h5", n=10, n_test=0, n_folds=2)
    ).tables
    return replace(
        found, digests=[blake2b(bytes([k]), digest_size=16).hexdigest() for k in range(found.n_images)]
    )


def measured(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and quality of images; a few have no nucleus."""
    features = np.random.default_rng(5).normal(size=(1000, len(NAMES))).astype(np.float32)[rows] + 3
    quality = np.where(rows % 7 == 3, NO_NUCLEUS, 0).astype(np.uint8)
    features[quality == NO_NUCLEUS] = np.nan
    return features, quality


def grow(path: Path, tables: CohortTables, seed: int, cut_at: int | None = None) -> LosingFile:
    """What `extract` does with measured cells: missing blocks in any order, then values for those without a nucleus."""
    rng, disks = random.Random(seed), []

    def losing(at: Path) -> LosingFile:
        disks.append(LosingFile(at, cut_at))
        return disks[0]

    try:
        partial = PartialEncoding(path, tables, SPEC, disk=losing)
        units = partial.pending
        rng.shuffle(units)
        for unit in units:
            partial.write(unit, *measured(partial.rows(unit)))
            if rng.random() < 0.2:
                partial.flush()
        failed = np.flatnonzero(partial.quality == NO_NUCLEUS)
        imputed = partial.features.copy()
        impute(imputed, partial.quality, tables.patients["n_images"].to_numpy(np.int64))
        partial.replace_rows(failed, imputed[failed])
        partial.finished()
    except PowerCut:
        pass
    return disks[0]


def begun(path: Path, tables: CohortTables) -> bytes:
    """The file before its first block, at `path` and as bytes: HDF5 writes the time of its making into it."""
    PartialEncoding(path, tables, SPEC, disk=LosingFile)
    return path.read_bytes()


def cut_and_grown(folder: Path, tables: CohortTables, seed: int, start: bytes) -> Path:
    """The file of a run that loses power up to three times."""
    rng, path = random.Random(seed), folder / "c.h5.cells.partial"
    path.unlink()
    path.write_bytes(start)
    for _ in range(rng.randint(1, 3)):
        disk = grow(path, tables, seed, cut_at=rng.randint(1, 40))
        left = disk.survivor(rng)
        path.unlink()
        path.write_bytes(left)
    disk = grow(path, tables, seed)
    assert disk.content == path.read_bytes()
    return path


def held(path: Path) -> tuple[Any, ...]:
    """What a finished file holds: everything bit by bit, but of a row's origin what it says, not its number.

    A description that a power cut tore is passed over, and the next one gets another number.
    """
    with h5py.File(path, "r") as file:
        group = file["encoding"]
        data = DataFile.read(path, group)
        about = data.origins()
        with FileDisk.open(path) as disk:
            assert data.blocks(disk).pending() == []
            rest = bytearray(disk.read(0, path.stat().st_size))
        n_blocks = -(-len(data.keys) // data.spec.block)
        for name, size in (("origin", len(data.keys)), ("origins", 64 * 512), ("checks", 4 * n_blocks)):
            rest[data.places[name] : data.places[name] + size] = bytes(size)
        return bytes(rest), [about[k] for k in data.origin]


@pytest.mark.parametrize("seeds", [range(40), pytest.param(range(40, 300), marks=pytest.mark.slow)])
def test_a_run_that_loses_power_ends_with_the_same_file(
    tmp_path: Path, tables: CohortTables, seeds: range
) -> None:
    path = tmp_path / "c.h5.cells.partial"
    start = begun(path, tables)
    grow(path, tables, 0)
    unbroken = held(path)
    assert unbroken[1][0] == {"device": "cpu"}
    for seed in seeds:
        assert held(cut_and_grown(tmp_path, tables, seed, start)) == unbroken, seed


def test_flags_that_cover_nothing_would_be_found(
    tmp_path: Path, tables: CohortTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test of the test: with a flag for each block instead of its checksum, files differ."""
    path = tmp_path / "c.h5.cells.partial"
    start = begun(path, tables)
    grow(path, tables, 0)
    unbroken = held(path)
    monkeypatch.setattr(CheckedBlocks, "is_as_written", lambda self, block: bool(self.written()[block]))
    assert any(_differs(tmp_path, tables, seed, start, unbroken) for seed in range(25))


def _differs(folder: Path, tables: CohortTables, seed: int, start: bytes, unbroken: tuple[Any, ...]) -> bool:
    try:
        return held(cut_and_grown(folder, tables, seed, start)) != unbroken
    except (CacheError, ValueError, IndexError):
        return True
