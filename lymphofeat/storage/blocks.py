"""Rows of one size on disk, computed once in blocks and read through a map: what pixels and activations are kept in.

The file is the rows, then the checksums of `CheckedBlocks`, then what it should hold. It grows as `<name>.partial`,
block by block and in any order; when all blocks are there and read back as written it is renamed. A run that was killed
therefore goes on where it was, and blocks that a power cut left half on the disk are computed again.
"""

import math
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CacheError
from ..parallel import thread_pool, usable_cores
from ..progress import Progress, Silent
from .arrays import array_bytes
from .atomic import move_into_place
from .checked import CheckedBlocks, Column, Disk, FileDisk, checksum
from .disk import reserve
from .locks import locked

__all__ = ["RowPlan", "StoredRows", "open_rows", "plan_of"]

Compute = Callable[[range], NDArray[Any]]
_TRAILER = struct.Struct("<8sQQQ")  # magic, rows, bytes a row, rows a block
_MAGIC = b"LFROWS01"
_RESIDENT = 32 << 20  # bytes of the file that may stay mapped before they are given back to the page cache
_AHEAD = 4  # blocks per worker that are computed before the first of them is waited for


@dataclass(frozen=True)
class RowPlan:
    """What a file of rows holds.

    Attributes:
        path: the finished file.
        n: rows.
        shape, dtype: of one row.
        block: rows computed and written together.
    """

    path: Path
    n: int
    shape: tuple[int, ...]
    dtype: str
    block: int

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    @property
    def n_blocks(self) -> int:
        return -(-self.n // self.block)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.n * self.row_bytes + 4 * self.n_blocks + _TRAILER.size

    @property
    def partial(self) -> Path:
        """Where it grows."""
        return self.path.with_name(self.path.name + ".partial")

    def rows(self, block: int) -> range:
        """The rows of a block."""
        return range(block * self.block, min((block + 1) * self.block, self.n))

    def blocks(self, disk: Disk) -> CheckedBlocks:
        """The rows in such a file, finished or growing."""
        return CheckedBlocks(
            disk, [Column(0, self.row_bytes)], self.n, self.block, checks=self.n * self.row_bytes
        )

    def trailer(self) -> bytes:
        return _TRAILER.pack(_MAGIC, self.n, self.row_bytes, self.block)


def plan_of(path: Path) -> RowPlan:
    """What a file of rows, finished or growing, holds; its rows as bytes.

    Raises:
        CacheError: it is no such file, or was cut.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TRAILER.size))
        end = file.read()
    if len(end) == _TRAILER.size:
        magic, n, row_bytes, block = _TRAILER.unpack(end)
        if magic == _MAGIC and row_bytes and block:
            plan = RowPlan(
                path.with_name(path.name.removesuffix(".partial")), n, (row_bytes,), "uint8", block
            )
            if plan.size == size:
                return plan
    raise CacheError(f"{path} is not a whole file of rows; remove it: it is made again from the images.")


class StoredRows:
    """A finished file of rows, mapped read-only.

    `take` may be called from several threads. It compares each block with its checksum before it first takes from it.
    What it reads stays in the system's page cache, but is unmapped again after a while, so that the process does not
    grow with the file.

    Attributes:
        array: (n, *shape) read-only view of the file, not compared with the checksums.
    """

    def __init__(self, plan: RowPlan) -> None:
        with plan.path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        count = plan.n * int(np.prod(plan.shape))
        self.array: NDArray[Any] = np.frombuffer(self._map, plan.dtype, count).reshape(plan.n, *plan.shape)
        self._plan, self._touched = plan, 0
        at = plan.n * plan.row_bytes
        self._checks = np.frombuffer(self._map, "<u4", plan.n_blocks, at)
        self._compared = np.zeros(plan.n_blocks, dtype=bool)

    def __reduce__(self) -> tuple[type["StoredRows"], tuple[RowPlan]]:
        """Another process gets the path, and opens the file for itself."""
        return StoredRows, (replace(self._plan, path=self._plan.path.absolute()),)

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Copy rows, (len(rows), *shape).

        Raises:
            IndexError: a row that is not there.
            CacheError: rows are not as they were written.
        """
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self.array)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a file of {len(self.array)}")
        blocks = np.unique(rows // self._plan.block)
        for block in blocks[~self._compared[blocks]].tolist():
            self._compare(block)
        copied = np.empty((len(rows), *self.array.shape[1:]), self.array.dtype)
        np.take(self.array, rows, axis=0, out=copied, mode="clip")  # "raise" would copy once more
        self._touch(copied.nbytes)
        return copied

    def _compare(self, block: int) -> None:
        """Compare a block with its checksum."""
        rows, row_bytes = self._plan.rows(block), self._plan.row_bytes
        with memoryview(self._map)[rows.start * row_bytes : rows.stop * row_bytes] as content:
            if checksum(content) != self._checks[block]:
                raise CacheError(
                    f"{self._plan.path}: rows {rows.start} to {rows.stop - 1} are not as they were written; remove the "
                    "file and run the command again: it is made again from the images."
                )
        self._touch(len(rows) * row_bytes)
        self._compared[block] = True

    def _touch(self, n: int) -> None:
        """Count bytes that were read; after many, give the mapped pages back."""
        self._touched += n
        if self._touched > _RESIDENT and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0


def open_rows(
    plan: RowPlan,
    compute: Compute,
    *,
    what: str,
    unit: str,
    per_unit: int = 1,
    workers: int | None = None,
    progress: Progress | None = None,
) -> StoredRows:
    """The file, computing first what is missing of it.

    Args:
        plan: what and where.
        compute: maps a range of rows to (len, *shape); called from several threads, each with one thread for
            torch's arithmetic, so that a block's bits do not depend on the number of cores.
        what, unit: for the progress bar.
        per_unit: rows that make one unit of progress.
        workers: threads, by default one per core.
        progress: is told of blocks as they come.

    Raises:
        CacheError: it cannot be written, or does not read back as written.
    """
    progress = progress or Silent()
    with locked(plan.path, CacheError, patience=math.inf, tell=progress.note):
        if not _whole(plan):
            try:
                _grow(plan, compute, workers or usable_cores(), (what, unit, per_unit), progress)
            except OSError as error:
                raise CacheError(
                    f"{plan.partial} cannot be written ({error.strerror or error}); it needs "
                    f"{plan.size / 1e9:.2f} GB: free space, or give another --cache, and run the command again."
                ) from error
    return StoredRows(plan)


def _whole(plan: RowPlan) -> bool:
    """Whether the finished file is there and is this one; anything else of its name is derived data, made anew."""
    if not (plan.path.exists() and _fits(plan, plan.path)):
        return False
    with FileDisk.open(plan.path) as disk:
        return bool(plan.blocks(disk).written().all())


def _fits(plan: RowPlan, path: Path) -> bool:
    if path.stat().st_size != plan.size:
        return False
    with path.open("rb") as file:
        file.seek(-_TRAILER.size, os.SEEK_END)
        return file.read() == plan.trailer()


def _grow(
    plan: RowPlan, compute: Compute, workers: int, words: tuple[str, str, int], progress: Progress
) -> None:
    if not (plan.partial.exists() and _fits(plan, plan.partial)):
        _create(plan)
    with FileDisk.open(plan.partial, write=True) as disk:
        blocks = plan.blocks(disk)
        pending = blocks.pending()
        what, unit, per_unit = words
        done = plan.n - sum(len(plan.rows(block)) for block in pending)
        progress.start(what, plan.n // per_unit, unit, done // per_unit)
        try:
            for block, rows in _computed(plan, compute, pending, workers):
                blocks.write(block, _bytes(plan, block, rows))
                progress.advance(len(rows) // per_unit)
            blocks.sync()
        finally:
            progress.stop()
        if blocks.pending():
            raise CacheError(
                f"{plan.partial} did not read back as written; check the disk and run the command again."
            )
    move_into_place(plan.partial, plan.path)


def _create(plan: RowPlan) -> None:
    """An empty partial file with its space reserved, so that a full disk shows before the work, not after."""
    with plan.partial.open("wb") as file:
        try:
            reserve(file.fileno(), plan.size)
            file.truncate(plan.size)
        except OSError:
            plan.partial.unlink()
            raise
        file.seek(-_TRAILER.size, os.SEEK_END)
        file.write(plan.trailer())


def _bytes(plan: RowPlan, block: int, rows: NDArray[Any]) -> bytes:
    if rows.shape != (len(plan.rows(block)), *plan.shape) or rows.dtype != np.dtype(plan.dtype):
        raise ValueError(f"block {block} is {rows.shape} {rows.dtype}, should be {plan.shape} {plan.dtype}")
    return array_bytes(rows)


def _computed(
    plan: RowPlan, compute: Compute, pending: list[int], workers: int
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Blocks in order, a few of them computed ahead."""
    window = _AHEAD * workers
    with thread_pool(workers, torch_each=1) as pool:
        for start in range(0, len(pending), window):
            blocks = pending[start : start + window]
            yield from zip(blocks, pool.map(compute, map(plan.rows, blocks)), strict=True)
