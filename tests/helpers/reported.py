"""A simulated cohort with all that a report is made of, as the commands leave it; made once for all tests."""

import csv
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from lymphofeat import cli
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

from .tiny import write_table

ID, FILE = "Zqx-%02d-Kvw", "smear_Jqz%02d_%s"  # found nowhere but where they are meant
TABLES = ("clinical_annotation.csv", "trainset/trainset_true.csv", "testset/testset_data.csv")
HEADS = ("--heads", "logistic", "--jobs", "1")


@dataclass(frozen=True)
class Made:
    """The folder in which the commands ran, and what they left.

    Attributes:
        folder: working folder of the commands.
        ids, files, births: what may not be on a page without `--ids`; births never.
    """

    folder: Path
    ids: tuple[str, ...]
    files: tuple[str, ...]
    births: tuple[str, ...]

    @property
    def cache(self) -> Path:
        return self.folder / "cache" / "features.h5"

    @property
    def study(self) -> Path:
        return self.folder / "studies" / "study.db"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"


def made_once(factory: pytest.TempPathFactory) -> Made:
    """The same for all tests of a run, in whichever process they are."""
    shared = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder = shared / "reported"
    with FileLock(shared / "reported.lock"):
        if not (folder / "report.html").exists():
            _make(folder)
    return _made(folder)


def _make(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # of a test that was broken off
    folder.mkdir(parents=True)
    settings = SimulationSettings(patients=44, seed=3, size=112, malignant_fraction=0.5, images_range=(3, 5))
    with_own_names(simulate_cohort(folder / "data", settings))
    with inside(folder):
        run("check")
        run("extract", "--folds", "3")
        run("tune", "--trials", "8", *HEADS)
        run("evaluate", "--trials", "3", *HEADS, "--learning-curve")
        run("compare")
        run("report")


def _made(folder: Path) -> Made:
    ids, births = set(), set()
    for name in TABLES:
        with (folder / "data" / name).open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                ids.add(row["ID"])
                births.add(row["DOB"])
    files = {path.name for path in (folder / "data").glob("*set/*/*.jpg")}
    return Made(folder, tuple(sorted(ids)), tuple(sorted(files)), tuple(sorted(births)))


def with_own_names(root: Path) -> Path:
    """Give patients and images names that can be looked for, in the tables and on the disk."""
    patients = sorted(root.glob("*set/*/"))
    new = {path.name: ID % number for number, path in enumerate(patients)}
    for number, path in enumerate(patients):
        for image in sorted(path.iterdir()):
            image.rename(path / (FILE % (number, image.name)))
        path.rename(path.with_name(new[path.name]))
    for name in TABLES:
        rows = [line.split(",") for line in (root / name).read_text(encoding="utf-8").splitlines()]
        at = rows[0].index("ID")
        for row in rows[1:]:
            row[at] = new[row[at]]
        write_table(root / name, [",".join(row) for row in rows])
    for other in root.glob("*.csv"):
        if other.name not in TABLES:
            other.unlink()
    return root


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """With `folder` as the working folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run(*arguments: str) -> None:
    """A command as typed, which must succeed."""
    before = sys.argv
    sys.argv = ["lymphofeat", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        if ended.code:
            raise AssertionError(
                f"lymphofeat {' '.join(arguments)} ended with exit code {ended.code}"
            ) from None
    finally:
        sys.argv = before
