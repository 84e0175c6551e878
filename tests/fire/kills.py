"""Commands that are killed again and again, at every stage and at any moment, until the same command finishes.

Each result must be that of an unbroken run, bit for bit (`results` says what is left out), and no piece of finished
work may be done twice.
"""

import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .kills_children import Kill, Ran, run_command
from .kills_points import Point
from .kills_scenarios import Scenario, arguments_of, commands_before
from .results import contents, difference

__all__ = ["Killed", "kill_all"]

_WITHIN = 0.004  # seconds after a stage's beginning, within which it may be killed
_CHAIN = 8  # kills in a row, at most
_UNFINISHED = re.compile(r"\.(tmp|partial|checkpoint|pending|old)(/|$)")


@dataclass
class Killed:
    """What came of a scenario.

    Attributes:
        scenario: its name.
        kills: by SIGKILL, while the command ran.
        chains: how often the work was begun in a fresh folder and brought to its end.
        stages: how many of the command's stages were hit, and how many there are.
        lost: pieces of finished work that were done again, with the kills before.
        wrong: other results than an unbroken run's, and commands that did not go on.
        left: files that a killed run left, and the run that finished the work did not remove.
        impossible: why the command could not be run at all.
        seconds: in all.
    """

    scenario: str
    kills: int = 0
    chains: int = 0
    hit: set[str] = field(default_factory=set)
    stages: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    impossible: str = ""
    seconds: float = 0.0


def kill_all(
    scenario: Scenario, kills: int, cohorts: Path, folder: Path, seed: int, tell: Callable[[str], None]
) -> Killed:
    """Kill a scenario's command at least `kills` times.

    Args:
        cohorts: folder of `make_cohorts`.
        folder: for all that is written; every run takes place in the same one of its folders, since paths are kept.
        tell: is told of what is wrong as it is found.
    """
    began = time.monotonic()
    found = Killed(scenario.name)
    run, notes, fresh = folder / "run", folder / "notes", folder / "fresh"
    for path in (run, fresh):
        shutil.rmtree(path, ignore_errors=True)
    notes.mkdir(parents=True, exist_ok=True)
    run.mkdir()

    def do(command: str, kill: Kill | None = None) -> Ran:
        return run_command(arguments_of(command, cohorts), run, notes, kill)

    for command in commands_before(scenario):
        if (before := do(command)).code:
            found.impossible = f"{command}: {before.said.strip()[-300:]}"
            return found
    shutil.copytree(run, fresh)
    unbroken = do(scenario.command)
    if unbroken.code:
        found.impossible = unbroken.said.strip()[-300:]
        return found
    whole = contents(run)
    found.stages = len(set(unbroken.steps))
    waiting = _plan(unbroken, kills, random.Random(f"{seed} {scenario.name}"))
    while waiting:
        chain, waiting = waiting[:_CHAIN], waiting[_CHAIN:]
        shutil.rmtree(run)
        shutil.copytree(fresh, run)
        done, missed = _chain(scenario, do, chain, found)
        waiting += missed
        if done:
            there = contents(run)
            told = " | ".join(map(str, chain))
            left = {name for name in there.keys() - whole.keys() if _UNFINISHED.search(name)}
            found.left += [f"{told}: {name}" for name in sorted(left)]
            wrong = difference(whole, {name: there[name] for name in there.keys() - left})
            found.wrong += [f"{told}: {wrong}"] if wrong else []
            if (verified := do(f"verify {scenario.leaves}")).code:
                found.wrong.append(f"{told}: {verified.said.strip()[-500:]}")
    found.seconds = time.monotonic() - began
    for kind, sentences in (("left", found.left), ("lost", found.lost), ("wrong", found.wrong)):
        for sentence in sentences:
            tell(f"{scenario.name}, {kind}: {sentence}")
    return found


def _plan(unbroken: Ran, kills: int, rng: random.Random) -> list[Kill]:
    """Kills in chains: every stage once, just before it or within it; the others at any moment."""
    where: dict[str, list[int]] = {}
    for position, stage in enumerate(unbroken.steps):
        where.setdefault(stage, []).append(position)
    at: list[tuple[int, Kill]] = []
    for stage, positions in where.items():
        occurrence = rng.randrange(len(positions))
        delay = rng.choice([0.0, rng.uniform(0, _WITHIN)])
        at.append((positions[occurrence], Kill(Point(stage, occurrence), delay)))
    rng.shuffle(at)
    n_clock = max(kills - len(at), kills // 5)
    clock = [(-1, Kill(None, rng.uniform(0, unbroken.seconds))) for _ in range(n_clock)]
    planned = at[: kills - n_clock] + clock
    rng.shuffle(planned)
    ordered: list[Kill] = []
    for first in range(0, len(planned), _CHAIN):  # within a chain in the order of the work
        part = planned[first : first + _CHAIN]
        ordered += [kill for _, kill in sorted(part, key=lambda one: one[0])]
    return ordered


def _chain(
    scenario: Scenario, do: Callable[[str, Kill | None], Ran], chain: list[Kill], found: Killed
) -> tuple[bool, list[Kill]]:
    """Run the command until it finishes, killing it on the way.

    Returns:
        Whether it finished, and the kills of stages that it did not come to any more.
    """
    found.chains += 1
    kept: Counter[str] = Counter()
    missed: list[Kill] = []
    killed = False
    for number, kill in enumerate([*chain, None]):
        if number and kill is not None and kill.at is not None:  # what went before it is done already
            ran = do(scenario.command, Kill(Point(kill.at.stage, 0), kill.after))
        else:
            ran = do(scenario.command, kill)
        kept.update(ran.kept)
        if ran.killed and kill is not None:
            killed = True
            found.kills += 1
            if kill.at is not None:
                found.hit.add(kill.at.stage)
            continue
        refused = ran.code == 2 and scenario.writes_once and killed and "exists already" in ran.said
        if ran.hung or (ran.code != 0 and not refused):
            how = "hung" if ran.hung else f"exit code {ran.code}"
            found.wrong.append(f"{' | '.join(map(str, chain[:number]))}: {how}: {ran.said.strip()[-500:]}")
            return False, []
        # A stage that is missed by the first run of a chain will not come at all, nor a moment after the end.
        again_too = bool(number) and kill is not None and kill.at is not None
        missed = chain[number if again_too else number + 1 :]
        break
    again = sorted(what for what, times in kept.items() if times > 1)
    if again:
        found.lost.append(f"{' | '.join(map(str, chain))}: {', '.join(again)}")
    return True, missed


def table(results: list[Killed]) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield "| command | kills | stages hit | runs to the end | work lost | other results | files left behind |"
    yield "|---|---|---|---|---|---|---|"
    done = [one for one in results if not one.impossible]
    for one in results:
        cells = f"not possible: {one.impossible} | | | | |" if one.impossible else _cells([one])
        yield f"| {one.scenario} | {cells} |"
    yield f"| all | {_cells(done)} |"


def _cells(results: list[Killed]) -> str:
    def total(count: Callable[[Killed], int]) -> int:
        return sum(count(one) for one in results)

    hit = f"{total(lambda one: len(one.hit))} of {total(lambda one: one.stages)}"
    kinds = (lambda one: len(one.lost), lambda one: len(one.wrong), lambda one: len(one.left))
    counts = [total(lambda one: one.kills), hit, total(lambda one: one.chains), *map(total, kinds)]
    return " | ".join(map(str, counts))
