"""What is killed: commands on a small simulated cohort, each in the folder that the commands before it left."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lymphofeat.synthetic.cohort import simulate_cohort
from lymphofeat.synthetic.patients import SimulationSettings

__all__ = ["SCENARIOS", "Scenario", "arguments_of", "chosen", "commands_before", "make_cohorts"]

_NETWORK = "--backbone small-cnn --weights none --seed 0 --crop 40 --batch-size 8 --folds 3"
_FROZEN = f"extract COHORT --cache features.h5 --frozen {_NETWORK}"
_ENCODING = "small-cnn-random0-crop40"
_STUDY = "--cache features.h5 --study study.db"


@dataclass(frozen=True)
class Scenario:
    """A command that is killed.

    Attributes:
        name: of the table.
        command: its arguments; COHORT stands for the cohort, FEWER for the first patients of it.
        after: names of scenarios whose commands run before it.
        before: commands that run before it as well.
        leaves: what `lymphofeat verify` must find nothing wrong with afterwards.
        writes_once: it refuses what it has written already, which is how a run after a late kill ends.
    """

    name: str
    command: str
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    leaves: str = "features.h5"
    writes_once: bool = False


SCENARIOS = (
    Scenario("extract --frozen", _FROZEN),
    Scenario("extract", "extract COHORT --cache features.h5 --batch-size 16 --crop 64 --folds 3"),
    Scenario(
        "extract --finetune",
        "extract COHORT --cache features.h5 --finetune --recipe pooled-small-cnn --weights none --seed 0 --crop 32 "
        "--epochs 2 --folds 3",
        after=("extract --frozen",),
    ),
    Scenario(
        "extract, grown cohort",
        _FROZEN,
        before=(_FROZEN.replace("COHORT", "FEWER"),),
    ),
    Scenario(
        "tune",
        f"tune {_STUDY} --trials 6 --heads logistic,lda --encoding {_ENCODING}",
        after=("extract --frozen",),
        leaves="study.db",
    ),
    Scenario(
        "evaluate",
        f"evaluate --cache features.h5 --study evaluated.db --trials 2 --heads logistic --encoding {_ENCODING} "
        "--out evaluation --force",
        after=("extract --frozen",),
    ),
    Scenario(
        "submit",
        f"submit {_STUDY} --out submission.csv --probabilities",
        after=("extract --frozen", "tune"),
        writes_once=True,
    ),
    Scenario(
        "export",
        f"export model {_STUDY}",
        after=("extract --frozen", "tune"),
        leaves="model",
        writes_once=True,
    ),
)


def make_cohorts(folder: Path) -> None:
    """Simulate the cohort, and the same without the last two patients of each part, in `folder`."""
    spec = SimulationSettings(
        patients=24, seed=3, test_fraction=0.25, size=64, images_range=(2, 4), signal="both", formats=("png",)
    )
    whole, fewer = folder / "COHORT", folder / "FEWER"
    simulate_cohort(whole, spec)
    shutil.copytree(whole, fewer)
    later = {path.name for part in ("trainset", "testset") for path in _folders(whole / part)[-2:]}
    for part in ("trainset", "testset"):
        for path in _folders(fewer / part):
            if path.name in later:
                shutil.rmtree(path)
    for table in [*fewer.glob("*.csv"), *fewer.glob("*/*.csv")]:
        lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not later & set(line.strip().split(","))]
        table.write_text("".join(kept), encoding="utf-8")


def _folders(part: Path) -> list[Path]:
    return sorted(path for path in part.iterdir() if path.is_dir())


def arguments_of(command: str, cohorts: Path) -> list[str]:
    """The arguments of a command, with the cohorts' folders in it."""
    return [str(cohorts / word) if word in ("COHORT", "FEWER") else word for word in command.split()]


def commands_before(scenario: Scenario) -> Iterator[str]:
    """What runs in an empty folder before a scenario's command."""
    by_name = {one.name: one for one in SCENARIOS}
    yield from (by_name[name].command for name in scenario.after)
    yield from scenario.before


def chosen(names: Sequence[str]) -> list[Scenario]:
    """Scenarios by name, in order; all if none is named."""
    return [one for one in SCENARIOS if not names or one.name in names]
