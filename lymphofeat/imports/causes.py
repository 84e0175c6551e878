"""What is wrong with an import, grouped by cause: each cause once, with the first files."""

from collections import Counter
from dataclasses import dataclass, field

from ..cohort.problems import listing
from ..errors import InputError
from ..storage.unpacked import fits_memory

__all__ = ["Causes", "UnusableError", "refuse_beyond_memory"]


class UnusableError(Exception):
    """A file that cannot be read as features.

    Args:
        cause: what is wrong, without the file's name.
        remedy: what to do.
    """

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.cause, self.remedy = cause, remedy


def refuse_beyond_memory(size: int) -> None:
    """For before so many bytes are read, as a file declares them.

    Raises:
        UnusableError: they have no room in the memory.
    """
    if not fits_memory(size):
        raise UnusableError(
            "more numbers than the memory has room for",
            "compute them again if they should be few, or use a larger machine",
        )


@dataclass
class Causes:
    """A growing list of causes.

    Attributes:
        source: where they were found.
    """

    source: str
    found: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, cause: str, what: str, remedy: str) -> None:
        """Add a file, patient or row that has a cause in common with others."""
        self.found.setdefault((cause, remedy), []).append(what)

    def has(self, cause: str) -> bool:
        """Whether there is this cause."""
        return any(known == cause for known, _ in self.found)

    def raise_any(self) -> None:
        """Raise one `InputError` with a line for every cause; nothing happens without one.

        Raises:
            InputError: there is a cause.
        """
        if self.found:
            raise InputError("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """A sentence for every cause."""
        return [
            f"{self.source}: {cause}: {_first(names)}; {remedy}."
            for (cause, remedy), names in self.found.items()
        ]


def _first(names: list[str]) -> str:
    counts = Counter(names)
    shown = listing([name if n == 1 else f"{name} ({n} times)" for name, n in counts.items()])
    return f"{shown} ({len(counts):,} in all)" if len(counts) > 5 else shown
