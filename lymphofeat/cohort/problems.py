"""What is wrong with a cohort, one sentence each: where it is, what it is, and the way out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from ..errors import InputError, printable

__all__ = [
    "Cause",
    "Problem",
    "Problems",
    "Where",
    "by_cause",
    "counted",
    "listing",
    "more_text",
    "raise_errors",
]

FEW = 5  # problems of one cause that are shown unless all are asked for

Severity = Literal["error", "warning"]


class Where(NamedTuple):
    """A file or folder, and for tables the row as an editor or a spreadsheet numbers it (header = 1)."""

    path: Path
    row: int | None = None

    def text(self, root: Path | None = None) -> str:
        """The place in words; a path under `root` is shortened, `root` itself is "the cohort"."""
        if root is not None and self.path == root:
            return "the cohort"
        inside = root is not None and self.path.is_relative_to(root)
        path = self.path.relative_to(root) if root is not None and inside else self.path
        return f"{path}, row {self.row}" if self.row is not None else str(path)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. An error stops the work; a warning says what the program makes of it."""

    severity: Severity
    code: str  # short and stable, for tests and filters: "duplicate-id"
    where: Where
    message: str
    remedy: str

    def sentence(self, root: Path | None = None) -> str:
        """`place: what is wrong; what to do.`"""
        return printable(f"{self.where.text(root)}: {self.message}; {self.remedy}.")

    def __str__(self) -> str:
        return self.sentence()


@dataclass
class Problems:
    """A growing list of problems, in the order of their discovery."""

    found: list[Problem] = field(default_factory=list)

    def error(self, code: str, path: Path, row: int | None, message: str, remedy: str) -> None:
        """Add a problem that stops the work."""
        self.found.append(Problem("error", code, Where(path, row), message, remedy))

    def warning(self, code: str, path: Path, row: int | None, message: str, remedy: str) -> None:
        """Add a problem that the work goes on with."""
        self.found.append(Problem("warning", code, Where(path, row), message, remedy))

    def forget(self, of: Callable[[Problem], bool]) -> None:
        """Take back the problems for which `of` is true."""
        self.found[:] = [problem for problem in self.found if not of(problem)]


def counted(n: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listing(names: Sequence[str], most: int = 5) -> str:
    """`P1`, `P1 and P2`, `P1, P2, P3 and 4 more`."""
    shown = (
        list(names[:most]) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    )
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def beyond_the_first(n: int, noun: str, owner: str) -> str:
    """What a problem holds for besides the file that it names."""
    return f" (and {counted(n, f'more {noun}')} of {owner})" if n else ""


class Cause(NamedTuple):
    """Problems of one kind: the first ones, and how many more there are."""

    first: list[Problem]
    more: int


def by_cause(problems: Iterable[Problem], most: int | None = FEW) -> list[Cause]:
    """Problems of one cause side by side, causes in the order of their first problem.

    Args:
        problems: of one severity.
        most: so many of each cause; None: all.
    """
    causes: dict[str, list[Problem]] = {}
    for problem in problems:
        causes.setdefault(problem.code, []).append(problem)
    return [Cause(found[:most], len(found[most:]) if most is not None else 0) for found in causes.values()]


def raise_errors(problems: Iterable[Problem], *, rest: str = "") -> None:
    """Raise one `InputError` with a line for the first errors of each cause; warnings do not count.

    Args:
        problems: errors and warnings.
        rest: how all errors can be listed, where there is a way: "lymphofeat check --all lists them".
    """
    lines = []
    for cause in by_cause(problem for problem in problems if problem.severity == "error"):
        lines += [problem.sentence() for problem in cause.first]
        if cause.more:
            lines.append(more_text(cause.more, rest))
    if lines:
        raise InputError("\n".join(lines))


def more_text(n: int, rest: str = "") -> str:
    """`… and 3 more of this kind; lymphofeat check --all lists them.`"""
    return f"… and {n:,} more of this kind{f'; {rest}' if rest else ''}."
