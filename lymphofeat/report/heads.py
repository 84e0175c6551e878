"""The head types, for the terminal; 80 columns suffice."""

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from ..cache.pooling import POOLINGS
from ..heads.fitted_pooling import FITTED_POOLINGS
from ..heads.registry import HeadType
from .printing import PlainTable, show

__all__ = ["SHORTCUT_NOTE", "render_heads"]

SHORTCUT_NOTE = (
    "bag_size=True adds the number of images to a pooled head. It is a shortcut, off by default and never searched: it "
    "follows the lymphocyte count and the laboratory's habits, not the cells."
)
_COST_NOTE = "Cost of one trial: cheap is tenths of a second, moderate about a second, expensive several."


def render_heads(head_types: Mapping[str, HeadType], console: Console) -> None:
    """Print every head type with a sentence, its source, inputs and cost; then the poolings."""
    table = PlainTable(title="Heads")
    table.add_column("name", style="cyan", no_wrap=True)
    table.add_column("description and source")
    table.add_column("cost", no_wrap=True)
    for head_type in head_types.values():
        inputs = ", ".join(head_type.inputs)
        about = Text.assemble(
            head_type.summary, ("\n" + head_type.source, "dim"), (f"\ninputs: {inputs}", "dim")
        )
        table.add_row(head_type.name, about, head_type.cost)
    show(console, table)
    show(console)
    show(console, _poolings())
    show(console)
    for note in (_COST_NOTE, SHORTCUT_NOTE):
        show(console, note)


def _poolings() -> PlainTable:
    table = PlainTable(title="Poolings")
    table.add_column("name", style="cyan", no_wrap=True)
    table.add_column("what it takes from a bag")
    about = {name: pooling.about for name, pooling in POOLINGS.items()}
    about |= {name: pooling.about for name, pooling in FITTED_POOLINGS.items()}
    for name in sorted(about):
        table.add_row(name, about[name])
    return table
