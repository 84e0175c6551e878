"""The table of patients: who they are, their labels and clinical values, and which slides are theirs."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from ..cohort.ids import has_control_characters
from ..cohort.layout import Values
from ..cohort.problems import listing
from ..cohort.records import OLDEST, as_number, is_word
from ..cohort.tables import Row, Table
from .causes import Causes
from .columns import LABEL, PATIENT, SLIDE, VALUES, ColumnNames
from .parts import slide_name

__all__ = ["Labels", "PatientTable", "patients_of", "slides_of"]


@dataclass(frozen=True)
class Labels:
    """The words for the labels, in any case; empty: 0 and 1."""

    reactive: tuple[str, ...] = ()
    malignant: tuple[str, ...] = ()

    def words(self) -> Values:
        """With the words of every cohort for sex, for labels that are not known and for missing values."""
        usual = Values()
        return Values(reactive=self.reactive or usual.reactive, malignant=self.malignant or usual.malignant)


@dataclass(frozen=True)
class PatientTable:
    """Patients in the order of their first rows.

    Attributes:
        table: the columns id, label, sex, age, lymphocyte_count, birth and person, as `save_cache` takes them.
        slides: by the name of a slide, whose it is.
    """

    table: pd.DataFrame
    slides: dict[str, str]

    @property
    def ids(self) -> list[str]:
        """The patients' IDs."""
        return list(self.table["id"])


def patients_of(
    table: Table, names: ColumnNames, labels: Labels | None, causes: Causes
) -> PatientTable | None:
    """The patients of a table with a row per patient, or a row per slide as CLAM has it.

    Args:
        table: its rows.
        names: of its columns.
        labels: the words for labels; None: there are none, all patients are new.
        causes: told of what cannot be used; several rows of a patient must agree.

    Returns:
        The patients, None if the table cannot be read at all.
    """
    where = table.path.name
    patient, label = names.find(PATIENT, table.columns), names.find(LABEL, table.columns)
    needed = {"patients": patient} | ({} if labels is None else {"labels": label})
    for role, column in needed.items():
        if not column:
            causes.add(
                f"no column of {role}",
                f"{where} has {listing(list(table.columns), 8)}",
                f"name it by --{role[:-1]}-column",
            )
    twice = sorted({column.lower() for column in table.columns if names.is_known(column)} & table.repeated)
    for column in twice:
        causes.add("columns that are there twice", f"{column} ({where})", "remove or rename one of them")
    if twice or not all(needed.values()):
        return None
    found: dict[str, dict[str, Any]] = {}
    reader = _Reader(table, labels, causes)
    for row in table.rows:
        name = row.cells.get(patient.lower(), "")
        if not name:
            causes.add("rows without a patient", f"{where}, row {row.number}", "complete or remove them")
            continue
        if has_control_characters(name):
            what = f"{name!a} ({where}, row {row.number})"
            causes.add("IDs with a line break or another control character", what, "correct them")
            continue
        known = found.setdefault(name, {})
        for key, value in reader.values(row, "" if labels is None else label):
            if value is not None and known.setdefault(key, value) != value:
                causes.add(
                    f"several rows of a patient that disagree in {key}",
                    f"{name} ({where}, row {row.number})",
                    "correct them",
                )
    if not found:
        causes.add("no patient", where, "give a table with a row per patient")
        return None
    frame = pd.DataFrame(
        [
            {"id": name, "label": known.get("label", -1), **{k: known.get(k) for k in _COLUMNS}}
            for name, known in found.items()
        ],
        columns=["id", "label", *_COLUMNS],
    ).astype(dict.fromkeys(_COLUMNS, object))
    return PatientTable(frame, slides_of(table, names, causes))


def slides_of(table: Table, names: ColumnNames, causes: Causes) -> dict[str, str]:
    """By slide, its patient; empty for a table without a column of slides.

    A slide is known by its path in the table and by its name alone, both without the endings of files.
    """
    patient, slide = names.find(PATIENT, table.columns), names.find(SLIDE, table.columns)
    found: dict[str, str] = {}
    if not patient or not slide:
        return found
    for row in table.rows:
        whose, written = row.cells.get(patient.lower(), ""), row.cells.get(slide.lower(), "")
        name = slide_name(written) if written else ""
        if not whose or not name:
            continue
        if found.setdefault(name, whose) != whose:
            causes.add(
                "slides of two patients", f"{name} ({found[name]} and {whose})", "correct the table of slides"
            )
    plain: dict[str, set[str]] = {}
    for name, whose in found.items():
        plain.setdefault(PurePosixPath(name).name, set()).add(whose)
    return {**{name: min(whose) for name, whose in plain.items() if len(whose) == 1}, **found}


class _Reader:
    """Cells of one table as values; what cannot be read is told to the causes."""

    def __init__(self, table: Table, labels: Labels | None, causes: Causes) -> None:
        self.table, self.words, self.causes = table, (labels or Labels()).words(), causes
        self.columns = {
            column.lower(): VALUES[column.lower()] for column in table.columns if column.lower() in VALUES
        }

    def values(self, row: Row, label: str) -> Iterator[tuple[str, Any]]:
        """The values of a row by name; None where they are missing. `label`: the column, "" without labels."""
        if label:
            yield "label", self._label(row, label)
        for column, key in self.columns.items():
            text = row.cells.get(column, "")
            yield key, None if self._is(text, self.words.missing) else self._value(key, text, row)

    def _is(self, text: str, words: Sequence[str]) -> bool:
        return is_word(text, words, self.table)

    def _label(self, row: Row, column: str) -> int | None:
        text = row.cells.get(column.lower(), "")
        if self._is(text, (*self.words.missing, *self.words.unknown)):
            return None
        for label, words in ((0, self.words.reactive), (1, self.words.malignant)):
            if self._is(text, words):
                return label
        self.causes.add(
            f"labels that are neither {' or '.join(self.words.reactive)} nor {' or '.join(self.words.malignant)}",
            f"{text!r}",
            "say what the words mean by --reactive WORD --malignant WORD",
        )
        return None

    def _value(self, key: str, text: str, row: Row) -> Any:
        readers: dict[str, Callable[[str], Any]] = {
            "sex": self._sex, "age": self._age, "lymphocyte_count": self._count, "birth": _birth, "person": str,
        }  # fmt: skip
        value = readers[key](text)
        if value is None:
            self.causes.add(
                f"{key} that cannot be read ({_WANTED[key]})",
                f"{text!r} ({self.table.path.name}, row {row.number})",
                "correct the table, or leave the cells empty",
            )
        return value

    def _sex(self, text: str) -> str | None:
        return "M" if self._is(text, self.words.male) else "F" if self._is(text, self.words.female) else None

    def _age(self, text: str) -> float | None:
        return self._number(text, OLDEST)

    def _count(self, text: str) -> float | None:
        return self._number(text, math.inf)

    def _number(self, text: str, most: float) -> float | None:
        value = as_number(text, self.table)
        return value if math.isfinite(value) and 0 <= value <= most else None


def _birth(text: str) -> str | None:
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return None


_COLUMNS = ("sex", "age", "lymphocyte_count", "birth", "person")
_WANTED = {
    "sex": "M or F",
    "age": f"years from 0 to {OLDEST:.0f}",
    "lymphocyte_count": "10⁹/l, at least 0",
    "birth": "year-month-day, such as 1950-02-11",
}
