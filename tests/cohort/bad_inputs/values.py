"""Cells that say what cannot be, and labels that do not fit."""

from collections.abc import Callable
from pathlib import Path

from ...helpers.tiny import edit, edit_row
from .bad_input import TRAIN_TABLE, BadInput


def _value(patient: str, column: str, value: str) -> Callable[[Path], None]:
    return lambda root: edit_row(root, patient, column, value)


def _one_class(root: Path) -> None:
    for i in (2, 4, 6, 8):
        edit_row(root, f"P{i}", "LABEL", "1")


VALUES = [
    BadInput(
        "impossible date",
        _value("P3", "DOB", "2/30/1950"),
        "trainset/trainset_true.csv, row 5: date of birth: there is no day '2/30/1950' (read as m/d/y)",
        "correct it, or leave it empty",
        "error",
    ),
    BadInput(
        "date in an unknown form",
        _value("P3", "DOB", "3 May 1950"),
        "clinical_annotation.csv, row 5: date of birth: '3 May 1950' is not a date of a known form",
        "correct it, or leave it empty",
        "error",
    ),
    BadInput(
        "dates that can be read in two ways",
        lambda root: [edit_row(root, f"P{i}", "DOB", f"{1 + i % 3}/0{4 + i % 4}/1950") for i in range(12)],
        "can be read month first or day first, and so can every date with slashes",
        'set date_format = "m/d/yyyy" or "d/m/yyyy"',
        "error",
    ),
    BadInput(
        "year of birth only",
        _value("P3", "DOB", "1950"),
        "row 5: 1 patient (P3) has a year of birth only",
        "give full dates",
        "warning",
    ),
    BadInput(
        "count beyond the laboratory's range",
        _value("P3", "LYMPH_COUNT", "<0.5"),
        "row 5: lymphocyte count '<0.5' says only that the value lies beyond the laboratory's range",
        "below_limit",
        "error",
    ),
    BadInput(
        "age out of range",
        lambda root: (edit(root / TRAIN_TABLE, "LABEL", "AGE"), edit(root / TRAIN_TABLE, "P3,1", "P3,200")),
        "row 5: age '200' is not one in years",
        "correct it",
        "error",
    ),
    BadInput(
        "date after the reference",
        _value("P3", "DOB", "31-12-2021"),
        "row 5: the date of birth 2021-12-31 is after the reference date 2020-01-01",
        "set a later `reference`",
        "error",
    ),
    BadInput(
        "implausible age",
        _value("P3", "DOB", "1/1/1850"),
        "row 5: born 1850-01-01",
        "check the year",
        "warning",
    ),
    BadInput(
        "negative count",
        _value("P3", "LYMPH_COUNT", "-4.2"),
        "trainset/trainset_true.csv, row 5: lymphocyte count -4.2 is negative",
        "correct it",
        "error",
    ),
    BadInput(
        "count that is no number",
        _value("P3", "LYMPH_COUNT", "high"),
        "row 5: lymphocyte count 'high' is not a number",
        "correct it or leave it empty",
        "error",
    ),
    BadInput(
        "infinite count",
        _value("P3", "LYMPH_COUNT", "inf"),
        "row 5: lymphocyte count 'inf' is not a number",
        "correct it or leave it empty",
        "error",
    ),
    BadInput(
        "implausible count",
        _value("P3", "LYMPH_COUNT", "11200"),
        "row 5: lymphocyte count 11200 is implausible",
        "check the value and its unit",
        "warning",
    ),
    BadInput(
        "zero count",
        _value("P3", "LYMPH_COUNT", "0"),
        "row 5: lymphocyte count 0 is",
        "check the value",
        "warning",
    ),
    BadInput(
        "unknown sex",
        _value("P3", "GENDER", "Q"),
        "row 5: sex 'Q' is not known",
        "put each word under",
        "error",
    ),
    BadInput(
        "label outside the vocabulary",
        _value("P3", "LABEL", "2"),
        "trainset/trainset_true.csv, row 5: label '2' is not known",
        "write 0 (reactive), 1 (malignant) or -1 (not known)",
        "error",
    ),
    BadInput(
        "training patient without label",
        _value("P3", "LABEL", "-1"),
        "trainset/trainset_true.csv, row 5: training patient P3 has no label",
        "write 0 (reactive) or 1 (malignant), move the patient",
        "error",
    ),
    BadInput(
        "test patient with a label",
        _value("P9", "LABEL", "1"),
        "testset/testset_data.csv, row 2: test patient P9 has the label 1 (malignant), which is not used",
        "write -1 (not known)",
        "warning",
    ),
    BadInput(
        "tables that contradict one another",
        lambda root: edit(root / TRAIN_TABLE, "P3,1", "P3,0"),
        "clinical_annotation.csv, row 5: label of P3 is malignant, but trainset/trainset_true.csv, row 5 says "
        "reactive",
        "make the tables agree",
        "error",
    ),
    BadInput(
        "too few patients of a class",
        _one_class,
        "has 1 reactive person, too few",
        "add patients of that class",
        "warning",
    ),
]
