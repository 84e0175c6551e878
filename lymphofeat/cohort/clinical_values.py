"""The clinical values of patients as numbers, for networks and heads; the one place where they are made."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..wording import did_you_mean
from .values import Declared, column_of, head_values

__all__ = ["check_values", "clinical_digest", "clinical_numbers", "clinical_values"]

Floats = NDArray[np.float64]

# A counter's zero has no logarithm; a tenth of 10⁹/l lies below every count of a lymphocytosis.
_LEAST_COUNT = 0.1


def clinical_numbers(table: pd.DataFrame, names: tuple[str, ...]) -> Floats:
    """(n, C) float64, NaN where a value is missing.

    Args:
        table: columns `sex`, `age` (years), `lymphocyte_count` (10⁹/l), `birth` (ISO text), those that `names` need.
        names: of age, count, log_count (its natural logarithm), male (0 or 1), birth_year, birth_month; declared
            columns that are no texts, as `values.head_values` names them.
    """
    return np.column_stack([_COLUMNS.get(name, _declared(name))(table) for name in names])


def clinical_values(table: pd.DataFrame, names: tuple[str, ...]) -> NDArray[np.float32]:
    """(n, C) float32, what a network is given: `clinical_numbers`.

    Args:
        table: rows of `Cohort.table`.
        names: as of `clinical_numbers`.
    """
    return clinical_numbers(table, names).astype(np.float32)


def check_values(names: Sequence[str], declared: Declared, asking: str) -> None:
    """Refuse names that `clinical_numbers` does not know.

    Args:
        names: what is asked for.
        declared: the cohort's declared columns.
        asking: what asks, in words.

    Raises:
        InputError: one of them is no value that every cohort has and none that this one declares, or is a category.
    """
    usable = [name for name in head_values(declared) if not declared[column_of(name)[0]].is_text]
    for name in names:
        if name in _COLUMNS or (column_of(name)[0] in declared and not declared[column_of(name)[0]].is_text):
            continue
        if column_of(name)[0] in declared:
            raise InputError(
                f"{asking} asks for the clinical value {name!r}, which is a category, and its network takes numbers "
                "and yes/no only; leave it out."
            )
        raise InputError(
            f"{asking} asks for the clinical value {name!r}, which the cohort does not have"
            f"{did_you_mean(name, [*_COLUMNS, *usable])}; correct the name, or declare it under [clinical] in "
            "lymphofeat.toml."
        )


def clinical_digest(values: NDArray[np.float32]) -> str:
    """Hex digest of `clinical_values`, by which an encoder remembers what it was trained on."""
    return blake2b(values.tobytes(), digest_size=8).hexdigest()


def _number(name: str) -> Callable[[pd.DataFrame], Floats]:
    return lambda table: np.asarray(table[name], dtype=np.float64)


def _declared(value: str) -> Callable[[pd.DataFrame], Floats]:
    """A declared column; of "log NAME" its natural logarithm, NaN where there is none."""
    name, logarithm = column_of(value)

    def numbers(table: pd.DataFrame) -> Floats:
        found = table[name].to_numpy(np.float64, na_value=np.nan)
        return np.asarray(np.log(np.where(found > 0, found, np.nan)) if logarithm else found)

    return numbers


def _log_count(table: pd.DataFrame) -> Floats:
    # np.maximum hands NaN on.
    return np.asarray(np.log(np.maximum(table["lymphocyte_count"].to_numpy(np.float64), _LEAST_COUNT)))


def _male(table: pd.DataFrame) -> Floats:
    return np.asarray(table["sex"].map({"M": 1.0, "F": 0.0}).to_numpy(np.float64))


def _of_birth(part: slice) -> Callable[[pd.DataFrame], Floats]:
    def numbers(table: pd.DataFrame) -> Floats:
        dates = table["birth"].astype(object).fillna("").astype(str)
        return np.array([float(date[part]) if date else np.nan for date in dates])

    return numbers


_COLUMNS: Mapping[str, Callable[[pd.DataFrame], Floats]] = {
    "age": _number("age"),
    "count": _number("lymphocyte_count"),
    "log_count": _log_count,
    "male": _male,
    "birth_year": _of_birth(slice(0, 4)),
    "birth_month": _of_birth(slice(5, 7)),
}
