"""Values of declared clinical columns (`cohort.declared`), which pydantic is not needed for.

A value is a float (a number, or 1.0 and 0.0 of a yes/no), NaN where missing; or a category's text, "" where missing.
"""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from .declared import ClinicalColumn

__all__ = [
    "Declared",
    "Value",
    "Values",
    "column_of",
    "head_values",
    "is_missing",
    "known_value",
    "value_columns",
    "value_text",
]

Value = float | str
Values = Mapping[str, Value]  # by a declared column's name
Declared = Mapping[str, "ClinicalColumn"]  # by name, in the order of the file


def is_missing(value: Value) -> bool:
    """Whether a value is missing."""
    return value == "" or (isinstance(value, float) and math.isnan(value))


def known_value(values: Values, name: str) -> Value | None:
    """A value; None where it is missing."""
    value = values.get(name, "")
    return None if is_missing(value) else value


def value_text(column: "ClinicalColumn", value: Value) -> str:
    """A value in words: `11.2 g/dl`, `yes`, `B`, `missing`."""
    if is_missing(value):
        return "missing"
    if isinstance(value, str):
        return value
    if column.kind == "yes/no":
        return "yes" if value else "no"
    return f"{value:.4g} {column.unit}".rstrip()


def value_columns(declared: Declared, values: Iterable[Values]) -> dict[str, pd.Series]:
    """Per declared column, (n,) its values of n patients: float64, or text."""
    rows = list(values)
    return {
        name: pd.Series(
            [row.get(name, column.missing) for row in rows], dtype=object if column.is_text else "float64"
        )
        for name, column in declared.items()
    }


_LOG = "log "  # before the name of a value of which heads see the natural logarithm; no name has a blank


def head_values(declared: Declared) -> tuple[str, ...]:
    """What heads are told to look at: a column's name, after "log " where the natural logarithm is meant."""
    return tuple(f"{_LOG}{name}" if column.log else name for name, column in declared.items())


def column_of(value: str) -> tuple[str, bool]:
    """The column of one of `head_values`, and whether its logarithm is meant."""
    return value.removeprefix(_LOG), value.startswith(_LOG)
