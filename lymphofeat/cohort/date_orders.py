"""Which of day and month comes first in dates with slashes: all dates of a cohort together say it, or the user."""

import re
from collections.abc import Iterable, Sequence

from .dates import DATE_ORDERS
from .layout import LAYOUT_FILE, Layout, with_date_format
from .problems import Problems, Where
from .tables import Table

__all__ = ["DAY_FIRST", "MONTH_FIRST", "slash_order", "with_date_orders"]

MONTH_FIRST, DAY_FIRST = "m/d/y", "d/m/y"
_SLASHES = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:\D.*)?", re.ASCII)


def with_date_orders(layout: Layout, tables: Sequence[Table], problems: Problems) -> Layout:
    """The layout with the orders in which the dates of these tables are read.

    `date_format` of the layout goes first. Otherwise dates with slashes are read month first or day
    first, as the most of those that can be read in one way only. Where all can be read in both ways, that is reported
    as an error, since a wrong guess would swap day and month without a trace.

    Args:
        layout: of the cohort.
        tables: all that hold dates.
        problems: of the cohort.
    """
    if layout.values.date_format:
        return layout
    texts = _texts(layout, tables)
    order = slash_order([text for text, _ in texts])
    either = [(text, where) for text, where in texts if _reads_both_ways(text)]
    if order is None and either:
        text, where = either[0]
        problems.error(
            "ambiguous-dates",
            where.path,
            where.row,
            f"{text!r} can be read month first or day first, and so can every date with slashes in the tables",
            f'set date_format = "m/d/yyyy" or "d/m/yyyy" in {LAYOUT_FILE} under [values]',
        )
    orders = tuple((order or MONTH_FIRST) if one == MONTH_FIRST else one for one in DATE_ORDERS)
    return with_date_format(layout, orders)


def slash_order(texts: Iterable[str]) -> str | None:
    """What most of the dates with slashes are that can be read in one way only; None if there is no such date."""
    parts = [(int(match[1]), int(match[2])) for text in texts if (match := _SLASHES.fullmatch(text))]
    month_first = sum(a <= 12 < b for a, b in parts)
    day_first = sum(b <= 12 < a for a, b in parts)
    if not month_first and not day_first:
        return None
    return DAY_FIRST if day_first > month_first else MONTH_FIRST


def _reads_both_ways(text: str) -> bool:
    match = _SLASHES.fullmatch(text)
    if match is None:
        return False
    first, second = int(match[1]), int(match[2])
    return first != second and max(first, second) <= 12


def _texts(layout: Layout, tables: Sequence[Table]) -> list[tuple[str, Where]]:
    columns = [name.lower() for name in (layout.columns.birth, layout.columns.examined) if name]
    return [
        (row.cells[column], Where(table.path, row.number))
        for table in tables
        for row in table.rows
        for column in columns
        if row.cells.get(column)
    ]
