"""The fire harness itself: a few of its kills and damages, and that it sees what it is there to see.

It forks, so it runs in a process of its own that has computed nothing; see `kills_children`.
"""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .flips import Damage, Flipped, flip_all
from .kills import Killed
from .results import contents, difference
from .run import good

ROOT = Path(__file__).parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def fire(*options: object) -> str:
    """The tables of a run of the harness, which must have found nothing wrong."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.fire", *map(str, options)],
        cwd=ROOT, env=os.environ | ONE_THREAD | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_a_short_fire_finds_nothing_wrong() -> None:
    said = fire(
        "--kills",
        6,
        "--flips",
        10,
        "--only",
        "extract --frozen",
        "--only",
        "study",
        "--only",
        "partial encoding",
    )
    assert "| extract --frozen |" in said
    assert "| study | 10 |" in said


@pytest.mark.slow
def test_a_longer_fire_finds_nothing_wrong() -> None:
    said = fire("--kills", 4, "--flips", 12)
    assert "| all |" in said


class _Toy:
    """A target of one text file, whose reader is told what to do with a damaged one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder / "undamaged", folder
        self.folder.mkdir(parents=True)
        (self.folder / "file").write_text("the very text " * 20, encoding="utf-8")

    def flip(self, read: object) -> Flipped:
        from .flips import Target

        target = Target("toy", self.folder, ("file",), read)  # type: ignore[arg-type]
        return flip_all(target, 6, self.place, 0, lambda _: None)


def _silent(at: Path) -> object:
    return (at / "file").read_bytes()


def _deaf(at: Path) -> object:
    return None


def _finding(at: Path) -> object:
    from lymphofeat.errors import InputError

    if (at / "file").read_bytes() != b"the very text " * 20:
        raise InputError(f"{at / 'file'} is damaged; take another one.")
    return None


def _wordless(at: Path) -> object:
    from lymphofeat.errors import InputError

    if (at / "file").read_bytes() != b"the very text " * 20:
        raise InputError("'x'")
    return None


def _crashing(at: Path) -> object:
    return (at / "file").read_bytes() == b"the very text " * 20 or 1 / 0


def _dying(at: Path) -> object:
    if (at / "file").read_bytes() != b"the very text " * 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return None


@pytest.mark.parametrize(
    ("read", "outcome", "fault"),
    [
        (_silent, "silent", True), (_crashing, "traceback", True), (_wordless, "traceback", True),
        (_dying, "died", True), (_finding, "found", False), (_deaf, "harmless", False),
    ],
)  # fmt: skip
def test_what_comes_of_a_damage(read: object, outcome: str, fault: bool, tmp_path: Path) -> None:  # noqa: FBT001
    found = _Toy(tmp_path).flip(read)
    assert found.outcomes == Counter({outcome: 6})
    assert len(found.faults) == 6 * fault
    assert good([], [found]) == (not fault)


def test_a_damage_always_changes_the_file() -> None:
    rng, content = random.Random(0), bytes(600) + b"text" * 300
    for kind in ("bit", "byte", "sector", "cut"):
        for _ in range(50):
            damage = Damage("file", kind, rng.randrange(len(content)), rng.randrange(1, 8))
            assert damage.apply(content) != content


def test_results_differ_by_a_bit_and_not_by_their_time(tmp_path: Path) -> None:
    import h5py
    import numpy as np

    def write(name: str, created: str, value: float, more: str = "") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        with h5py.File(folder / "c.h5", "w") as file:
            file.attrs["created"] = created
            file.attrs["made"] = f'{{"seconds": {len(created)}, "epoch": 1}}'
            file["features"] = np.array([value, 2.0], np.float32)
        (folder / "log.csv").write_text(f"date,file\n{created},a\n", encoding="utf-8")
        if more:
            (folder / more).write_text("", encoding="utf-8")
        return folder

    one = contents(write("one", "2026-01-01T10:00:00", 1.0))
    assert not difference(one, contents(write("two", "2027-02-02T11:11:11+00:00", 1.0)))
    assert "features" in difference(one, contents(write("three", "2026-01-01T10:00:00", 1 + 2**-20)))
    assert "left.tmp" in difference(one, contents(write("four", "2026-01-01T10:00:00", 1.0, "left.tmp")))


@pytest.mark.parametrize("part", ["lost", "wrong"])
def test_any_loss_is_no_good(part: str) -> None:
    assert good([Killed("tune", kills=3)], [])
    assert not good([Killed("tune", kills=3, **{part: ["a sentence"]})], [])  # type: ignore[arg-type]
