"""All kills and flips, and the tables of them."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import flips, kills
from .flips import Flipped, flip_all
from .flips_targets import TARGETS, make_targets
from .kills import Killed, kill_all
from .kills_children import import_everything
from .kills_scenarios import chosen, make_cohorts

__all__ = ["flip", "good", "kill", "report", "scratch"]

Tell = Callable[[str], None]


def kill(folder: Path, number: int, names: Sequence[str], seed: int, tell: Tell) -> list[Killed]:
    """Kill each command about `number` times; all commands if none is named."""
    cohorts = _prepared(folder)
    found = []
    for scenario in chosen(names):
        one = kill_all(scenario, number, cohorts, folder / "kills", seed, tell)
        tell(
            f"{one.scenario}: {one.kills} kills, {one.seconds:.0f} s"
            + (f"; {one.impossible}" * bool(one.impossible))
        )
        found.append(one)
    return found


def flip(folder: Path, number: int, names: Sequence[str], seed: int, tell: Tell) -> list[Flipped]:
    """Damage each kind of file `number` times; all kinds if none is named."""
    wanted = [name for name in TARGETS if not names or name in names]
    if not wanted:
        return []
    cohorts, found = _prepared(folder), []
    for target in make_targets(cohorts, folder / "flips", wanted):
        if target.name in wanted:
            one = flip_all(target, number, folder / "flips", seed, tell)
            tell(f"{one.target}: {one.total} damages, {one.seconds:.0f} s")
            found.append(one)
    return found


def report(killed: Sequence[Killed], flipped: Sequence[Flipped]) -> Iterator[str]:
    """Lines: the tables, and the sums that matter."""
    if killed:
        yield from kills.table(list(killed))
    if killed and flipped:
        yield ""
    if flipped:
        yield from flips.table(flipped)


def good(killed: Sequence[Killed], flipped: Sequence[Flipped]) -> bool:
    """Whether nothing was lost, no result was another one, and no damage went unnoticed."""
    return not any(one.lost or one.wrong for one in killed) and not any(one.faults for one in flipped)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fire-")).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepared(folder: Path) -> Path:
    """The cohorts, simulated once."""
    import_everything()
    cohorts = folder / "cohorts"
    if not cohorts.exists():
        cohorts.mkdir(parents=True)
        make_cohorts(cohorts)
    return cohorts
