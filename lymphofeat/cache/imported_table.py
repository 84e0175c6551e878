"""The table of patients that a caller hands over: every value read into the cache's types, or refused with its row."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..cohort.ids import has_control_characters
from ..cohort.model import TABLE_COLUMNS
from ..cohort.persons import PERSON
from ..cohort.values import Declared
from ..errors import CacheError

__all__ = ["checked_table"]

if TYPE_CHECKING:
    from ..cohort.declared import ClinicalColumn

_Read = Callable[[Any], Any]
_Reading = tuple[_Read, str, Any]  # how a value is read, what it must be, and the column's type
_NEEDED = ("id", "label")


def checked_table(
    patients: pd.DataFrame | Mapping[str, Any],
    groups: ArrayLike | None,
    counts: Mapping[str, int],
    declared: Declared | None = None,
) -> pd.DataFrame:
    """The columns that a cache keeps, in its types.

    Args:
        patients: as of `save_cache`.
        groups: (n_patients,) instead of the column `person`; None: the column, if there is one.
        counts: images by patient, where the features say so.
        declared: clinical columns beside age, sex and lymphocyte_count.

    Returns:
        (n_patients,) rows with the columns `TABLE_COLUMNS`, `person` where some patient has one, and those of
        `declared`.

    Raises:
        CacheError: a column is missing, or a value cannot be used.
    """
    given = _as_table(patients)
    if repeated := [
        c for c in (*TABLE_COLUMNS, PERSON) if c in given and not isinstance(given[c], pd.Series)
    ]:
        raise CacheError(f"the table of patients has the column {repeated[0]!r} more than once.")
    if missing := [column for column in _NEEDED if column not in given.columns]:
        raise CacheError(
            f"the table of patients lacks the column {missing[0]!r}; it needs {' and '.join(_NEEDED)}, and takes "
            f"{', '.join(c for c in (*TABLE_COLUMNS, PERSON) if c not in _NEEDED)}."
        )
    if not len(given):
        raise CacheError("the table of patients is empty.")
    ids = list(given["id"])
    table = pd.DataFrame({c: _column(c, list(given[c]), ids) for c in _NEEDED})
    _check_ids(table["id"])
    for column in TABLE_COLUMNS[1:]:
        values = list(given[column]) if column in given else _default(column, table, counts)
        table[column] = _column(column, values, ids)
    table = table[list(TABLE_COLUMNS)]
    for row, (split, label) in enumerate(zip(table["split"], table["label"], strict=True)):
        if split == "test" and label != -1:
            raise CacheError(
                f"{_row(row, table['id'][row])}: a test patient has the label {label}; give -1, or split 'train'."
            )
    who = _persons(given, groups, ids)
    table = table.assign(**{PERSON: who}) if any(who) else table
    return table.assign(**_declared(given, declared or {}, ids))


def _as_table(patients: pd.DataFrame | Mapping[str, Any]) -> pd.DataFrame:
    if isinstance(patients, pd.DataFrame):
        return patients
    try:
        return pd.DataFrame(dict(patients))
    except (TypeError, ValueError) as error:
        raise CacheError(
            f"patients are no table ({error}); give a DataFrame, or a dict of columns."
        ) from error


def _check_ids(ids: "pd.Series[Any]") -> None:
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if first.setdefault(name, row) != row:
            raise CacheError(
                f"rows {first[name]} and {row} of the table (counted from 0) have the same id {name!r}; an id "
                "names one patient, so join their images or rename one."
            )


def _default(column: str, table: pd.DataFrame, counts: Mapping[str, int]) -> list[Any]:
    """The values of a column that was left out."""
    if column == "split":
        return ["train" if label >= 0 else "test" for label in table["label"]]
    if column != "n_images":
        return [None] * len(table)
    if not counts:
        raise CacheError(
            "the table of patients lacks the column 'n_images', and one array holds all patients' features; give the "
            "column, or a dict of arrays by patient as the features."
        )
    return [counts.get(name, 1) for name in table["id"]]  # who has no array is named with the features


def _persons(given: pd.DataFrame, groups: ArrayLike | None, ids: list[Any]) -> list[str]:
    """The name of each patient's person, "" where it is not known."""
    if groups is None:
        return list(_column(PERSON, list(given[PERSON]), ids)) if PERSON in given else [""] * len(given)
    if PERSON in given:
        raise CacheError(
            f"the table of patients has the column {PERSON!r}, so groups has no place; give one of them."
        )
    values = list(groups.tolist()) if isinstance(groups, np.ndarray) else list(groups)  # type: ignore[arg-type]
    if len(values) != len(given):
        raise CacheError(f"groups has {len(values)} values for {len(given)} patients; give one for each.")
    return list(_column("groups", values, ids))


def _declared(given: pd.DataFrame, declared: Declared, ids: list[Any]) -> dict[str, Any]:
    """The declared clinical columns by their names."""
    if not declared:
        return {}
    from ..cohort.declared import bad_name, column_of_others, declared_columns

    for name in declared:
        if reason := bad_name(name):
            raise CacheError(f"clinical cannot declare {name!r}: {reason}.")
    if clause := column_of_others(declared, {c: c for c in (*TABLE_COLUMNS, PERSON, "fold")}):
        raise CacheError(f"clinical: {clause}.")
    found = {}
    for name, column in declared_columns(declared).items():
        if not isinstance(given.get(column), pd.Series):
            what = "more than once" if column in given else "not"
            raise CacheError(f"clinical declares {name!r}, and the table has its column {column!r} {what}.")
        found[name] = _column(column, list(given[column]), ids, _reading_of(declared[name]))
    return found


def _reading_of(column: "ClinicalColumn") -> _Reading:
    match column.kind:
        case "category":
            allowed = ("", *column.categories) if column.categories else ()
            return _one_text(allowed), f"give text{_listed(column.categories)}, or leave it empty", object
        case "yes/no":
            return _answer, "give True or False (1 or 0), or leave it empty", np.float64
        case _:
            read, above = (_above_zero, " above 0, which has a logarithm,") if column.log else (_number, "")
            return read, f"give a number{above} or leave it empty", np.float64


def _listed(categories: Sequence[str]) -> str:
    return f" ({', '.join(categories)})" if categories else ""


def _column(column: str, values: list[Any], ids: list[Any], reading: _Reading | None = None) -> Any:
    read, wanted, dtype = reading or _READ[column]
    found = []
    for row, value in enumerate(values):
        try:
            found.append(read(value))
        except (TypeError, ValueError, OverflowError):
            raise CacheError(f"{_row(row, ids[row])}: {column} is {value!r}; {wanted}.") from None
    return np.array(found, dtype=dtype)


def _row(row: int, name: Any) -> str:
    return f"row {row} of the table (counted from 0), patient {name}"


def _is_missing(value: Any) -> bool:
    return (
        value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))
    )


def _whole(value: Any) -> int:
    if isinstance(value, bool | np.bool_ | str) or int(value) != value:
        raise ValueError(value)
    return int(value)


def _id(value: Any) -> str:
    text = value if isinstance(value, str) else str(_whole(value)) if not isinstance(value, float) else ""
    if not text or text != text.strip() or has_control_characters(text):
        raise ValueError(value)
    return str(text)


def _person(value: Any) -> str:
    if _is_missing(value) or value == "":
        return ""
    return _id(int(value) if isinstance(value, float) and value.is_integer() else value)


def _one_of(*allowed: Any) -> _Read:
    def read(value: Any) -> Any:
        known = value if isinstance(value, str) else _whole(value)
        if known not in allowed:
            raise ValueError(value)
        return known

    return read


def _text(value: Any) -> str:
    if _is_missing(value):
        return ""
    if not isinstance(value, str):
        raise TypeError(value)
    return str(value)


def _sex(value: Any) -> str:
    text = _text(value)
    if text not in ("", "M", "F"):
        raise ValueError(value)
    return text


def _birth(value: Any) -> str:
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if _is_missing(value) or value == "":
        return ""
    if isinstance(value, datetime):  # pandas' Timestamp is one
        value = value.date()
    day = value if isinstance(value, date) else date.fromisoformat(value)
    return day.isoformat()


def _n_images(value: Any) -> int:
    if not 1 <= (number := _whole(value)) <= np.iinfo(np.int64).max:
        raise ValueError(value)
    return number


def _number(value: Any) -> float:
    if _is_missing(value) or value == "":
        return math.nan
    number = float(value)
    if isinstance(value, str) or math.isinf(number):
        raise ValueError(value)
    return number


def _count(value: Any) -> float:
    number = _number(value)
    if number < 0:
        raise ValueError(value)
    return number


def _above_zero(value: Any) -> float:
    number = _number(value)
    if number <= 0:
        raise ValueError(value)
    return number


def _answer(value: Any) -> float:
    number = float(value) if isinstance(value, bool | np.bool_) else _number(value)
    if number not in (0, 1) and not math.isnan(number):
        raise ValueError(value)
    return number


def _one_text(allowed: Sequence[str]) -> _Read:
    def read(value: Any) -> str:
        text = _text(value).strip()
        if allowed and text not in allowed:
            raise ValueError(value)
        return text

    return read


_WHO = "give text without blanks around it, or a whole number, or leave it empty"
_READ: dict[str, _Reading] = {
    "id": (
        _id,
        "give text without blanks around it, or a whole number; it may hold no line break and no tab",
        object,
    ),
    PERSON: (_person, _WHO, object),
    "groups": (_person, _WHO, object),
    "split": (_one_of("train", "test"), "give 'train' or 'test'", object),
    "label": (_one_of(0, 1, -1), "give 0 (reactive), 1 (malignant) or -1 (not known)", np.int64),
    "n_images": (_n_images, "give a whole number of at least 1, or leave the patient out", np.int64),
    "birth": (_birth, "give a date, or text such as 1950-02-11, or leave it empty", object),
    "date_order": (_text, "give text, or leave it empty", object),
    "sex": (_sex, "give 'M' or 'F', or leave it empty", object),
    "age": (_number, "give a number of years, or leave it empty", np.float64),
    "lymphocyte_count": (_count, "give a number of at least 0, in 10⁹/l, or leave it empty", np.float64),
}
