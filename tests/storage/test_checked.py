"""Rows in checked blocks: what is written is read, and every byte of a written block is covered by its checksum."""

import errno
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lymphofeat.storage import checked as module
from lymphofeat.storage.checked import CheckedBlocks, Column, FileDisk, checksum


class MemoryDisk:
    """A file in memory that keeps its length."""

    def __init__(self, size: int) -> None:
        self.content = bytearray(size)

    def read(self, offset: int, n: int) -> bytes:
        return bytes(self.content[offset : offset + n])

    def write(self, offset: int, content: bytes | memoryview) -> None:
        assert offset + len(content) <= len(self.content)
        self.content[offset : offset + len(content)] = content

    def sync(self) -> None: ...


def laid_out(widths: list[int], n_rows: int, block: int) -> tuple[MemoryDisk, CheckedBlocks]:
    """Columns one behind the other, each with a gap of 3 bytes before it, then the checksums."""
    columns, end = [], 0
    for width in widths:
        columns.append(Column(end + 3, width))
        end += 3 + width * n_rows
    n_blocks = -(-n_rows // block)
    disk = MemoryDisk(end + 4 * n_blocks)
    return disk, CheckedBlocks(disk, columns, n_rows, block, end)


def some_bytes(n: int, seed: int) -> bytes:
    return np.random.default_rng(seed).bytes(n)


def parts_of(blocks: CheckedBlocks, widths: list[int], block: int, seed: int = 0) -> list[bytes]:
    return [
        some_bytes(w * len(blocks.rows(block)), 100 * seed + 10 * block + k) for k, w in enumerate(widths)
    ]


@given(
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    n_rows=st.integers(0, 30),
    block=st.integers(1, 8),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_what_is_read_is_what_was_written_in_any_order(
    widths: list[int], n_rows: int, block: int, data: st.DataObject
) -> None:
    disk, blocks = laid_out(widths, n_rows, block)
    assert [row for b in range(blocks.n_blocks) for row in blocks.rows(b)] == list(range(n_rows))
    order = data.draw(st.permutations(range(blocks.n_blocks)))
    first = order[: data.draw(st.integers(0, len(order)))]
    for b in first:
        blocks.write(b, *parts_of(blocks, widths, b))
    assert list(np.flatnonzero(blocks.written())) == sorted(first)
    assert blocks.pending() == sorted(set(range(blocks.n_blocks)) - set(first))
    for b in first:
        assert blocks.read(b) == parts_of(blocks, widths, b)
        assert blocks.is_as_written(b)
    gaps = bytes(disk.content[:3])
    assert gaps == b"\0\0\0"


def test_every_bit_of_a_written_block_is_covered() -> None:
    widths = [5, 2]
    disk, blocks = laid_out(widths, 7, 3)
    for b in range(3):
        blocks.write(b, *parts_of(blocks, widths, b))
    gap = {*range(3), *range(3 + 35, 3 + 35 + 3)}
    for at in range(len(disk.content)):
        for bit in range(8):
            disk.content[at] ^= 1 << bit
            assert len(blocks.pending()) == (at not in gap), (at, bit)
            disk.content[at] ^= 1 << bit
    assert blocks.pending() == []


def test_a_checksum_is_a_crc_of_all_parts_and_never_zero() -> None:
    assert checksum(b"ab", memoryview(b"c")) == zlib.crc32(b"abc")
    zero = b"\x9d\x0a\xd9\x6d"  # the four bytes whose CRC-32 is 0
    assert zlib.crc32(zero) == 0
    assert checksum(zero) == 1
    disk, blocks = laid_out([4], 1, 1)
    blocks.write(0, zero)
    assert blocks.written().all()
    assert blocks.is_as_written(0)
    assert checksum() == 1
    assert bytes(disk.content[-4:]) == b"\1\0\0\0"  # little-endian


def test_arrays_are_parts() -> None:
    _, blocks = laid_out([12, 1], 5, 2)
    values, flags = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([7, 8], np.uint8)
    blocks.write(1, memoryview(values), memoryview(flags))
    assert blocks.read(1) == [values.tobytes(), flags.tobytes()]
    with pytest.raises(TypeError):
        blocks.write(1, memoryview(np.asfortranarray(values)), memoryview(flags))


@pytest.mark.parametrize("parts", [[b"12"], [b"123", b"1"], [b"12", b"1", b""], [b"", b""], [b"1", b"12"]])
def test_parts_of_another_size_are_not_written(parts: list[bytes]) -> None:
    disk, blocks = laid_out([2, 1], 3, 2)
    with pytest.raises(ValueError, match=r"block 1: parts of .* should be \[2, 1\]"):
        blocks.write(1, *parts)
    assert not any(disk.content)


@pytest.mark.parametrize("bad", [-1, 2])
def test_a_block_that_is_not_there_raises(bad: int) -> None:
    disk, blocks = laid_out([2], 3, 2)
    for call in (blocks.read, blocks.rows, blocks.is_as_written, lambda b: blocks.clear([b])):
        with pytest.raises(IndexError, match="of 2"):
            call(bad)
    with pytest.raises(IndexError):
        blocks.write(bad, b"1234")
    assert not any(disk.content)


@pytest.mark.parametrize(
    ("columns", "n_rows", "block"),
    [([], 3, 1), ([Column(0, 0)], 3, 1), ([Column(0, 1)], -1, 1), ([Column(0, 1)], 3, 0)],
)
def test_numbers_that_describe_no_blocks_are_refused(columns: list[Column], n_rows: int, block: int) -> None:
    with pytest.raises(ValueError, match="rows in blocks of"):
        CheckedBlocks(MemoryDisk(9), columns, n_rows, block, 4)


def test_cleared_blocks_are_pending_again() -> None:
    widths = [4]
    _, blocks = laid_out(widths, 9, 2)
    for b in range(5):
        blocks.write(b, *parts_of(blocks, widths, b))
    blocks.clear([1, 4])
    assert blocks.pending() == [1, 4]
    assert not blocks.is_as_written(1)
    assert blocks.read(1) == parts_of(blocks, widths, 1)


def test_a_file_cut_short_is_pending_or_refused() -> None:
    widths = [4]
    disk = MemoryDisk(8 + 4 * 5)
    blocks = CheckedBlocks(disk, [Column(8, 4)], 5, 3, 0)  # the checksums first, so that rows are cut
    for b in range(2):
        blocks.write(b, *parts_of(blocks, widths, b))
    assert blocks.pending() == []
    del disk.content[-1:]
    assert blocks.pending() == [1]
    with pytest.raises(EOFError, match="within block 1"):
        blocks.read(1)
    del disk.content[7:]
    assert not blocks.is_as_written(1)
    with pytest.raises(EOFError, match="within its checksums"):
        blocks.pending()


class Counted:
    """A progress that counts."""

    n = 0

    def advance(self, n: int = 1) -> None:
        self.n += n


def test_progress_counts_the_blocks_that_are_read() -> None:
    widths = [4]
    disk, blocks = laid_out(widths, 9, 2)
    for b in (0, 2, 3):
        blocks.write(b, *parts_of(blocks, widths, b))
    disk.content[5] ^= 1
    progress = Counted()
    assert blocks.pending(progress) == [0, 1, 4]  # type: ignore[arg-type]
    assert progress.n == 3


@pytest.fixture(params=["pwrite", "seek"])
def file_disk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FileDisk]:
    """A file of 400 bytes, by the system's pread and pwrite or without them."""
    if request.param == "seek":
        monkeypatch.delattr(module.os, "pread")
        monkeypatch.delattr(module.os, "pwrite")
    path = tmp_path / "rows"
    path.write_bytes(bytes(400))
    with FileDisk.open(path, write=True) as disk:
        yield disk


def test_a_file_from_several_threads(file_disk: FileDisk, tmp_path: Path) -> None:
    blocks = CheckedBlocks(file_disk, [Column(0, 3), Column(180, 1)], 60, 4, 240)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda b: blocks.write(b, *parts_of(blocks, [3, 1], b)), range(15)))
        read = list(pool.map(blocks.read, range(15)))
    assert read == [parts_of(blocks, [3, 1], b) for b in range(15)]
    blocks.sync()
    assert (tmp_path / "rows").stat().st_size == 400
    with FileDisk.open(tmp_path / "rows") as again:
        assert CheckedBlocks(again, [Column(0, 3), Column(180, 1)], 60, 4, 240).pending() == []
        with pytest.raises(OSError, match="Bad file descriptor"):
            again.write(0, b"1")


def test_short_reads_and_writes_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pread, pwrite = os.pread, os.pwrite
    monkeypatch.setattr(module.os, "pread", lambda fd, n, at: pread(fd, min(n, 3), at))
    monkeypatch.setattr(module.os, "pwrite", lambda fd, content, at: pwrite(fd, content[:2], at))
    path = tmp_path / "rows"
    path.write_bytes(b"")
    with FileDisk.open(path, write=True) as disk:
        disk.write(1, b"seven bytes")
        assert disk.read(0, 100) == b"\0seven bytes"
        assert disk.read(50, 4) == b""
        disk.write(0, b"")
        assert disk.read(3, 0) == b""


def test_a_full_disk_is_the_systems_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "rows"
    path.write_bytes(bytes(8))
    with FileDisk.open(path, write=True) as disk:
        monkeypatch.setattr(module.os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            CheckedBlocks(disk, [Column(0, 4)], 1, 1, 4).write(0, b"1234")
    assert path.read_bytes() == bytes(8)


def test_a_disk_that_cannot_sync_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(error: int) -> None:
        def fsync(_: int) -> None:
            raise OSError(error, os.strerror(error))

        monkeypatch.setattr(os, "fsync", fsync)

    path = tmp_path / "rows"
    path.write_bytes(bytes(8))
    with FileDisk.open(path, write=True) as disk:
        fails(errno.EIO)
        with pytest.raises(OSError, match="Input/output error"):
            disk.sync()
        fails(errno.EINVAL)  # a file system without fsync
        disk.sync()
