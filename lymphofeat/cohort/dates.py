"""Dates of birth as laboratories write them, and ages counted from one fixed day.

The separator tells the order: `2/11/1950` is month/day/year, `11-02-1950` is day-month-year, and
`1950-02-11` is ISO. A general date parser guesses the order from the numbers and swaps some days and months.
"""

import re
from datetime import date

from ..errors import InputError

__all__ = ["DATE_ORDERS", "REFERENCE_DATE", "age_at", "parse_birth"]

# Cohorts carry no examination date. Ages are counted from this day, so that they do not depend on the day
# the program runs; the public challenge's smears were published in 2020. Another day shifts all ages of a
# cohort alike. A cohort of later births sets its own in `lymphofeat.toml`.
REFERENCE_DATE = date(2020, 1, 1)

DATE_ORDERS = ("m/d/y", "d-m-y", "y-m-d")

_FORMS = {
    "m/d/y": re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})", re.ASCII),
    "d-m-y": re.compile(r"(?P<day>\d{1,2})-(?P<month>\d{1,2})-(?P<year>\d{4})", re.ASCII),
    "y-m-d": re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})", re.ASCII),
}
_MIDNIGHT = re.compile(r"[ T]0{1,2}:00(:00(\.0+)?)?$")  # what spreadsheets append to a plain date


def parse_birth(text: str) -> tuple[date, str]:
    """Parse a date of birth; its separator decides the order of day and month.

    Args:
        text: `m/d/yyyy`, `d-m-yyyy` or `yyyy-m-d`, with or without leading zeros.

    Returns:
        The date, and the order it was written in: one of `DATE_ORDERS`.

    Raises:
        InputError: another form, a year of two digits, or a day that does not exist.
    """
    bare = _MIDNIGHT.sub("", text.strip())
    for order, form in _FORMS.items():
        match = form.fullmatch(bare)
        if match:
            year, month, day = (int(match[part]) for part in ("year", "month", "day"))
            try:
                return date(year, month, day), order
            except ValueError:
                raise InputError(f"there is no day {text.strip()!r} (read as {order})") from None
    raise InputError(f"{text.strip()!r} is not a date of a known form (m/d/yyyy, d-m-yyyy or yyyy-m-d)")


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


def _birthday(birth: date, year: int) -> date:
    try:
        return birth.replace(year=year)
    except ValueError:
        return date(year, 3, 1)
