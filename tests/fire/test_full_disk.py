"""The disk is full at every stage of every command: a sentence, nothing lost, and with room the same is made."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lymphofeat.commands.common import COHORT_VARIABLE

from ..helpers.commands import Run, runner
from .full_disk import SmallDisk, small_disk
from .inputs.whole import listing, make_whole
from .stages import STAGES, Stage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the small disk is a tmpfs")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 200_000_000) as made:
        yield made


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv(COHORT_VARIABLE, raising=False)
    return runner(monkeypatch, capsys)


_LONG = ("compare", "evaluate")  # commands that take a minute: none, or two steps


def rooms(needed: int, steps: int) -> list[int]:
    """Bytes left: none, then in equal steps, if any, up to a page less than what is needed."""
    return [0, *(max(needed * step // steps - 4096, 0) for step in range(1, steps + 1))]


def full_at(
    stage: Stage, room: int | None, whole: Path, disk: SmallDisk, run: Run, monkeypatch: pytest.MonkeyPatch
) -> tuple[bool, Any, int]:
    """Run it with so much room (None: plenty) and, if it is refused, again with plenty.

    Returns:
        Whether it was refused; what it has made; how much of the disk that took.
    """
    folder = disk.root / "w"
    shutil.copytree(whole, folder, copy_function=shutil.copy)
    monkeypatch.chdir(folder)
    before, free = listing(folder), disk.free
    if room is not None:
        disk.leave(room)
    ran = run(*stage.command)
    refused = ran.code != 0
    if refused:
        assert room is not None, ran.err
        assert ran.code == 2, ran.err
        assert "Traceback" not in ran.err
        last = ran.err.strip().splitlines()[-1]
        assert "No space left on device" in last or "disk is full" in last, ran.err
        assert "free " in last.lower(), ran.err
        assert any(name in last for name in stage.files), (stage.files, ran.err)
        after = listing(folder)
        changed = {name for name, held in before.items() if after.get(name) != held}
        assert changed <= set(stage.grows), (changed, ran.err)
        disk.make_room()
        again = run(*stage.command)
        assert again.code == 0, (ran.err, again.err)
    made = stage.read(folder / stage.makes)
    used = free - disk.free
    left = [name for name in listing(folder) if name.endswith((".tmp", ".partial"))]
    assert left == [], (ran.err, left)
    monkeypatch.chdir(disk.root)
    shutil.rmtree(folder)
    disk.make_room()
    return refused, made, used


def full_at_each(
    stage: Stage, steps: int, whole: Path, disk: SmallDisk, run: Run, monkeypatch: pytest.MonkeyPatch
) -> int:
    """With less and less less room, the same is made in the end; how often there was too little."""
    _, wanted, used = full_at(stage, None, whole, disk, run, monkeypatch)
    times = 0
    for room in rooms(used, steps):
        refused, made, _ = full_at(stage, room, whole, disk, run, monkeypatch)
        assert made == wanted, room
        times += refused
    assert times, "it was never full"
    return times


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"{stage.command[0]} {stage.makes}")
@pytest.mark.parametrize("steps", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_full(
    stage: Stage, steps: int, whole: Path, disk: SmallDisk, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = steps // 4 if stage.command[0] in _LONG else steps
    print(f"{stage.command[0]}: {full_at_each(stage, steps, whole, disk, run, monkeypatch)} times full")


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"{stage.command[0]} {stage.makes}")
def test_read_only(
    stage: Stage, whole: Path, disk: SmallDisk, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that cannot be written: a sentence, nothing changed; and once it can be, the same command is done."""
    folder = disk.root / "w"
    shutil.copytree(whole, folder, copy_function=shutil.copy)
    monkeypatch.chdir(folder)
    before = listing(folder)
    with disk.read_only():
        ran = run(*stage.command)
    assert ran.code == 2, ran
    assert "Traceback" not in ran.err
    assert "Read-only file system" in ran.err, ran.err
    assert listing(folder) == before
    again = run(*stage.command)
    assert again.code == 0, (ran.err, again.err)
    monkeypatch.chdir(disk.root)


def test_what_only_reads_needs_no_writable_disk(
    whole: Path, disk: SmallDisk, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = disk.root / "w"
    shutil.copytree(whole, folder, copy_function=shutil.copy)
    monkeypatch.chdir(folder)
    files = ("--cache", "c.h5", "--study", "s.db")
    with disk.read_only():
        for command in (
            ("check", "data"), ("info", "c.h5"), ("info", "s.db"), ("info", "model"), ("tune", "--show", *files),
            ("explain", "P0", *files), ("predict", "model", "data/testset", "--out", tmp_path / "p.csv"),
            ("extract", "data", "--frozen", "--backbone", "small-cnn", "--weights", "none", "--seed", "0", "--crop",
             "64", "--folds", "3", "--cache", tmp_path / "c.h5"),
            ("export", tmp_path / "m", *files),
        ):  # fmt: skip
            ran = run(*command)
            assert ran.code == 0, (command, ran.err)
    monkeypatch.chdir(disk.root)
