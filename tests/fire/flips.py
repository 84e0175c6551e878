"""Files that are damaged at a random place, one after the other, and what the program makes of each.

A damage must be found with a sentence, or change nothing: the output is then that of the undamaged file, bit for bit.
"""

import json
import os
import random
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from lymphofeat.errors import LymphofeatError

__all__ = ["Damage", "Flipped", "Target", "flip_all"]

_SECTOR = 512
_ENDS = 4096  # bytes at both ends of a file, where formats have their tables
_KINDS = ("bit",) * 6 + ("byte",) * 2 + ("sector", "cut")
_PATIENCE = 60  # seconds for one reading


@dataclass(frozen=True)
class Target:
    """Files that belong together, and what reads them.

    Attributes:
        name: of the table.
        folder: the files, undamaged.
        files: patterns of those that are damaged.
        read: what the program makes of such a folder, of values that can be compared; a `LymphofeatError` is a find.
        verify: raises `LymphofeatError` where only reading everything can find a damage; None: nothing can.
    """

    name: str
    folder: Path
    files: tuple[str, ...]
    read: Callable[[Path], Any]
    verify: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Damage:
    """What is done to a file.

    Attributes:
        file: its name in the folder.
        kind: "bit" flips one, "byte" replaces one, "sector" sets 512 bytes to zero, "cut" ends the file there.
        position: the first byte.
        value: of a bit, which one; of a byte, what is added to it modulo 256.
    """

    file: str
    kind: str
    position: int
    value: int = 0

    def __str__(self) -> str:
        return f"{self.file}, {self.kind} at {self.position}"

    def apply(self, content: bytes) -> bytes:
        """The damaged bytes; always other ones."""
        at, changed = self.position, bytearray(content)
        match self.kind:
            case "bit":
                changed[at] ^= 1 << self.value
            case "byte":
                changed[at] = (changed[at] + self.value) % 256
            case "sector":
                sector = bytes(len(changed[at : at + _SECTOR]))
                changed[at : at + _SECTOR] = (
                    sector if sector != content[at : at + _SECTOR] else b"\xff" * len(sector)
                )
            case _:
                del changed[at:]
        return bytes(changed)


@dataclass
class Flipped:
    """What came of a target.

    Attributes:
        target: its name.
        outcomes: how many damages were "found", found by "verify", "harmless", or wrongly "silent" (another output
            without a word), "traceback", "died" (by a signal), "hung".
        faults: damage and outcome of each that must not be.
        seconds: in all.
    """

    target: str
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return sum(self.outcomes.values())


_GOOD = ("found", "verify", "harmless")


def flip_all(target: Target, n: int, folder: Path, seed: int, tell: Callable[[str], None]) -> Flipped:
    """Damage a target's files `n` times, one place at a time, each from the undamaged files.

    Args:
        folder: for what is written; `folder/run` is where the damaged files are.
        tell: is told of what is wrong as it is found.
    """
    began = time.monotonic()
    found = Flipped(target.name)
    damages = list(_damages(target, n, random.Random(f"{seed} {target.name}")))
    done = 0
    while done < len(damages):
        for damage, (outcome, why) in zip(
            damages[done:], _read_in_child(target, damages[done:], folder), strict=False
        ):
            done += 1
            found.outcomes[outcome] += 1
            if outcome not in _GOOD:
                found.faults.append(f"{damage}: {outcome}: {why}")
                tell(f"{target.name}: {found.faults[-1]}")
    found.seconds = time.monotonic() - began
    return found


def _damages(target: Target, n: int, rng: random.Random) -> Iterator[Damage]:
    """Places anywhere in the files, at their ends, and where their bytes are not zero, a third each."""
    files = sorted(
        {path for pattern in target.files for path in target.folder.glob(pattern) if path.is_file()}
    )
    contents = [path.read_bytes() for path in files]
    names = [str(path.relative_to(target.folder)) for path in files]
    sizes = [len(content) for content in contents]
    for number in range(n):
        # By size, so that every byte counts alike, and by file, so that small ones are met too.
        (k,) = rng.choices(range(len(files)), sizes) if number % 2 else [rng.randrange(len(files))]
        content, size = contents[k], sizes[k]
        at = rng.randrange(size)
        match number % 3:
            case 0:
                at = (
                    min(at, rng.randrange(_ENDS))
                    if rng.random() < 0.5
                    else max(at, size - rng.randrange(1, _ENDS))
                )
            case 1:
                at = next((p for p in (rng.randrange(size) for _ in range(50)) if content[p]), at)
        kind = rng.choice(_KINDS)
        yield Damage(names[k], kind, at, rng.randrange(8) if kind == "bit" else rng.randrange(1, 256))


def _read_in_child(target: Target, damages: Sequence[Damage], folder: Path) -> list[tuple[str, str]]:
    """The outcomes of the first damages, in a child that may die of one; at least one of them."""
    record = folder / "record"
    record.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _child(target, damages, folder, record)
    _, status = os.waitpid(child, 0)
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    outcomes = [(str(outcome), str(why)) for outcome, why in map(json.loads, lines)]
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGALRM:
        outcomes.append(("hung", f"not done after {_PATIENCE} s"))
    elif code != 0:
        if not outcomes and code == _NO_REFERENCE:
            raise RuntimeError(f"{target.name}: the undamaged files cannot be read; see {folder / 'said'}")
        outcomes.append(("died", f"exit code {code}"))
    return outcomes


_NO_REFERENCE = 71


def _child(target: Target, damages: Sequence[Damage], folder: Path, record: Path) -> NoReturn:
    code = _NO_REFERENCE
    try:
        said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(said, 1)
        os.dup2(said, 2)
        run = folder / "run"
        _restore(target, run)
        expected = target.read(run)
        with record.open("w", encoding="utf-8") as file:
            for damage in damages:
                _restore(target, run)
                path = run / damage.file
                path.write_bytes(damage.apply(path.read_bytes()))
                signal.alarm(_PATIENCE)
                outcome = _outcome(target, run, expected)
                signal.alarm(0)
                file.write(json.dumps(outcome) + "\n")
                file.flush()
        code = 0
    except BaseException:  # noqa: BLE001 - the child ends here in any case
        traceback.print_exc()
    finally:
        os._exit(code)


def _restore(target: Target, run: Path) -> None:
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(target.folder, run)


def _outcome(target: Target, run: Path, expected: Any) -> tuple[str, str]:
    try:
        output = target.read(run)
        if output == expected:
            return "harmless", ""
    except LymphofeatError as error:
        return ("found", str(error)) if _is_sentence(str(error)) else ("traceback", f"no sentence: {error}")
    except BaseException as error:  # noqa: BLE001 - what a command would print as a traceback
        where = traceback.extract_tb(error.__traceback__)[-1]
        return "traceback", f"{type(error).__name__} {error} in {where.filename}:{where.lineno}"[:400]
    if target.verify is not None:
        try:
            target.verify(run)
        except LymphofeatError as error:
            return "verify", str(error)
    return "silent", _where(expected, output)


def _is_sentence(text: str) -> bool:
    return len(text) > 20 and text.rstrip()[-1] in ".)"


def _where(expected: Any, output: Any) -> str:
    from .results import difference

    if isinstance(expected, dict) and isinstance(output, dict):
        return difference(expected, output)[:300]
    return f"{str(expected)[:100]} | {str(output)[:100]}"


def table(results: Sequence[Flipped]) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield "| file | damaged | found by its reader | found by `verify` | harmless | silent | other faults |"
    yield "|---|---|---|---|---|---|---|"
    total: Counter[str] = Counter()
    for one in results:
        total.update(one.outcomes)
        yield _row(one.target, one.outcomes)
    yield _row("all", total)


def _row(name: str, counts: Counter[str]) -> str:
    others = sum(number for outcome, number in counts.items() if outcome not in (*_GOOD, "silent"))
    cells = [
        sum(counts.values()),
        counts["found"],
        counts["verify"],
        counts["harmless"],
        counts["silent"],
        others,
    ]
    return f"| {name} | {' | '.join(map(str, cells))} |"
