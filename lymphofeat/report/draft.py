"""What `init` found, and what it asks."""

from rich.console import Console

from ..cohort.guess.draft import Draft
from ..cohort.layout import LAYOUT_FILE
from ..errors import printable
from .printing import show

__all__ = ["render_draft"]


def render_draft(draft: Draft, console: Console) -> None:
    """Write findings, questions and the next command."""
    show(console, ("Found in ", "bold"), (printable(str(draft.root)), "bold"))
    for line in draft.found:
        show(console, f"  {printable(line)}")
    path = draft.root / LAYOUT_FILE
    show(console)
    if draft.questions:
        show(console, ("Questions", "bold yellow"))
        for line in draft.questions:
            show(console, f"  {printable(line)}")
        show(console)
    what = "answer its questions" if draft.questions else "read it"
    show(
        console,
        f"Wrote {printable(str(path))}; {what}, then run `lymphofeat check {printable(str(draft.root))}`.",
    )
