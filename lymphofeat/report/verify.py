"""A verification in the terminal."""

from collections.abc import Sequence

from rich.console import Console

from ..cohort.problems import counted
from ..errors import printable
from ..verification.findings import Verification
from .printing import show

__all__ = ["render_faults", "render_verification"]


def render_verification(found: Verification, console: Console) -> None:
    """Print what was checked, what could not be, what was repaired, and every fault on a line of its own."""
    show(console, (printable(str(found.path)), "bold"), f": {found.kind}")
    _lines(console, "✓", "green", found.checked)
    _lines(console, "?", "yellow", found.unchecked)
    _lines(console, "↻", "cyan", found.repaired)
    _lines(console, "✗", "bold red", [fault.sentence for fault in found.faults])
    if found.faults:
        show(console, (f"{counted(len(found.faults), 'fault')} found.", "bold red"))
    else:
        show(console, ("Nothing is wrong with what was checked.", "bold green"))


def render_faults(found: Verification, console: Console) -> None:
    """Print the faults only."""
    for fault in found.faults:
        show(console, f"Error: {fault.sentence}", wrap=False)


def _lines(console: Console, mark: str, style: str, lines: Sequence[str]) -> None:
    for line in lines:
        show(console, (f"{mark} ", style), printable(line), wrap=False)
