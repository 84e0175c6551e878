"""The one way to the terminal: text as it is, never read as markup."""

from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from .streams import Stream

__all__ = ["Part", "PlainTable", "show", "terminal"]

Part = str | tuple[str, str]  # text, or text and its style


def show(console: Console, *parts: Part | Table, wrap: bool = True) -> None:
    """Print a line of parts, each a text or a text with its style; or one table.

    Brackets, colons and backslashes of a part are what they are: nothing in it is markup.

    Args:
        console: where to.
        parts: of the line; none: an empty line.
        wrap: break the line at the terminal's width.
    """
    line = Text()
    for part in parts:
        if isinstance(part, Table):
            console.print(part)
            return
        line.append(*((part,) if isinstance(part, str) else part))
    console.print(line, soft_wrap=not wrap)


class PlainTable(Table):
    """A table without lines whose cells and titles are text as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            box=None, pad_edge=False, **{"header_style": "bold", "title_justify": "left", **options}
        )

    def add_column(self, header: RenderableType = "", *args: Any, **options: Any) -> None:
        """As `Table.add_column`."""
        super().add_column(_text(header), *args, **options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """As `Table.add_row`."""
        super().add_row(*map(_text, cells), **options)


def _text(cell: RenderableType | None) -> RenderableType:
    return Text(cell) if isinstance(cell, str) else cell or Text()


def terminal(stream: TextIO | Stream, *, quiet: bool = False) -> Console:
    """A console that takes no text for markup or for the name of an emoji."""
    return Console(file=stream, quiet=quiet, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]
