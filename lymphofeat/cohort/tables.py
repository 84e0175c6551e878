"""Tables as they come out of spreadsheets: any of the usual separators, encodings and line ends."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from .problems import Problems
from .workbook import SheetError, looks_like_workbook, sheet_rows

__all__ = ["Row", "Table", "needed_once", "read_table", "table_file"]

_SEPARATORS = ",;\t"


@dataclass(frozen=True)
class Row:
    """A row's cells (stripped) by lower-case column name, and its line in the file (header = 1)."""

    number: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Table:
    """A parsed table."""

    path: Path
    columns: tuple[str, ...]  # as the header writes them
    rows: tuple[Row, ...]
    decimal_comma: bool  # the separator is not the comma, so that `11,2` can mean 11.2
    header_row: int = 1
    repeated: frozenset[str] = (
        frozenset()
    )  # lower-case names that several columns have; no row holds their cells
    separator: str = ""  # of a text file

    def has(self, column: str) -> bool:
        """Whether there is such a column, in any case."""
        return bool(column) and column.lower() in {name.lower() for name in self.columns}


def read_table(path: Path, problems: Problems) -> Table | None:
    """Parse a delimited text file or an Excel workbook; blank lines are passed over, and so is nothing else.

    Columns of one name are left out of the rows: whoever needs such a column says so (`needed_once`).

    UTF-8 with or without a byte order mark, UTF-16 with one, else Windows-1252 are read; the separator
    (comma, semicolon, tab) is the one that the header holds most of. `file.xlsx#Sheet` names a sheet of a workbook.

    Returns:
        The table, or None when it cannot be used (the reason is added to `problems`).
    """
    file, sheet = table_file(path)
    try:
        content = file.read_bytes()
    except OSError as error:
        problems.error("table-unreadable", path, None, f"cannot be read ({error.strerror})", "check the file")
        return None
    if looks_like_workbook(content):
        return _of_workbook(path, content, sheet, problems)
    text = _decoded(content)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        message, remedy = "holds NUL characters, as no text does", "save it as CSV in UTF-8 again"
        problems.error("table-malformed", path, line, message, remedy)
        return None
    lines = list(io.StringIO(text, newline=""))  # splits at \n, \r and \r\n only, as editors number lines
    header_line = next((line for line in lines if line.strip()), "")
    separator = max(_SEPARATORS, key=header_line.count)
    records: list[tuple[int, list[str]]] = []
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)
    try:
        begin = 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                records.append((begin, [cell.strip() for cell in cells]))
            begin = reader.line_num + 1
    except csv.Error as error:
        problems.error("table-malformed", path, begin, f"cannot be parsed ({error})", "save it as CSV again")
        return None
    if not records:
        problems.error("table-empty", path, None, "is empty", "restore the table with its header")
        return None
    table = _table(path, records, problems, decimal_comma=separator != ",")
    return None if table is None else replace(table, separator=separator)


def table_file(path: Path) -> tuple[Path, str]:
    """The file of a table, and the sheet that `file.xlsx#Sheet` names ("" for none)."""
    name, mark, sheet = path.name.partition("#")
    return (path.with_name(name), sheet) if mark and name.lower().endswith(".xlsx") else (path, "")


def _of_workbook(path: Path, content: bytes, sheet: str, problems: Problems) -> Table | None:
    try:
        rows = sheet_rows(content, sheet)
    except SheetError as error:
        problems.error("table-malformed", path, None, str(error), error.remedy)
        return None
    if not rows:
        problems.error("table-empty", path, None, "is empty", "restore the table with its header")
        return None
    return _table(
        path, rows, problems, decimal_comma=True
    )  # its numbers have points, its texts may have commas


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _table(
    path: Path, records: list[tuple[int, list[str]]], problems: Problems, *, decimal_comma: bool
) -> Table | None:
    (header_row, columns), body = records[0], records[1:]
    names = [name.lower() for name in columns]
    repeated = frozenset(name for name in names if name and names.count(name) > 1)
    rows = []
    for number, cells in body:
        if len(cells) < len(names) or any(cells[len(names) :]):
            problems.error(
                "ragged-row",
                path,
                number,
                f"has {len(cells)} cells where the header has {len(names)}",
                "complete the row, and quote texts that contain the separator",
            )
        padded = cells + [""] * (len(names) - len(cells))
        once = {name: cell for name, cell in zip(names, padded, strict=False) if name not in repeated}
        rows.append(Row(number, {name: cell for name, cell in once.items() if name}))
    return Table(path, tuple(columns), tuple(rows), decimal_comma, header_row, repeated)


def needed_once(table: Table, columns: Iterable[str], problems: Problems) -> bool:
    """Whether none of these columns is there more than once; each that is gets an error."""
    wrong = sorted({name.lower() for name in columns} & table.repeated)
    for name in wrong:
        problems.error(
            "duplicate-column",
            table.path,
            table.header_row,
            f"has the column {name!r} more than once",
            "remove one or rename it",
        )
    return not wrong
