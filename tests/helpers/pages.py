"""A page taken apart: its words, its tables, the files in it."""

import base64
import csv
import html
import io
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import unquote

__all__ = ["PageTable", "everything_in", "tables_of", "words_of"]

_DATA = re.compile(r"data:[\w/.+-]+(?:;[\w-]+=[\w-]+)*;base64,([A-Za-z0-9+/=]+)")


def words_of(page: str) -> str:
    """What a reader sees: the text without marks, styles and scripts."""
    page = re.sub(r"<(style|script)\b.*?</\1>", " ", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def everything_in(page: str) -> str:
    """The page's text, and behind it that of every file in it."""
    return page + "\n".join(base64.b64decode(text).decode("latin-1") for text in _DATA.findall(page))


@dataclass
class PageTable:
    """A table of the page.

    Attributes:
        name: stem of its CSV file.
        titles: of the columns.
        cells: per row, (words, exact value or "") of each cell.
        rows: of its CSV file, a dict each.
    """

    name: str
    titles: list[str] = field(default_factory=list)
    cells: list[list[tuple[str, str]]] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)


def tables_of(page: str) -> list[PageTable]:
    """Every table that has a name, in the order of the page, with the CSV file behind it."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[PageTable] = []
        self._table: PageTable | None = None
        self._cell: tuple[bool, str, list[str]] | None = None  # in the head, exact value, words

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attributes}
        if tag == "table" and "data-name" in given:
            self._table = PageTable(given["data-name"])
            self.found.append(self._table)
        elif tag == "a" and "download" in given and self.found:
            if given["download"] == f"{self.found[-1].name}.csv":
                self.found[-1].rows = _csv_rows(given["href"])
        elif self._table is None:
            return
        elif tag == "tr":
            self._table.cells.append([])
        elif tag in ("td", "th"):
            self._cell = (given.get("scope") == "col", given.get("data-value", ""), [])

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell[2].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "table" and self._table is not None:
            self._table.cells = [row for row in self._table.cells if row]
            self._table = None
        elif tag in ("td", "th") and self._table is not None and self._cell is not None:
            head, value, words = self._cell
            text = " ".join("".join(words).split())
            if head:
                self._table.titles.append(text)
            else:
                self._table.cells[-1].append((text, value))
            self._cell = None


def _csv_rows(address: str) -> list[dict[str, str]]:
    kind, _, content = address.partition(",")
    text = base64.b64decode(content).decode("utf-8") if kind.endswith(";base64") else unquote(content)
    return list(csv.DictReader(io.StringIO(text, newline="")))
