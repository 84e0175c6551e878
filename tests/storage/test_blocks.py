"""A file of rows against the array it should be: kills, a power cut, a full disk, other processes."""

import errno
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from lymphofeat.errors import CacheError, InputError
from lymphofeat.storage import blocks as module
from lymphofeat.storage.blocks import RowPlan, open_rows
from lymphofeat.storage.checked import FileDisk


def content(plan: RowPlan) -> np.ndarray:
    values = np.arange(plan.n * int(np.prod(plan.shape))).reshape(plan.n, *plan.shape)
    return (values * 7 % 251).astype(plan.dtype)


class Compute:
    """Gives the rows of `content` and keeps which blocks it was asked for; may fail at one."""

    def __init__(self, plan: RowPlan, fails_at: int | None = None) -> None:
        self.plan, self.fails_at, self.asked = plan, fails_at, []

    def __call__(self, rows: range) -> np.ndarray:
        if rows.start // self.plan.block == self.fails_at:
            raise InputError("image 5 cannot be decoded.")
        self.asked.append(rows.start // self.plan.block)
        return content(self.plan)[rows.start : rows.stop]


def opened(plan: RowPlan, compute: Compute, workers: int = 1):
    return open_rows(plan, compute, what="work", unit="rows", workers=workers)


def plan_in(folder: Path, n: int = 23, block: int = 4) -> RowPlan:
    return RowPlan(folder / "rows.u8", n, (3, 5), "uint8", block)


@given(n=st.integers(1, 40), block=st.integers(1, 50), dtype=st.sampled_from(["uint8", "uint16"]))
@settings(max_examples=25, deadline=None)
def test_what_is_read_is_what_was_computed(tmp_path_factory, n: int, block: int, dtype: str) -> None:
    plan = RowPlan(tmp_path_factory.mktemp("rows") / "r", n, (2, 3), dtype, block)
    stored = opened(plan, Compute(plan), workers=3)
    np.testing.assert_array_equal(stored.array, content(plan))
    order = np.random.default_rng(n).integers(0, n, 2 * n)
    np.testing.assert_array_equal(stored.take(order), content(plan)[order])
    assert stored.array.dtype == dtype
    assert not stored.array.flags.writeable


def test_a_finished_file_is_not_computed_again(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    opened(plan, Compute(plan))
    again = Compute(plan)
    np.testing.assert_array_equal(opened(plan, again).array, content(plan))
    assert again.asked == []
    assert not plan.partial.exists()


def test_a_file_of_earlier_versions_is_read_and_gone_on_with(tmp_path: Path) -> None:
    """Byte by byte: the rows, one little-endian CRC-32 a block, magic and three numbers."""
    plan = plan_in(tmp_path)
    blocks = [content(plan)[start : start + 4].tobytes() for start in range(0, 23, 4)]
    checks = b"".join(struct.pack("<L", zlib.crc32(block)) for block in blocks)
    trailer = b"LFROWS01" + struct.pack("<QQQ", 23, 15, 4)
    written = b"".join(blocks) + checks + trailer
    for path, start in ((plan.path, written), (plan.partial, written.replace(checks[4:8], bytes(4)))):
        path.write_bytes(start)
        compute = Compute(plan)
        np.testing.assert_array_equal(opened(plan, compute).array, content(plan))
        assert compute.asked == ([] if path == plan.path else [1])
        assert plan.path.read_bytes() == written
        plan.path.unlink()


def test_after_a_failure_only_the_missing_blocks_are_computed(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    with pytest.raises(InputError, match="image 5"):
        opened(plan, Compute(plan, fails_at=3))
    assert not plan.path.exists()
    again = Compute(plan)
    np.testing.assert_array_equal(opened(plan, again).array, content(plan))
    assert again.asked == [3, 4, 5]


def test_a_block_that_did_not_reach_the_disk_is_computed_again(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    with pytest.raises(InputError):
        opened(plan, Compute(plan, fails_at=5))
    with plan.partial.open("rb+") as file:  # its checksum is there, its bytes are not
        file.seek(2 * plan.block * plan.row_bytes + 7)
        file.write(b"\x00" * 9)
    again = Compute(plan)
    np.testing.assert_array_equal(opened(plan, again).array, content(plan))
    assert again.asked == [2, 5]


@pytest.mark.parametrize("harm", ["shorter", "another", "empty"])
def test_a_file_that_is_not_whole_is_made_anew(tmp_path: Path, harm: str) -> None:
    plan = plan_in(tmp_path)
    opened(plan, Compute(plan))
    whole = plan.path.read_bytes()
    plan.path.write_bytes({"shorter": whole[:-5], "another": whole[:-3] + b"abc", "empty": b""}[harm])
    again = Compute(plan)
    np.testing.assert_array_equal(opened(plan, again).array, content(plan))
    assert sorted(again.asked) == list(range(plan.n_blocks))


def test_a_partial_file_of_another_layout_is_not_gone_on_with(tmp_path: Path) -> None:
    other = plan_in(tmp_path, block=5)
    with pytest.raises(InputError):
        opened(other, Compute(other, fails_at=2))
    plan = plan_in(tmp_path)
    np.testing.assert_array_equal(opened(plan, Compute(plan)).array, content(plan))


def test_what_does_not_read_back_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_in(tmp_path)
    write = FileDisk.write

    def loses_a_byte(disk: FileDisk, offset: int, content: bytes | memoryview) -> None:
        write(disk, offset, content if offset else b"\xff" + bytes(content)[1:])

    monkeypatch.setattr(FileDisk, "write", loses_a_byte)
    with pytest.raises(CacheError, match=r"rows\.u8\.partial did not read back as written"):
        opened(plan, Compute(plan))
    assert not plan.path.exists()


def test_rows_that_are_not_as_written_are_not_taken(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    opened(plan, Compute(plan))
    whole = plan.path.read_bytes()
    for at in range(0, plan.n * plan.row_bytes, 11):
        plan.path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        stored, bad = opened(plan, Compute(plan)), at // (plan.row_bytes * plan.block)
        first = bad * plan.block
        with pytest.raises(
            CacheError, match=rf"rows {first} to \d+ are not as they were written; remove the file"
        ):
            stored.take(np.arange(plan.n))
        others = np.array([row for row in range(plan.n) if row // plan.block != bad])
        np.testing.assert_array_equal(stored.take(others), content(plan)[others])


def test_rows_that_are_not_there_raise(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    stored = opened(plan, Compute(plan))
    for bad in (-1, plan.n):
        with pytest.raises(IndexError):
            stored.take(np.array([0, bad]))
    assert stored.take(np.array([], np.int64)).shape == (0, 3, 5)


def test_a_wrong_block_is_not_written(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    with pytest.raises(ValueError, match="block 0"):
        open_rows(plan, lambda rows: np.zeros((len(rows), 3, 4), np.uint8), what="", unit="")


def test_what_was_read_is_unmapped_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's mapped pages stay few although all rows are read several times."""
    plan = RowPlan(tmp_path / "r", 64, (1 << 16,), "uint8", 8)
    stored = open_rows(plan, lambda rows: np.ones((len(rows), 1 << 16), np.uint8), what="", unit="")
    monkeypatch.setattr(module, "_RESIDENT", 1 << 19)
    for _ in range(3):
        for start in range(0, 64, 8):
            assert stored.take(np.arange(start, start + 8)).all()
    resident = resident_bytes(plan.path)
    assert resident < 2 << 20, "the whole file, 4 MiB, stayed mapped"


def resident_bytes(path: Path) -> int:
    lines = Path("/proc/self/smaps").read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.endswith(str(path)))
    return int(next(line for line in lines[at:] if line.startswith("Rss:")).split()[1]) << 10


def test_a_file_system_that_cannot_reserve_space_is_written_to_all_the_same(tmp_path, monkeypatch) -> None:
    def cannot(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(module.os, "posix_fallocate", cannot)
    plan = plan_in(tmp_path)
    np.testing.assert_array_equal(opened(plan, Compute(plan)).array, content(plan))


def test_threads_are_left_as_they_were(tmp_path: Path) -> None:
    plan, before = plan_in(tmp_path), torch.get_num_threads()
    opened(plan, Compute(plan), workers=2)
    assert torch.get_num_threads() == before


def test_a_second_process_waits_for_the_first(tmp_path: Path) -> None:
    plan, compute = plan_in(tmp_path), None
    lock = FileLock(tmp_path / ".rows.u8.lock", thread_local=False)
    lock.acquire()
    notes: list[str] = []

    class Notes:
        def note(self, text: str) -> None:
            notes.append(text)
            lock.release()  # the first process ends once the second has said that it waits

        def __getattr__(self, _: str):
            return lambda *args, **options: None

    def second() -> None:
        nonlocal compute
        compute = Compute(plan)
        open_rows(plan, compute, what="work", unit="rows", progress=Notes())

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert len(notes) == 1
    assert re.fullmatch(
        rf"Waiting for another process.*, which holds {re.escape(str(plan.path.parent))}/\.{plan.path.name}\.lock",
        notes[0],
    )
    assert plan.path.exists()


SLOW = """
import sys, time
import numpy as np
from pathlib import Path
from lymphofeat.storage.blocks import RowPlan, open_rows
plan = RowPlan(Path(sys.argv[1]), 400, (1000,), "uint8", 4)
def compute(rows):
    time.sleep(0.004)
    return np.stack([np.random.default_rng(row).integers(0, 256, 1000, dtype=np.uint8) for row in rows])
open_rows(plan, compute, what="", unit="", workers=2)
"""


def started(path: Path, **options: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(path)],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


def test_killed_and_resumed_is_the_same_file(tmp_path: Path) -> None:
    expected = np.stack([np.random.default_rng(r).integers(0, 256, 1000, dtype=np.uint8) for r in range(400)])
    path, rng, kills = tmp_path / "rows.u8", random.Random(0), 0
    while kills < 2:
        process = started(path)
        while process.poll() is None and not path.with_name("rows.u8.partial").exists():
            time.sleep(0.002)
        time.sleep(rng.random() * 0.12)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
    process = started(path)
    _, error = process.communicate()
    assert process.returncode == 0, error.decode()
    np.testing.assert_array_equal(np.fromfile(path, np.uint8, 400_000).reshape(400, 1000), expected)


def test_a_full_disk_gets_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    limit = 100_000

    def small_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = started(tmp_path / "rows.u8", preexec_fn=small_disk)
    _, error = process.communicate()
    assert process.returncode != 0
    assert "it needs 0.00 GB: free space, or give another --cache" in error.decode()
    assert "CacheError" in error.decode()
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []
