"""What lies in a folder: images by folder, tables with their columns."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..folders import is_image, is_left_behind
from ..layout import Layout
from ..problems import Problems
from ..tables import Table, read_table
from ..workbook import SheetError, sheet_names

__all__ = ["Contents", "FoundTable", "contents_of"]

_TEXTS, _BOOKS = (".csv", ".tsv", ".txt"), (".xlsx",)
_DEEPEST = 6  # folders below the cohort's


@dataclass(frozen=True)
class FoundTable:
    """A table that can be read.

    Attributes:
        name: its path in the cohort, with `#Sheet` for one of several sheets.
        table: read.
        encoding: of a text file; "" for a workbook.
    """

    name: str
    table: Table
    encoding: str

    def texts(self, column: str) -> list[str]:
        """The cells of a column that are not empty."""
        return [text for row in self.table.rows if (text := row.cells.get(column.lower(), ""))]

    @property
    def columns(self) -> list[str]:
        """Names of columns that have one, each once."""
        repeated = self.table.repeated
        return [name for name in self.table.columns if name and name.lower() not in repeated]


@dataclass(frozen=True)
class Contents:
    """Images and tables of a folder.

    Attributes:
        root: the folder.
        images: names of image files, by the folder that they lie in ("" for the root itself, with `/`).
        tables: those that can be read.
        unread: why other tables cannot be read.
    """

    root: Path
    images: dict[str, list[str]]
    tables: list[FoundTable]
    unread: list[str]

    @property
    def n_images(self) -> int:
        """How many images there are."""
        return sum(map(len, self.images.values()))


def contents_of(root: Path) -> Contents:
    """Look into a folder and its subfolders; files that systems leave behind are passed over. No image is opened."""
    images: dict[str, list[str]] = {}
    tables: list[FoundTable] = []
    unread: list[str] = []
    for folder, name in _files(root):
        suffix = os.path.splitext(name)[1].lower()
        if is_image(name, Layout()):
            images.setdefault(folder, []).append(name)
        elif suffix in (*_TEXTS, *_BOOKS):
            found, faults = _tables(root, f"{folder}/{name}".lstrip("/"))
            tables += found
            unread += faults
    return Contents(root, images, tables, unread)


def _files(root: Path) -> Iterator[tuple[str, str]]:
    for folder, subfolders, names in os.walk(root):
        inside = Path(folder).relative_to(root)
        subfolders[:] = sorted(name for name in subfolders if not is_left_behind(name))
        if len(inside.parts) >= _DEEPEST:
            subfolders.clear()
        place = "" if inside == Path() else inside.as_posix()
        yield from ((place, name) for name in sorted(names) if not is_left_behind(name))


def _tables(root: Path, name: str) -> tuple[list[FoundTable], list[str]]:
    """The tables of a file, a workbook's sheets among them; and why it cannot be read."""
    path = root / name
    names, encoding = [name], ""
    try:
        content = path.read_bytes()
        if name.lower().endswith(_BOOKS):
            sheets = sheet_names(content)
            names = [name] if len(sheets) < 2 else [f"{name}#{sheet}" for sheet in sheets]
        else:
            encoding = _encoding(content)
    except (OSError, SheetError) as error:
        return [], [f"{name}: {error}"]
    found, faults = [], []
    for one in names:
        problems = Problems()
        table = read_table(root / one, problems)
        if table is None:
            faults.append(f"{one}: {problems.found[0].message}")
        else:
            found.append(FoundTable(one, table, encoding))
    return found, faults


def _encoding(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "Windows-1252"
    return "UTF-8"
