"""Tables that hold features: a row per patch or cell with its patient, or a row per patient."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cohort.problems import counted, listing
from ..cohort.tables import Row, Table
from ..errors import InputError
from .causes import UnusableError, refuse_beyond_memory
from .columns import PATIENT, SLIDE, ColumnNames
from .parts import Loaded, Part, Source, slide_name

__all__ = ["as_table", "cell_text", "features_of_frame", "read_frame", "source_of_rows"]

_NUMBERED = re.compile(r"(.*?)(\d+)")
_LEAST = 4  # numbered columns that are taken for features without a word


def read_frame(path: Path, names: ColumnNames) -> pd.DataFrame:
    """A table in a file: Parquet, or text with commas, semicolons or tabs; IDs stay as they are written.

    Raises:
        UnusableError: it cannot be read.
        InputError: Parquet without the package that reads it.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            header = file.readline()
        separator = max(",;\t", key=header.count)
        columns = [c.strip().strip('"') for c in header.split(separator)]
        texts = {c: str for c in columns if names.is_known(c)}
        read = partial(pd.read_csv, path, sep=separator, dtype=texts, encoding="utf-8-sig")
        frame = _any_encoding(read)
        if separator == ";" and any(is_decimal_comma(frame[c]) for c in frame):
            frame = _any_encoding(partial(read, decimal=","))
    except (OSError, ValueError, MemoryError, pd.errors.ParserError) as error:
        raise UnusableError("tables that cannot be read", "save them as CSV with one header line") from error
    return frame


def _any_encoding(read: Any) -> pd.DataFrame:
    try:
        return pd.DataFrame(read())
    except UnicodeDecodeError:
        return pd.DataFrame(read(encoding="cp1252"))


def is_decimal_comma(column: "pd.Series[Any]") -> bool:
    """Whether the column holds text that begins with a number with a comma."""
    if pd.api.types.is_numeric_dtype(column):
        return False
    first = next((value for value in column if isinstance(value, str)), "")
    return re.fullmatch(r"-?\d+,\d+(e-?\d+)?", first, re.I) is not None


def _parquet(path: Path) -> pd.DataFrame:
    try:
        refuse_beyond_memory(_parquet_size(path))
        return pd.read_parquet(path)
    except ImportError as error:
        raise InputError(
            f"{path}: Parquet is read by pyarrow, which is not installed; pip install 'lymphofeat[import]', or save "
            "the table as CSV."
        ) from error
    except (OSError, ValueError, MemoryError) as error:
        raise UnusableError("Parquet that cannot be read", "write it again") from error


def _parquet_size(path: Path) -> int:
    """Bytes of its columns, each of eight a value at least."""
    from pyarrow.parquet import read_metadata

    found = read_metadata(path)
    return 8 * int(found.num_rows) * int(found.num_columns)


@dataclass(frozen=True)
class _Chosen:
    """The features of a table and what was taken for them, in words."""

    features: NDArray[Any]
    note: str


def features_of_frame(frame: pd.DataFrame, names: ColumnNames, where: str) -> Source:
    """The slides and patients of a table whose columns are features.

    Args:
        frame: a row per patch, cell, slide or patient.
        names: of the columns.
        where: the file, for messages.

    Raises:
        InputError: which columns are features is not certain, or there is none.
    """
    frame = frame.rename(columns=str)
    chosen = _chosen(frame, names, where)
    return source_of_rows(chosen.features, frame, names, where, chosen.note)


def _chosen(frame: pd.DataFrame, names: ColumnNames, where: str) -> _Chosen:
    others = [c for c in map(str, frame.columns) if not names.is_known(c)]
    numeric = [c for c in others if pd.api.types.is_numeric_dtype(frame[c]) and frame[c].dtype != bool]
    lists = [
        c
        for c in others
        if c not in numeric and len(frame) and isinstance(frame[c].iloc[0], list | np.ndarray)
    ]
    if names.features:
        patterns = names.features
        columns = [c for c in others if any(fnmatchcase(c.lower(), pattern) for pattern in patterns)]
        if not columns:
            raise InputError(
                f"{where}: no column is called {' or '.join(patterns)}; name the columns of the features."
            )
        if wrong := [c for c in columns if c not in numeric and c not in lists]:
            raise InputError(f"{where}: the column {wrong[0]} holds no numbers; leave it out of --features.")
    elif len(lists) == 1:
        columns = lists
    else:
        columns = _numbered(numeric)
        if not columns:
            raise InputError(
                f"{where}: which columns are the features is not certain ("
                + (f"columns of numbers: {listing(numeric, 8)}" if numeric else "no column holds numbers")
                + "); name them by --features, such as --features 'area,texture_*'."
            )
    features = (
        _stacked(frame[columns[0]], where)
        if columns[0] in lists
        else frame[columns].to_numpy(dtype=np.float64, na_value=np.nan)
    )
    unused = [c for c in others if c not in columns]
    said = columns[0] if len(columns) == 1 else f"{columns[0]} to {columns[-1]}"
    note = f"{counted(features.shape[1], 'number')} a row: {said}"
    return _Chosen(features, note + (f"; left out: {listing(unused)}" if unused else ""))


def _numbered(columns: Sequence[str]) -> list[str]:
    """The columns that count on without a gap, such as feat_0 to feat_1023; empty if none do, or two groups do."""
    groups: dict[str, list[tuple[int, str]]] = {}
    for column in columns:
        if found := _NUMBERED.fullmatch(column):
            groups.setdefault(found[1], []).append((int(found[2]), column))
    whole = [
        sorted(group)
        for group in groups.values()
        if len(group) >= _LEAST and max(group)[0] - min(group)[0] == len(group) - 1
    ]
    return [column for _, column in whole[0]] if len(whole) == 1 else []


def _stacked(column: "pd.Series[Any]", where: str) -> NDArray[Any]:
    try:
        return np.stack([np.asarray(value, dtype=np.float64) for value in column])
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{where}: the lists of the column {column.name} are not all of one length."
        ) from error


def source_of_rows(
    features: NDArray[Any], values: pd.DataFrame, names: ColumnNames, where: str, note: str = ""
) -> Source:
    """The slides and patients of rows of features.

    Args:
        features: (n, D).
        values: (n,) rows with a column of patients or of slides, and perhaps values of the patients.
        names: of the columns.
        where: the file, for messages.
        note: what was taken for the features.

    Raises:
        InputError: neither a column of patients nor one of slides.
    """
    values = values.rename(columns=str)
    patient, slide = names.find(PATIENT, values.columns), names.find(SLIDE, values.columns)
    if not patient and not slide:
        raise InputError(
            f"{where}: no column says whose the rows are (there are {listing(list(values.columns), 8) or 'none'}); "
            "name it by --patient-column."
        )
    whose = [cell_text(v) for v in values[patient]] if patient else [""] * len(values)
    of_slide = [slide_name(cell_text(v)) for v in values[slide]] if slide else whose
    rows: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(whose, of_slide, strict=True)):
        rows.setdefault(key, []).append(row)
    unit = "patient" if patient and len(set(whose)) == len(whose) else ""
    parts = tuple(
        Part(
            name or person,
            f"{where}, {name or person or 'rows without a patient'}",
            partial(_load, features, np.array(index), unit),
            person,
        )
        for (person, name), index in rows.items()
    )
    table = as_table(_of_patients(values, names), Path(where)) if patient else None
    return Source(parts, slides=bool(slide), table=table, notes=(note,) if note else ())


def _of_patients(values: pd.DataFrame, names: ColumnNames) -> pd.DataFrame:
    """The columns that may be values of the patients; each combination once."""
    return values[[c for c in values if names.is_known(str(c))]].drop_duplicates()


def _load(features: NDArray[Any], rows: NDArray[np.int64], unit: str) -> Loaded:
    return Loaded(features[rows], unit=unit)


def cell_text(value: Any) -> str:
    """A value as a table of text has it; "" where it is missing."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value).strip()


def as_table(frame: pd.DataFrame, path: Path) -> Table:
    """A table in memory as one that was read from a file; its rows are numbered as there (header = 1)."""
    columns = tuple(str(c) for c in frame)
    lower = [c.lower() for c in columns]
    numbers = frame.index if frame.index.dtype.kind == "i" else range(len(frame))
    rows = tuple(
        Row(int(number) + 2, dict(zip(lower, map(cell_text, cells), strict=True)))
        for number, cells in zip(numbers, frame.itertuples(index=False), strict=True)
    )
    repeated = frozenset(name for name in lower if lower.count(name) > 1)
    return Table(path, columns, rows, decimal_comma=False, repeated=repeated)
