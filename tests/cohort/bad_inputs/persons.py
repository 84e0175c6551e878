"""Records that may be one person, and IDs that look alike."""

from collections.abc import Callable
from pathlib import Path

from ...helpers.tiny import edit, edit_row
from .bad_input import CLINICAL_TABLE, TRAIN_TABLE, BadInput


def _person(a: str, b: str) -> Callable[[Path], None]:
    """Make two records one person: the same day, written in two ways."""

    def mutate(root: Path) -> None:
        edit_row(root, a, "DOB", "4/13/1941")
        edit_row(root, b, "DOB", "13-04-1941")
        edit_row(root, a, "GENDER", "f")
        edit_row(root, b, "GENDER", "F")

    return mutate


def _born(birth: str, *patients: str, sex: str | None = None) -> Callable[[Path], None]:
    def mutate(root: Path) -> None:
        for patient in patients:
            edit_row(root, patient, "DOB", birth)
            if sex is not None:
                edit_row(root, patient, "GENDER", sex)

    return mutate


def _renamed(old: str, new: str) -> Callable[[Path], object]:
    return lambda root: (root / "trainset" / old).rename(root / "trainset" / new)


PERSONS = [
    BadInput(
        "person in both parts",
        _person("P3", "P10"),
        "P3 and P10 may be one person (born 1941-04-13, sex F) and are in both parts",
        "check whether they are",
        "warning",
    ),
    BadInput(
        "person with both labels",
        _person("P3", "P4"),
        "P3 and P4 may be one person (born 1941-04-13, sex F) but have different labels",
        "check whether they are",
        "warning",
    ),
    BadInput(
        "no date of birth",
        _born("", *(f"P{i}" for i in range(12))),
        "none of the 12 patients has a date of birth",
        "make sure that each of these persons appears once",
        "warning",
    ),
    BadInput(
        "one date of birth missing",
        _born("", "P4"),
        "1 of 12 patients has no date of birth (P4)",
        "add the dates",
        "warning",
    ),
    BadInput(
        "placeholder date",
        _born("1/1/1900", "P2", "P3", "P5"),
        "3 records have the date of birth 1900-01-01, which looks like a placeholder",
        "leave unknown dates empty",
        "warning",
    ),
    BadInput(
        "person without sex",
        lambda root: (_born("5/16/1950", "P2", sex="F")(root), _born("16-05-1950", "P4", sex="")(root)),
        "P2 and P4 were born on 1950-05-16, and the sex of P4 is missing",
        "give the sex",
        "warning",
    ),
    BadInput(
        "person in both parts without sex",
        lambda root: (_born("5/16/1950", "P2", sex="F")(root), _born("16-05-1950", "P10", sex="")(root)),
        "P2 and P10 may be one person (born 1950-05-16, sex F or missing) and are in both parts",
        "check whether they are",
        "warning",
    ),
    BadInput(
        "person of many records",
        _born("5/16/1950", "P0", "P2", "P4", "P6", "P8", sex="F"),
        "5 records (P0, P2, P4, P6 and P8) count as one person (born 1950-05-16, sex F)",
        "leave the date empty",
        "warning",
    ),
    BadInput(
        "IDs that differ in zeros",
        _renamed("P3", "P03"),
        "row 5: P3 has no folder; 'P3' in this row, 'P03' in trainset: they differ in leading zeros",
        "give the patient one ID",
        "error",
    ),
    BadInput(
        "IDs that differ in case",
        _renamed("P3", "p3"),
        "row 5: P3 has no folder; 'P3' in this row, 'p3' in trainset: they differ in upper and lower case",
        "give the patient one ID",
        "error",
    ),
    BadInput(
        "IDs that differ between tables",
        lambda root: edit(root / CLINICAL_TABLE, ",P3,", ",P03,"),
        "row 5: P03 has no folder; 'P03' in this row, 'P3' in trainset/trainset_true.csv, row 5: they differ in",
        "give the patient one ID",
        "error",
    ),
    BadInput(
        "patients whose IDs look alike",
        lambda root: (
            _renamed("P3", "p1")(root),
            edit(root / TRAIN_TABLE, "P3,", "p1,"),
            edit(root / CLINICAL_TABLE, ",P3,", ",p1,"),
        ),
        "row 5: ID 'p1' looks like 'P1' of trainset/trainset_true.csv, row 3 (upper and lower case), and counts",
        "or two patients IDs that differ more",
        "warning",
    ),
]
