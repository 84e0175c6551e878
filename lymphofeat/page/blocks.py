"""What a page is made of: sections of blocks, each with a template of its own."""

import math
import shlex
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import pandas as pd

from ..figures.drawn import Drawn
from ..figures.saving import page_svg
from ..storage.provenance import bare_words
from ..wording import number

__all__ = ["Block", "FigureBlock", "Gap", "Section", "Table", "Text", "csv_link", "plain_table"]

_TWO_COLUMNS = 5.0  # inches: wider than one column of a journal
_MOST_ROWS = 200


@dataclass(frozen=True)
class Block:
    """A part of a section; its template, a file of page/templates, is rendered with it as `block`."""

    template: ClassVar[str]


@dataclass(frozen=True)
class Text(Block):
    """Sentences.

    Attributes:
        sentences: a paragraph each, or the points of a list.
        listed: whether they are points.
    """

    template = "text.html.j2"
    sentences: Sequence[str]
    listed: bool = False


@dataclass(frozen=True)
class Gap(Block):
    """What has not been run, with the command that makes it.

    Attributes:
        what: a sentence without its command, such as "No evaluation was found".
        command: as typed; "" where no command helps.
    """

    template = "gap.html.j2"
    what: str
    command: str = ""

    @property
    def shown(self) -> str:
        """The command with names of files only, since the page may leave the house and a folder may name a person."""
        return shlex.join(bare_words(shlex.split(self.command)))


@dataclass(frozen=True)
class Table(Block):
    """A table of words, each cell with its exact value, and a CSV file of all columns.

    Attributes:
        name: stem of its CSV file; unique on the page.
        caption: what its rows are.
        frame: all rows and columns.
        shown: title → the words of every row of `frame`, or of those in `rows`.
        values: title → the column of `frame` whose exact values stand behind those words; a title that is a column
            need not be named.
        rows: positions of the rows that are shown; None: all.
        folded: behind one click.
    """

    template = "table.html.j2"
    name: str
    caption: str
    frame: pd.DataFrame
    shown: Mapping[str, Sequence[str]]
    values: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[int] | None = None
    folded: bool = False

    @cached_property
    def cells(self) -> list[list[tuple[str, str]]]:
        """Per shown row, (words, exact value or "") of each cell."""
        rows = range(len(self.frame)) if self.rows is None else self.rows
        exact = {title: self._column(title) for title in self.shown}
        return [
            [
                (words[k], "" if (column := exact[title]) is None else exact_text(column.iloc[row]))
                for title, words in self.shown.items()
            ]
            for k, row in enumerate(rows)
        ]

    def _column(self, title: str) -> "pd.Series[Any] | None":
        name = self.values.get(title, title)
        return self.frame[name] if name in self.frame.columns else None

    @property
    def csv(self) -> str:
        """The frame as a `data:` address."""
        return csv_link(self.frame)


def plain_table(
    name: str, caption: str, frame: pd.DataFrame, *, folded: bool = False, most: int | None = None
) -> Table:
    """A table of all columns of a frame, numbers to three decimals; headers are the columns' names in words.

    Args:
        name, caption, frame, folded: as of `Table`.
        most: rows that are shown, where the frame has more; the caption then says so.
    """
    rows = None if most is None or len(frame) <= most else range(most)
    if rows is not None:
        caption = f"{caption}: the first {most} of {len(frame):,} rows; the CSV file has all"
    titles = {str(column).replace("_", " "): str(column) for column in frame.columns}
    shown = {title: _words(frame[column], most) for title, column in titles.items()}
    return Table(name, caption, frame, shown, values=titles, rows=rows, folded=folded)


@dataclass(frozen=True)
class FigureBlock(Block):
    """A figure with its caption, and behind one click its numbers."""

    template = "figure.html.j2"
    drawn: Drawn

    @property
    def narrow(self) -> bool:
        """Whether it is of one column, so that two stand beside each other where there is room."""
        return self.drawn.figure.get_figwidth() < _TWO_COLUMNS

    @cached_property
    def svg(self) -> str:
        """Its markup."""
        return page_svg(self.drawn)

    @cached_property
    def table(self) -> Table:
        """The numbers; of a long table the first rows, all of them in its CSV file."""
        caption = f"Numbers of “{self.drawn.title}”"
        return plain_table(self.drawn.name, caption, self.drawn.table, folded=True, most=_MOST_ROWS)


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        id: its anchor.
        title: its heading.
        blocks: in their order.
    """

    id: str
    title: str
    blocks: Sequence[Block]

    @property
    def drawn(self) -> list[Drawn]:
        """Its figures."""
        return [block.drawn for block in self.blocks if isinstance(block, FigureBlock)]


def csv_link(frame: pd.DataFrame) -> str:
    """A table as a `data:` address of its CSV file, UTF-8."""
    text = frame.to_csv(index=False, lineterminator="\r\n")
    return "data:text/csv;charset=utf-8;base64," + b64encode(text.encode()).decode()


def exact_text(value: Any) -> str:
    """A value so that it can be read back: repr of a float, "" of none."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def _words(column: "pd.Series[Any]", most: int | None) -> list[str]:
    """The column's first values as words, numbers with equal digits: none where all of them are whole."""
    numbers = [value for value in column if isinstance(value, float) and math.isfinite(value)]
    digits = 0 if all(value.is_integer() for value in numbers) else 3
    return [_word(value, digits) for value in column.iloc[:most]]


def _word(value: Any, digits: int) -> str:
    if isinstance(value, float):
        return number(value, digits)
    return "—" if value is None or value is pd.NA else str(value)
