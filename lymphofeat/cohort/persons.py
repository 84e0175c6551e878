"""Which records of a cohort may be one person, as far as dates of birth and sex can tell.

Parting one person's records leaks the answer of a fold into the training patients; joining two persons costs next to
nothing. So records are joined wherever they may be one person: with the same date of birth, and sex equal or missing
in one of them. Where a record without sex may be either of a man and a woman born on one day, all three are joined, for
whichever it is, that one must not be in another fold.

A date that stands for "not known" says nothing about persons: such records are not joined, and `check` says so.
"""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["persons", "placeholder_dates"]

# Days that databases and spreadsheets begin to count on, and the 1 January of years in which no patient was born.
_SPREADSHEET_ZERO = ((1899, 12, 30), (1899, 12, 31))
_NOBODY_BEFORE = 1905
# From so many records on a date is taken for a placeholder. Two or three visits of one person are common, so that the
# limits lie above; a first of January is what forms fill in, another day must also hold both sexes.
_ZERO, _FIRST_OF_JANUARY, _ANY_DAY = 2, 5, 10
_BIRTHDAYS = 20_000  # days over which the births of a cohort of adults spread


def persons(table: pd.DataFrame) -> NDArray[np.int64]:
    """Number the persons of a cohort; records of one number share a fold.

    Args:
        table: the columns `birth` (ISO text, "" where missing) and `sex` ("M", "F", or "" where missing) of
            `Cohort.table`; parsed dates, so that one day written in two ways is one day.

    Returns:
        (n_patients,) int64, numbered from 0 by first appearance. A record without date of birth, or with one of
        `placeholder_dates`, is a person of its own.
    """
    births, sexes = _texts(table, "birth"), _texts(table, "sex")
    unknown = {"", *placeholder_dates(table)}
    either = {birth for birth, sex in zip(births, sexes, strict=True) if not sex}
    keys = [
        row if birth in unknown else (birth, "" if birth in either else sex)
        for row, (birth, sex) in enumerate(zip(births, sexes, strict=True))
    ]
    numbers: dict[tuple[str, str] | int, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def placeholder_dates(table: pd.DataFrame) -> dict[str, int]:
    """Dates of birth that stand for "not known", and how many records have each.

    What begins a calendar (1900-01-01, 30 December 1899, any 1 January before 1905) is one from two records on; a 1
    January from five records on; any other day from ten records on, if at least two of them are men and two women. To
    the limits of five and ten comes what chance puts on one day in large cohorts.

    Args:
        table: as of `persons`.
    """
    births, sexes = _texts(table, "birth"), _texts(table, "sex")
    counts = Counter(birth for birth in births if birth)
    chance = _by_chance(sum(counts.values()))
    found = {}
    for birth, n in counts.items():
        least = _least(birth)
        enough = n >= (least if least == _ZERO else least + chance)
        if enough and (least != _ANY_DAY or _both_sexes(births, sexes, birth)):
            found[birth] = n
    return found


def _texts(table: pd.DataFrame, column: str) -> list[str]:
    return [str(text) for text in table[column].fillna("")]


def _by_chance(n: int) -> float:
    """What the fullest of some 20,000 days holds at most by chance, beyond the first limits: mean and 6 deviations."""
    mean = n / _BIRTHDAYS
    return mean + 6 * math.sqrt(mean)


def _least(birth: str) -> int:
    """The number of records from which on the date is suspected."""
    try:
        day = date.fromisoformat(birth)
    except ValueError:  # a table from elsewhere; equal texts are equal days all the same
        return _ANY_DAY
    first = (day.month, day.day) == (1, 1)
    if (first and day.year < _NOBODY_BEFORE) or (day.year, day.month, day.day) in _SPREADSHEET_ZERO:
        return _ZERO
    return _FIRST_OF_JANUARY if first else _ANY_DAY


def _both_sexes(births: Sequence[str], sexes: Sequence[str], birth: str) -> bool:
    counts = Counter(sex for born, sex in zip(births, sexes, strict=True) if born == birth)
    return counts["M"] >= 2 and counts["F"] >= 2
