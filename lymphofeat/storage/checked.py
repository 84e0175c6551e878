"""Rows on disk in blocks, each with a checksum that is its flag: what a power cut tears is found and computed again.

A block's rows are written before its CRC-32, and 0 stands for a block that was not written. A kill leaves what the
system took so far, in this order. A power cut may leave any part of what was written since the last `sync`, in any
order; a block whose rows and checksum do not belong together then counts as not written.

One state is beyond a checksum: a block that is written a second time may come back whole as it was the first time.
Where that must not be, `clear` the block and `sync` before the second writing.
"""

import os
import threading
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..progress import Progress, Silent
from .atomic import sync_descriptor

__all__ = ["CheckedBlocks", "Column", "Disk", "FileDisk", "checksum"]

_CHECK = np.dtype("<u4")


class Disk(Protocol):
    """What blocks need of a file; a test puts one in its place that loses power."""

    def read(self, offset: int, n: int) -> bytes:
        """`n` bytes from `offset`; fewer only where the file ends."""

    def write(self, offset: int, content: bytes | memoryview) -> None:
        """Write all of `content` at `offset`."""

    def sync(self) -> None:
        """Return once everything that was written is on the disk."""


class FileDisk:
    """An open file as a `Disk`; usable from several threads at once.

    Args:
        descriptor: of a file open for reading, and for writing if it is to be written; `close` closes it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()  # for systems without pread and pwrite

    @classmethod
    def open(cls, path: Path, *, write: bool = False) -> Self:
        """The file at `path`, which must exist.

        Raises:
            OSError: it cannot be opened.
        """
        return cls(os.open(path, (os.O_RDWR if write else os.O_RDONLY) | getattr(os, "O_BINARY", 0)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; without a `sync` before, a power cut may still take what was written."""
        os.close(self._descriptor)

    def read(self, offset: int, n: int) -> bytes:
        """`n` bytes from `offset`; fewer only where the file ends.

        Raises:
            OSError: the system cannot read them.
        """
        parts = []
        while n and (part := self._read_some(offset, n)):
            parts.append(part)
            offset, n = offset + len(part), n - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, offset: int, content: bytes | memoryview) -> None:
        """Write all of `content` at `offset`; the file grows if need be.

        Raises:
            OSError: the system cannot write it: a full disk, a folder that may not be written to.
        """
        rest = _as_bytes(content)
        while rest:
            n = self._write_some(offset, rest)
            offset, rest = offset + n, rest[n:]

    def sync(self) -> None:
        """Return once everything that was written is on the disk.

        Raises:
            OSError: the disk failed to take it.
        """
        sync_descriptor(self._descriptor)

    def _read_some(self, offset: int, n: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, n, offset)
        with self._lock:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, n)

    def _write_some(self, offset: int, content: memoryview) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._descriptor, content, offset)
        with self._lock:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.write(self._descriptor, content)


@dataclass(frozen=True)
class Column:
    """Where rows lie one behind the other.

    Attributes:
        offset: of row 0, in bytes from the beginning of the file.
        row_bytes: bytes a row, at least 1.
    """

    offset: int
    row_bytes: int


class CheckedBlocks:
    """Blocks of rows in a file, their columns in one place or several, and one checksum a block.

    Methods may be called from several threads, for different blocks. None changes the file's size; it is there, with
    zeros where no checksum was written yet. All but `written` and `pending` take a block's number, from 0 to
    `n_blocks` − 1, and raise IndexError for another.

    Args:
        disk: the file.
        columns: at least one; a block's rows are those of all columns.
        n_rows: rows, the same of every column.
        block: rows a block, at least 1; the last block may have fewer.
        checks: offset of the checksums: `n_blocks` little-endian uint32.

    Raises:
        ValueError: numbers that describe no blocks.
    """

    def __init__(self, disk: Disk, columns: Sequence[Column], n_rows: int, block: int, checks: int) -> None:
        if not columns or n_rows < 0 or block < 1 or min(column.row_bytes for column in columns) < 1:
            raise ValueError(f"{len(columns)} columns of {n_rows} rows in blocks of {block}")
        self._disk, self._columns, self._n_rows = disk, tuple(columns), n_rows
        self._block, self._checks = block, checks

    @property
    def n_blocks(self) -> int:
        return -(-self._n_rows // self._block)

    def rows(self, block: int) -> range:
        """The rows of a block."""
        if not 0 <= block < self.n_blocks:
            raise IndexError(f"block {block} of {self.n_blocks}")
        return range(block * self._block, min((block + 1) * self._block, self._n_rows))

    def write(self, block: int, *parts: bytes | memoryview) -> None:
        """Write a block's rows, then its checksum.

        Args:
            block: its number.
            parts: for each column the rows' bytes in C order, exactly len(rows) × row_bytes.

        Raises:
            ValueError: parts of another number or size; nothing is written.
            OSError: the disk does not take them.
        """
        rows = self.rows(block)
        contents = [_as_bytes(part) for part in parts]
        wanted = [len(rows) * column.row_bytes for column in self._columns]
        if [content.nbytes for content in contents] != wanted:
            raise ValueError(
                f"block {block}: parts of {[c.nbytes for c in contents]} bytes, should be {wanted}"
            )
        for column, content in zip(self._columns, contents, strict=True):
            self._disk.write(column.offset + rows.start * column.row_bytes, content)
        self._write_check(block, checksum(*contents))

    def read(self, block: int) -> list[bytes]:
        """A block's rows as they lie in the file, written or not: for each column len(rows) × row_bytes bytes.

        Raises:
            EOFError: the file ends before they do.
            OSError: the system cannot read them.
        """
        rows, parts = self.rows(block), []
        for column in self._columns:
            n = len(rows) * column.row_bytes
            parts.append(self._disk.read(column.offset + rows.start * column.row_bytes, n))
            if len(parts[-1]) != n:
                raise EOFError(f"the file ends within block {block}")
        return parts

    def written(self) -> NDArray[np.bool_]:
        """(n_blocks,) bool: whether a block has a checksum. Its rows are not read; see `is_as_written`.

        Raises:
            EOFError: the file ends before the checksums do.
            OSError: the system cannot read them.
        """
        return np.asarray(self._read_checks(0, self.n_blocks) != 0)

    def is_as_written(self, block: int) -> bool:
        """Whether a block has a checksum and its rows are those that the checksum was made of.

        Raises:
            OSError: the system cannot read them.
        """
        self.rows(block)
        try:
            check = int(self._read_checks(block, 1)[0])
            return check != 0 and checksum(*self.read(block)) == check
        except EOFError:
            return False

    def pending(self, progress: Progress | None = None) -> list[int]:
        """The blocks that were not written, or whose rows are not as written, in order; reads all that have a checksum.

        Args:
            progress: advances by one for each block that is read; whoever calls starts and stops it.

        Raises:
            EOFError, OSError: as `written`.
        """
        progress, pending = progress or Silent(), []
        for block, written in enumerate(self.written()):
            if not (written and self.is_as_written(block)):
                pending.append(block)
            if written:
                progress.advance()
        return pending

    def clear(self, blocks: Iterable[int]) -> None:
        """Mark blocks as not written; the rows stay as they are.

        Raises:
            OSError: the disk does not take it.
        """
        for block in blocks:
            self.rows(block)
            self._write_check(block, 0)

    def sync(self) -> None:
        """Return once everything that was written is on the disk (a kill needs no sync; a power cut does).

        Raises:
            OSError: the disk failed to take it.
        """
        self._disk.sync()

    def _write_check(self, block: int, check: int) -> None:
        self._disk.write(self._checks + _CHECK.itemsize * block, np.array(check, _CHECK).tobytes())

    def _read_checks(self, start: int, n: int) -> NDArray[np.uint32]:
        content = self._disk.read(self._checks + _CHECK.itemsize * start, _CHECK.itemsize * n)
        if len(content) != _CHECK.itemsize * n:
            raise EOFError("the file ends within its checksums")
        return np.frombuffer(content, _CHECK)


def checksum(*parts: bytes | memoryview) -> int:
    """CRC-32 of the parts one behind the other, from 1 to 2³² − 1: 0, which stands for "not written", becomes 1."""
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return value or 1


def _as_bytes(content: bytes | memoryview) -> memoryview:
    """A view of the bytes of whatever C-contiguous memory; TypeError if it is not."""
    view = memoryview(content)
    return view.cast("B") if view.nbytes else memoryview(b"")
