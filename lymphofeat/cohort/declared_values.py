"""Values of declared clinical columns, read from the tables; problems are reported once a column and cause."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .declared import declared_columns
from .layout import LAYOUT_FILE, Layout
from .problems import Problems, listing
from .records import LIMIT, Record, as_number, is_word
from .tables import Row, Table
from .values import Declared, Value

if TYPE_CHECKING:
    from .declared import ClinicalColumn

__all__ = ["report_missing_declared", "unused_columns", "with_declared_values"]

_ROWS = 4  # of a problem that are named


def with_declared_values(
    records: Sequence[Record], table: Table, layout: Layout, problems: Problems
) -> list[Record]:
    """The records of a table with the values of its declared columns.

    A cell that says nothing of its column's kind is an error; a number outside the plausible range is a warning.
    """
    if not layout.clinical:
        return list(records)
    rows = {row.number: row for row in table.rows}
    found: dict[int, dict[str, Value]] = defaultdict(dict)
    own = [(record.where.row, rows[record.where.row]) for record in records if record.where.row in rows]
    for name, column in layout.clinical.items():
        cells = _Cells(name, column, table, layout)
        for number, row in own:
            found[number][name] = cells.value(row)
        cells.report(problems)
    return [replace(record, values=found.get(record.where.row or 0, {})) for record in records]


class _Cells:
    """The cells of one column of a table, and what is wrong with them: cause → cell → rows."""

    def __init__(self, name: str, column: "ClinicalColumn", table: Table, layout: Layout) -> None:
        self.name, self.column, self.table = name, column, table
        self.cell = (column.column or name).lower()
        self.missing, self.below_limit = layout.values.missing, layout.rows.below_limit
        self.categories = {category.casefold(): category for category in column.categories}
        self.wrong: dict[str, list[tuple[int, str]]] = defaultdict(list)

    def value(self, row: Row) -> Value:
        """The value; missing where the cell says so, or cannot be used."""
        text = row.cells.get(self.cell, "")
        if not text or (is_word(text, self.missing, self.table) and not self._is_answer(text)):
            return self.column.missing
        match self.column.kind:
            case "category":
                return self._category(row, text)
            case "yes/no":
                return self._answer(row, text)
            case _:
                return self._number(row, text)

    def _is_answer(self, text: str) -> bool:
        """Whether a word that elsewhere stands for a missing value means something here, as `-` may mean "no"."""
        words = (*self.column.yes, *self.column.no) if self.column.kind == "yes/no" else ()
        return text.lower() in words

    def _category(self, row: Row, text: str) -> str:
        if not self.categories:
            return text
        if text.casefold() not in self.categories:
            self.wrong["category"].append((row.number, text))
        return self.categories.get(text.casefold(), "")

    def _answer(self, row: Row, text: str) -> float:
        for value, words in ((1.0, self.column.yes), (0.0, self.column.no)):
            if is_word(text, words, self.table):
                return value
        self.wrong["answer"].append((row.number, text))
        return math.nan

    def _number(self, row: Row, text: str) -> float:
        limit = LIMIT.fullmatch(text)
        if limit and self.below_limit != "error":
            self.wrong["limit"].append((row.number, text))
            if self.below_limit == "missing":
                return math.nan
            text = limit[1]
        number = as_number(text, self.table)
        if not math.isfinite(number):
            self.wrong["number"].append((row.number, text))
            return math.nan
        if self.column.log and number <= 0:
            self.wrong["logarithm"].append((row.number, text))
            return math.nan
        if not self.column.is_plausible(number):
            self.wrong["range"].append((row.number, text))
        return number

    def report(self, problems: Problems) -> None:
        """Each cause once, with its first rows."""
        place = f"[clinical.{self.name}] in {LAYOUT_FILE}"
        wordings = {
            "category": ("is none of the categories", f"correct it, or add it to `categories` under {place}"),
            "answer": (
                "is neither yes nor no",
                f"correct it, or add the word to `yes` or `no` under {place}",
            ),
            "number": ("is not a number", "correct it or leave it empty"),
            "logarithm": (
                "has no logarithm",
                f"correct it, leave it empty, or leave `log` out under {place}",
            ),
            "limit": (
                f"is taken as {'missing' if self.below_limit == 'missing' else 'the limit itself'}",
                "check that this is meant",
            ),
            "range": (
                f"is outside the plausible range {self.column.range_text}",
                f"check the value and its unit, or change `range` under {place}",
            ),
        }
        for cause, cells in self.wrong.items():
            what, remedy = wordings[cause]
            listed = listing([f"{text!r} (row {number})" for number, text in cells], _ROWS)
            where = f": {cells[0][1]!r}" if len(cells) == 1 else f" in {len(cells):,} rows: {listed}"
            code = {"range": "implausible-value", "limit": "value-taken"}.get(cause, "bad-value")
            report = problems.error if code == "bad-value" else problems.warning
            report(code, self.table.path, cells[0][0], f"{self.name} {what}{where}", remedy)


def report_missing_declared(tables: Sequence[Table], declared: Declared, problems: Problems) -> None:
    """Warn of declared columns that no table has."""
    for name, column in declared_columns(declared).items():
        if not any(table.has(column) for table in tables):
            problems.warning(
                "missing-column",
                tables[0].path,
                tables[0].header_row,
                f"no table has a column {column!r}, so the {name} of every patient is missing",
                f"name the column in {LAYOUT_FILE} as `column` under [clinical.{name}], or remove the section",
            )


def unused_columns(tables: Iterable[Table], layout: Layout) -> tuple[str, ...]:
    """Columns of the tables that nothing reads, by their names in the first table that has them."""
    read = {column.casefold() for column in (*dict(layout.columns).values(), layout.images.file)}
    read |= {column.casefold() for column in declared_columns(layout.clinical).values()}
    found: dict[str, str] = {}
    for name in (name for table in tables for name in table.columns):
        found.setdefault(name.casefold(), name)
    return tuple(name for key, name in found.items() if name and key not in read and not _is_index(key))


def _is_index(column: str) -> bool:
    """Whether a column's name is one that spreadsheets and pandas give to row numbers."""
    return column in ("index", "#") or column.startswith("unnamed:")
