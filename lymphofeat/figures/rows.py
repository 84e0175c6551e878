"""Values with their bounds, read from a row of a table."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..estimates.intervals import Interval

__all__ = ["interval_in", "intervals_in", "row_of"]


def row_of(table: pd.DataFrame, column: str, value: str) -> dict[str, Any]:
    """The first row whose column has that value."""
    return {str(name): one for name, one in table[table[column] == value].iloc[0].items()}


def interval_in(row: Mapping[Any, Any], name: str, bounds: str = "") -> Interval:
    """NAME with NAME_low and NAME_high, or with the bounds of another name."""
    bounds = bounds or name
    return Interval(float(row[name]), float(row[f"{bounds}_low"]), float(row[f"{bounds}_high"]))


def intervals_in(table: pd.DataFrame, name: str, bounds: str = "") -> list[Interval]:
    """The same of every row."""
    return [interval_in(row, name, bounds) for row in table.to_dict("records")]
