"""Which records of a cohort may be one person: what a table says of it, else what dates of birth and sex tell.

Parting one person's records leaks the answer of a fold into the training patients; joining two persons costs next to
nothing. So records are joined wherever they may be one person: with the same date of birth, and sex equal or missing
in one of them. Where a record without sex may be either of a man and a woman born on one day, all three are joined, for
whichever it is, that one must not be in another fold.

A date that stands for "not known" says nothing about persons: such records are not joined, and `check` says so.

A column that names the person settles it for the records that have one: equal names are one person, different names
are two. A record without a name joins whom it may be.
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["PERSON", "persons", "placeholder_dates"]

PERSON = "person"  # the column that names persons, where there is one

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
            `Cohort.table`; parsed dates, so that one day written in two ways is one day. Where there is a column
            `person`, its texts name the persons ("" where missing).

    Returns:
        (n_patients,) int64, numbered from 0 by first appearance. A record without date of birth, or with one of
        `placeholder_dates`, is a person of its own.
    """
    births, sexes = _texts(table, "birth"), _texts(table, "sex")
    names = _texts(table, PERSON) if PERSON in table.columns else [""] * len(table)
    unknown = {"", *placeholder_dates(table)}
    either = {birth for birth, sex in zip(births, sexes, strict=True) if not sex}
    keys: list[Hashable] = [
        row if birth in unknown else (birth, "" if birth in either else sex)
        for row, (birth, sex) in enumerate(zip(births, sexes, strict=True))
    ]
    return _numbered(_joined_by_name(keys, names) if any(names) else keys)


def _joined_by_name(keys: Sequence[Hashable], names: Sequence[str]) -> list[Hashable]:
    """One key per person: records of one name are joined, and those of one key if one of these has no name."""
    from scipy.cluster.hierarchy import DisjointSet  # half a second to import, and few tables name persons

    nameless = {key for key, name in zip(keys, names, strict=True) if not name}
    groups, first = DisjointSet(range(len(keys))), dict[Hashable, int]()
    for row, (key, name) in enumerate(zip(keys, names, strict=True)):
        if name:
            groups.merge(row, first.setdefault(("name", name), row))
        if key in nameless:
            groups.merge(row, first.setdefault(("key", key), row))
    return [groups[row] for row in range(len(keys))]


def _numbered(keys: Sequence[Hashable]) -> NDArray[np.int64]:
    """(n,) int64, equal where keys are, from 0 by first appearance."""
    numbers: dict[Hashable, int] = {}
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
    return [str(text) for text in table[column].astype(object).fillna("")]


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
