"""A disk that loses power: whatever was written since the last sync may be there, or not, or in part."""

import random
from collections.abc import Callable
from itertools import pairwise

SECTOR = 512


class PowerCut(Exception):
    """The power went; what is left is in the disk's `survivor`."""


class LosingDisk:
    """A file in memory; a `Disk` of `lymphofeat.storage.checked`.

    Reads see all writes, as the system's page cache does. At operation `cut_at` the power goes: `write`, or `sync`
    before it is complete, raises PowerCut. `survivor` then gives the bytes that a disk could have.

    Attributes:
        n: writes and syncs so far.
    """

    def __init__(self, content: bytes, cut_at: int | None = None) -> None:
        self._durable, self._seen = bytearray(content), bytearray(content)
        self._since: list[tuple[int, bytes]] = []
        self.cut_at, self.n = cut_at, 0

    @property
    def content(self) -> bytes:
        """The file as the running system sees it."""
        return bytes(self._seen)

    def read(self, offset: int, n: int) -> bytes:
        return bytes(self._seen[offset : offset + n])

    def write(self, offset: int, content: bytes | memoryview) -> None:
        written = bytes(content)
        assert offset + len(written) <= len(self._seen), "beyond the end of the file"
        self._since.append((offset, written))
        self._operation()
        self._seen[offset : offset + len(written)] = written

    def sync(self) -> None:
        self._operation()
        self._durable[:] = self._seen
        self._since.clear()

    def survivor(self, rng: random.Random) -> bytes:
        """One state that the disk could be in: some of the writes since the last sync, in some order, some torn."""
        kept = [write for write in self._since if rng.random() < rng.choice((0.2, 0.8, 1.0))]
        if rng.random() < 0.5:
            rng.shuffle(kept)
        content = bytearray(self._durable)
        torn = rng.choice((0.0, 0.3, 1.0))
        for offset, written in kept:
            whole = rng.random() >= torn
            for start, part in [(0, written)] if whole else _torn(offset, written, rng):
                content[offset + start : offset + start + len(part)] = part
        return bytes(content)

    def _operation(self) -> None:
        self.n += 1
        if self.n == self.cut_at:
            raise PowerCut


def _torn(offset: int, written: bytes, rng: random.Random) -> list[tuple[int, bytes]]:
    """What of a write is there: pieces, each with where it begins within the write."""
    match rng.randrange(4):
        case 0:  # its beginning
            return [(0, written[: rng.randint(0, len(written))])]
        case 1:  # its end
            start = rng.randint(0, len(written))
            return [(start, written[start:])]
    cuts = [0, *range(SECTOR - offset % SECTOR, len(written), SECTOR), len(written)]
    sectors = [(a, written[a:b]) for a, b in pairwise(cuts)]
    if rng.randrange(4):  # some of its sectors
        return [sector for sector in sectors if rng.random() < 0.5]
    bad = rng.randrange(len(sectors))  # all, of which one is rubbish
    return [(a, rng.randbytes(len(part)) if k == bad else part) for k, (a, part) in enumerate(sectors)]


def cut_and_resumed(
    content: bytes,
    run: Callable[[LosingDisk], None],
    inspect: Callable[[LosingDisk], None],
    rng: random.Random,
    cuts: int = 1,
) -> bytes:
    """A run over a file that loses power up to `cuts` times and is run again each time, until it ends.

    Args:
        content: the file before.
        run: the program, over a disk; writes what it finds missing.
        inspect: is called with the disk as the next run finds it, before it runs.
        rng: chooses where the power goes, and what is left then.
        cuts: how often at most.

    Returns:
        The file in the end, as it is on the disk.
    """
    for _ in range(cuts):
        rehearsal = LosingDisk(content)
        run(rehearsal)
        disk = LosingDisk(content, cut_at=rng.randint(1, rehearsal.n)) if rehearsal.n else rehearsal
        try:
            run(disk)
        except PowerCut:
            content = disk.survivor(rng)
            inspect(LosingDisk(content))
    last = LosingDisk(content)
    run(last)
    return bytes(last._durable)
