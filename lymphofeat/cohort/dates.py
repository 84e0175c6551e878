"""Dates as laboratories write them, and ages counted from them.

A written date is read in one order of day, month and year, and never in another for single rows. A general date parser
guesses the order from the numbers and swaps some days and months. Which order a column has follows from its separator,
from the layout's `date_format`, or from all dates of the column together (`cohort.date_orders`).
"""

import re
from collections.abc import Collection
from datetime import date
from functools import cache

from ..errors import InputError

__all__ = [
    "DATE_ORDERS",
    "REFERENCE_DATE",
    "YEAR_ONLY",
    "age_at",
    "order_text",
    "parse_date",
    "parse_order",
    "years_between",
]

# Where a cohort has neither ages nor dates of examination, ages are counted from this day, so that they do not depend
# on the day the program runs; the public challenge's smears were published in 2020. Another day shifts all ages of a
# cohort alike. A cohort of later births sets its own in `lymphofeat.toml`.
REFERENCE_DATE = date(2020, 1, 1)

YEAR_ONLY = "y"
DATE_ORDERS = ("m/d/y", "d-m-y", "y-m-d", "d.m.y", YEAR_ONLY)  # what is read unless a layout says otherwise

_MIDNIGHT = re.compile(r"[ T]0{1,2}:00(:00(\.0+)?)?$")  # what spreadsheets append to a plain date
_PARTS = {"d": r"(?P<d>\d{1,2})", "m": r"(?P<m>\d{1,2})", "y": r"(?P<y>\d{4})"}
_ORDER = re.compile(r"(?P<a>[dmy])(?P<separator>[./-])(?P<b>[dmy])(?P=separator)(?P<c>[dmy])")
_CODES = {"%d": "d", "%m": "m", "%y": "y", "yyyy": "y", "dd": "d", "mm": "m", "jjjj": "y", "tt": "d"}


def parse_order(text: str) -> str:
    """The order of a format such as `dd.mm.yyyy`, `%d.%m.%Y` or `yyyy`: one letter for each part, `d.m.y`.

    Raises:
        InputError: another text; years of two digits among them, which do not say the century.
    """
    short = text.strip().lower()
    if "yyyy" not in short and "jjjj" not in short and "%Y" not in text:
        raise InputError(f"{text!r} is no format of dates with a year of four digits, such as dd.mm.yyyy")
    for code, letter in _CODES.items():
        short = short.replace(code, letter)
    match = _ORDER.fullmatch(short)
    if short != YEAR_ONLY and (match is None or sorted(match["a"] + match["b"] + match["c"]) != list("dmy")):
        raise InputError(f"{text!r} is no format of dates, such as dd.mm.yyyy, m/d/yyyy or yyyy")
    return short


def parse_date(text: str, orders: Collection[str] = DATE_ORDERS) -> tuple[date, str]:
    """Parse a date that is written in one of `orders`; its separator tells which.

    Args:
        text: with or without leading zeros; a time of midnight is passed over.
        orders: as `parse_order` gives them.

    Returns:
        The date, and the order it was written in. Of a year only, it is 1 July: half a year from either end.

    Raises:
        InputError: another form, a year of two digits, or a day that does not exist.
    """
    bare = _MIDNIGHT.sub("", text.strip())
    impossible = ""
    for order in orders:
        match = _form(order).fullmatch(bare)
        if match is None:
            continue
        try:
            if order == YEAR_ONLY:
                return date(int(match["y"]), 7, 1), order
            return date(int(match["y"]), int(match["m"]), int(match["d"])), order
        except ValueError:
            impossible = impossible or order
    if impossible:
        raise InputError(f"there is no day {text.strip()!r} (read as {impossible})")
    known = ", ".join(order_text(order) for order in orders)
    raise InputError(f"{text.strip()!r} is not a date of a known form ({known})")


@cache
def _form(order: str) -> re.Pattern[str]:
    return re.compile("".join(_PARTS.get(c, re.escape(c)) for c in order), re.ASCII)


def order_text(order: str) -> str:
    """The format that `parse_order` reads as this order: `d.m.yyyy`."""
    return order.replace("y", "yyyy")


def age_at(birth: date, reference: date = REFERENCE_DATE) -> float:
    """Age in years: completed years, and the share of the running year of life that has passed.

    A person born on 29 February has their birthday on 1 March in other years.

    Raises:
        InputError: `birth` is after `reference`.
    """
    if birth > reference:
        raise InputError(f"the date of birth {birth} is after the reference date {reference}")
    years = reference.year - birth.year - (_birthday(birth, reference.year) > reference)
    last, following = _birthday(birth, birth.year + years), _birthday(birth, birth.year + years + 1)
    return years + (reference - last).days / (following - last).days


def years_between(first: date, second: date) -> float:
    """Years from `first` to `second`, negative if it is earlier."""
    return age_at(first, second) if first <= second else -age_at(second, first)


def _birthday(birth: date, year: int) -> date:
    try:
        return birth.replace(year=year)
    except ValueError:
        return date(year, 3, 1)
