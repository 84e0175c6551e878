"""A small disk: a tmpfs, of which a file takes all but so many bytes."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["SmallDisk", "small_disk"]

_RESERVE = "reserve.bin"


class SmallDisk:
    """A disk of its own.

    Attributes:
        root: where it is.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def free(self) -> int:
        """Bytes."""
        found = os.statvfs(self.root)
        return found.f_bavail * found.f_frsize

    def leave(self, room: int) -> None:
        """Take all but so many bytes, rounded up to pages."""
        with (self.root / _RESERVE).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(self.free - room, 1))

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Let nothing be written inside the block."""
        subprocess.run(["mount", "-o", "remount,ro", self.root], check=True)
        try:
            yield
        finally:
            subprocess.run(["mount", "-o", "remount,rw", self.root], check=True)

    def make_room(self) -> None:
        """Give back what was taken."""
        (self.root / _RESERVE).unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """Mount a disk of so many bytes at a folder, which is made; skips the test where that is not allowed."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount a tmpfs: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
