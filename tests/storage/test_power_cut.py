"""Power cuts at any moment of writing checked blocks: what is lost is found, and nothing else is taken for written.

As SQLite's crash tests do, a disk in memory keeps what was written since the last sync apart. After a cut any of those
writes took place, in any order, any of them torn. The file is then opened and completed as a run would, and must equal
that of a run without a cut, bit for bit.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from lymphofeat.storage.blocks import RowPlan
from lymphofeat.storage.checked import CheckedBlocks, Column, Disk, checksum

from ..helpers.power import LosingDisk, PowerCut, cut_and_resumed

POINTS = 1500


@dataclass(frozen=True)
class Layout:
    """Where blocks lie in a file: columns of some bytes a row, gaps between them, the checksums first or last."""

    widths: tuple[int, ...]
    n_rows: int
    block: int
    gap: int
    checks_first: bool

    @classmethod
    def any(cls, rng: random.Random) -> "Layout":
        widths = tuple(rng.choice((1, 4, 20, 300)) for _ in range(rng.randint(1, 3)))
        return cls(widths, rng.randint(1, 24), rng.randint(1, 6), rng.choice((0, 5, 512)), rng.random() < 0.5)

    @property
    def n_blocks(self) -> int:
        return -(-self.n_rows // self.block)

    @property
    def first(self) -> int:
        return self.gap + (4 * self.n_blocks if self.checks_first else 0)

    @property
    def size(self) -> int:
        return self.gap + 4 * self.n_blocks + sum(self.gap + width * self.n_rows for width in self.widths)

    def blocks(self, disk: Disk, kind: type[CheckedBlocks] = CheckedBlocks) -> CheckedBlocks:
        columns, at = [], self.first
        for width in self.widths:
            columns.append(Column(at + self.gap, width))
            at += self.gap + width * self.n_rows
        return kind(disk, columns, self.n_rows, self.block, self.gap if self.checks_first else at)


@cache
def parts_of(layout: Layout, block: int, version: int = 0) -> list[bytes]:
    """What is computed for a block; nothing of one version or block is as in another, zeros included."""
    rows = min(layout.block, layout.n_rows - block * layout.block)
    rng = np.random.default_rng((block, version))
    return [
        b"\0" * (width * rows) if (block + version + k) % 5 == 4 else rng.bytes(width * rows)
        for k, width in enumerate(layout.widths)
    ]


def fill(blocks: CheckedBlocks, layout: Layout, rng: random.Random, version: int = 0) -> None:
    """What a run does: computes what is pending, in the order in which threads finish, and syncs now and then."""
    pending = blocks.pending()
    rng.shuffle(pending)
    for block in pending:
        blocks.write(block, *parts_of(layout, block, version))
        if rng.random() < 0.2:
            blocks.sync()
    blocks.sync()


def silent_rubbish(
    kind: type[CheckedBlocks],
    layout: Layout,
    start: bytes,
    run: Callable[[LosingDisk], None],
    versions: tuple[int, ...],
    rng: random.Random,
) -> str:
    """Cut a run's power and complete it: what is wrong in the end, or between; "" if nothing is."""
    unbroken = LosingDisk(start)
    run(unbroken)
    found = []

    def inspect(disk: LosingDisk) -> None:
        blocks = layout.blocks(disk, kind)
        for block in set(range(blocks.n_blocks)) - set(blocks.pending()):
            if blocks.read(block) not in [parts_of(layout, block, version) for version in versions]:
                found.append(f"block {block} counts as written and holds what nobody wrote")

    end = cut_and_resumed(start, run, inspect, rng, cuts=rng.randint(1, 3))
    return "; ".join(
        [*found, *(["the file is not that of an unbroken run"] if end != unbroken.content else [])]
    )


def first_run(seed: int, kind: type[CheckedBlocks] = CheckedBlocks) -> str:
    """Blocks are written into an empty file."""
    rng = random.Random(seed)
    layout = Layout.any(rng)
    return silent_rubbish(
        kind,
        layout,
        bytes(layout.size),
        lambda disk: fill(layout.blocks(disk, kind), layout, random.Random(seed)),
        (0,),
        rng,
    )


def repair(seed: int, kind: type[CheckedBlocks] = CheckedBlocks) -> str:
    """A full file of which the disk spoilt some bytes; pending blocks are written again."""
    rng = random.Random(seed)
    layout = Layout.any(rng)
    disk = LosingDisk(bytes(layout.size))
    fill(layout.blocks(disk), layout, rng)
    spoilt = bytearray(disk.content)
    for _ in range(rng.randint(1, 5)):
        spoilt[rng.randrange(layout.gap, len(spoilt))] ^= 1 << rng.randrange(8)
    for k in range(layout.gap):
        spoilt[k] = disk.content[k]
    return silent_rubbish(
        kind,
        layout,
        bytes(spoilt),
        lambda disk: fill(layout.blocks(disk, kind), layout, random.Random(seed)),
        (0,),
        rng,
    )


def impute(seed: int, kind: type[CheckedBlocks] = CheckedBlocks) -> str:
    """When all are there some blocks are written once more, with other values; a run that goes on does it again."""
    rng = random.Random(seed)
    layout = Layout.any(rng)
    again = [block for block in range(layout.n_blocks) if rng.random() < 0.5]

    def run(disk: LosingDisk) -> None:
        blocks, order = layout.blocks(disk, kind), random.Random(seed)
        fill(blocks, layout, order)
        for block in again:
            blocks.write(block, *parts_of(layout, block, 1))
            if order.random() < 0.2:
                blocks.sync()
        blocks.sync()

    return silent_rubbish(kind, layout, bytes(layout.size), run, (0, 1), rng)


SCENARIOS = (first_run, repair, impute)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_power_cut_leaves_no_silent_rubbish(scenario: Callable[..., str]) -> None:
    for seed in range(POINTS // len(SCENARIOS)):
        assert scenario(seed) == "", seed


@pytest.mark.parametrize("seed", range(4))
def test_every_moment_of_a_run_may_be_the_last(seed: int) -> None:
    """All operations of a run in turn, a few states of the disk after each."""
    rng = random.Random(seed)
    layout = Layout.any(rng)
    unbroken = LosingDisk(bytes(layout.size))
    fill(layout.blocks(unbroken), layout, random.Random(seed))
    for cut_at in range(1, unbroken.n + 1):
        disk = LosingDisk(bytes(layout.size), cut_at)
        with pytest.raises(PowerCut):
            fill(layout.blocks(disk), layout, random.Random(seed))
        for _ in range(3):
            left = LosingDisk(disk.survivor(rng))
            fill(layout.blocks(left), layout, rng)
            assert left.content == unbroken.content


@pytest.mark.parametrize("careful", [True, False])
def test_a_cleared_block_never_comes_back_as_it_was(*, careful: bool) -> None:
    """The way to replace what is whole: clear, sync, write. Without it the former content may return as written."""
    returned = 0

    def rewrite(blocks: CheckedBlocks, layout: Layout) -> None:
        for block in range(layout.n_blocks):
            blocks.write(block, *parts_of(layout, block, 1))

    for seed in range(150):
        rng = random.Random(seed)
        layout = Layout.any(rng)
        disk = LosingDisk(bytes(layout.size))
        blocks = layout.blocks(disk)
        fill(blocks, layout, rng)
        if careful:
            blocks.clear(range(layout.n_blocks))
            blocks.sync()
        disk.cut_at = disk.n + rng.randint(1, (len(layout.widths) + 1) * layout.n_blocks)
        with pytest.raises(PowerCut):
            rewrite(blocks, layout)
        left = layout.blocks(LosingDisk(disk.survivor(rng)))
        for block in set(range(layout.n_blocks)) - set(left.pending()):
            new, old = parts_of(layout, block, 1), parts_of(layout, block)
            assert left.read(block) in (new, old)
            returned += left.read(block) != new
    assert (returned == 0) == careful


def test_a_store_of_rows_survives() -> None:
    """The layout of pixel and activation stores, with their trailer."""
    for seed in range(150):
        rng = random.Random(seed)
        plan = RowPlan(None, rng.randint(1, 30), (rng.randint(1, 200),), "uint8", rng.randint(1, 7))  # type: ignore[arg-type]
        layout = Layout((plan.row_bytes,), plan.n, plan.block, 0, checks_first=False)
        start = bytes(plan.size - len(plan.trailer())) + plan.trailer()

        def run(disk: LosingDisk, plan: RowPlan = plan, layout: Layout = layout, seed: int = seed) -> None:
            fill(plan.blocks(disk), layout, random.Random(seed))

        assert silent_rubbish(CheckedBlocks, layout, start, run, (0,), rng) == "", seed


# The test of the test: blocks that are wrong in one way each, which the same scenarios must find.


class FlagOnly(CheckedBlocks):
    """A flag says that a block was written; nothing covers its rows."""

    def is_as_written(self, block: int) -> bool:
        return bool(self.written()[block])


class FirstColumnOnly(CheckedBlocks):
    """The checksum covers the first column."""

    def write(self, block: int, *parts: bytes | memoryview) -> None:
        super().write(block, *parts)
        self._write_check(block, checksum(parts[0]))

    def is_as_written(self, block: int) -> bool:
        check = int(self._read_checks(block, 1)[0])
        return check != 0 and checksum(self.read(block)[0]) == check


class BeginningOnly(CheckedBlocks):
    """The checksum covers the first 64 bytes of each column."""

    def write(self, block: int, *parts: bytes | memoryview) -> None:
        super().write(block, *parts)
        self._write_check(block, checksum(*(part[:64] for part in parts)))

    def is_as_written(self, block: int) -> bool:
        check = int(self._read_checks(block, 1)[0])
        return check != 0 and checksum(*(part[:64] for part in self.read(block))) == check


class NoSync(CheckedBlocks):
    """The run ends before anything is sure to be on the disk."""

    def sync(self) -> None: ...


@pytest.mark.parametrize("broken", [FlagOnly, FirstColumnOnly, BeginningOnly, NoSync])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_broken_blocks_are_found(scenario: Callable[..., str], broken: type[CheckedBlocks]) -> None:
    assert any(scenario(seed, broken) for seed in range(300))


def test_the_disk_loses_what_it_may() -> None:
    """All states of two writes that are not torn come up, and torn ones; what was synced stays."""
    states = set()
    for seed in range(400):
        disk = LosingDisk(b"\0" * 12)
        disk.write(8, b"sync")
        disk.sync()
        disk.cut_at = 4
        disk.write(0, b"aaaa")
        with pytest.raises(PowerCut):
            disk.write(2, b"bbbb")
        states.add(disk.survivor(random.Random(seed)))
    assert {state[8:] for state in states} == {b"sync"}
    there = {state[:6] for state in states}
    assert {b"\0" * 6, b"aaaa\0\0", b"\0\0bbbb", b"aabbbb", b"aaaabb"} <= there
    assert len(there) > 20
