"""Which of day and month comes first in dates with slashes: all dates of a cohort together say it, or the user."""

import re
from collections.abc import Sequence

from .dates import DATE_ORDERS
from .layout import LAYOUT_FILE, Layout, with_date_format
from .problems import Problems, Where
from .tables import Table

__all__ = ["with_date_orders"]

_MONTH_FIRST, _DAY_FIRST = "m/d/y", "d/m/y"
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
    order = _slash_order(layout, tables, problems)
    orders = tuple(order if one == _MONTH_FIRST else one for one in DATE_ORDERS)
    return with_date_format(layout, orders)


def _slash_order(layout: Layout, tables: Sequence[Table], problems: Problems) -> str:
    dates = [(match, where) for text, where in _texts(layout, tables) if (match := _SLASHES.fullmatch(text))]
    first = [int(match[1]) for match, _ in dates]
    second = [int(match[2]) for match, _ in dates]
    month_first = sum(a <= 12 < b for a, b in zip(first, second, strict=True))
    day_first = sum(b <= 12 < a for a, b in zip(first, second, strict=True))
    either = [date for date, a, b in zip(dates, first, second, strict=True) if a != b and max(a, b) <= 12]
    if either and not month_first and not day_first:
        match, where = either[0]
        problems.error(
            "ambiguous-dates",
            where.path,
            where.row,
            f"{match[0]!r} can be read month first or day first, and so can every date with slashes in the tables",
            f'set date_format = "m/d/yyyy" or "d/m/yyyy" in {LAYOUT_FILE} under [values]',
        )
    return _DAY_FIRST if day_first > month_first else _MONTH_FIRST


def _texts(layout: Layout, tables: Sequence[Table]) -> list[tuple[str, Where]]:
    columns = [name.lower() for name in (layout.columns.birth, layout.columns.examined) if name]
    return [
        (row.cells[column], Where(table.path, row.number))
        for table in tables
        for row in table.rows
        for column in columns
        if row.cells.get(column)
    ]
