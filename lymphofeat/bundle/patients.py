"""New patients: folders of images, or a cohort, and a table of clinical values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pandas as pd

from ..cohort.alike import apart, look_alike
from ..cohort.dates import REFERENCE_DATE
from ..cohort.folders import list_part
from ..cohort.images import inspect
from ..cohort.layout import LAYOUT_FILE, Ages, Layout, layout_of
from ..cohort.model import Patient
from ..cohort.problems import Problems, counted, listing, raise_errors
from ..cohort.read import scan_cohort
from ..cohort.records import Record, as_number, is_word, patient_table, table_records
from ..cohort.tables import Table
from ..errors import InputError

__all__ = ["AGE", "NewPatients", "check_images", "read_patients"]

AGE = "AGE"  # the column of an age in years, for tables without dates of birth
_OLDEST = 130.0


@dataclass(frozen=True)
class NewPatients:
    """Whom to predict.

    Attributes:
        patients: in the order of a cohort's tables, or of the folders' names.
        notes: what was passed over, in sentences.
    """

    patients: tuple[Patient, ...]
    notes: tuple[str, ...]

    @property
    def table(self) -> pd.DataFrame:
        """(n,) rows: id, n_images, sex, age, count."""
        rows = [(p.id, len(p.images), p.sex, p.age, p.count) for p in self.patients]
        return pd.DataFrame(rows, columns=["id", "n_images", "sex", "age", "lymphocyte_count"])


def read_patients(folder: Path, clinical: Path | None, reference: date, *, images: bool) -> NewPatients:
    """List the patients of `folder` and read their values.

    A folder with the parts of a cohort (docs/cohort.md) is read as one, tables and all; any other holds one folder of
    images per patient, named by the ID, and the values come from `clinical`. A date of birth goes before an age;
    without one, the column `AGE` is read. A `lymphofeat.toml` in the folder maps names and words, and may set another
    reference date.

    Args:
        folder: see above.
        clinical: a table with ID and any of GENDER, DOB, AGE, LYMPH_COUNT; not with a cohort.
        reference: the day on which the model's training ages were counted.
        images: whether the model looks at images; without, patients of the table need no folder.

    Raises:
        InputError: a line for every error.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; name the folder that holds one folder of images per patient."
        )
    layout = layout_of(folder)
    if layout.ages.reference == REFERENCE_DATE:
        layout = layout.model_copy(update={"ages": Ages(reference=reference)})
    if any(name and (folder / name).is_dir() for name in (layout.folders.train, layout.folders.test)):
        return _of_cohort(folder, clinical, layout)
    problems = Problems()
    folders = list_part(folder, layout, problems)
    records = _records(clinical, layout, problems)
    names = [*folders, *(name for name in records if name not in folders and not images)]
    for name in folders:
        if images and not folders[name]:
            problems.error(
                "no-images", folder / name, None, "holds no image", "add the images or remove the folder"
            )
    raise_errors(problems.found)
    if not names:
        raise InputError(
            f"{folder} holds no patient: no folder of images in it; give the folder that holds one folder of images "
            "per patient."
        )
    notes = [problem.sentence() for problem in problems.found]
    if clinical is not None and folders:
        notes += _compare_ids(folders, records, folder, clinical, images=images)
    return NewPatients(tuple(_patient(name, folders, records) for name in names), tuple(notes))


def _compare_ids(
    folders: Mapping[str, tuple[Path, ...]],
    records: Mapping[str, Record],
    folder: Path,
    clinical: Path,
    *,
    images: bool,
) -> list[str]:
    """Notes on folders without a row and, where images are needed, on rows without a folder.

    Raises:
        InputError: a row that looks like a folder's, or a table of which no row is a folder's: values that the user
            gave would be passed over.
    """
    without_row = [name for name in folders if name not in records]
    without_folder = {look_alike(name): name for name in records if name not in folders}
    lines = [
        f"{records[other].where.text()}: {apart(other, clinical.name, name, str(folder))}; give the patient one ID."
        for name in without_row
        if (other := without_folder.get(look_alike(name))) is not None
    ]
    if not lines and len(without_row) == len(folders):
        rows = f"it has {listing([repr(name) for name in records], 3)}" if records else "it has no rows"
        there = listing([repr(name) for name in folders], 3)
        lines = [
            f"{clinical}: no row is of a patient in {folder} ({rows}, the folder {there}); make the IDs equal, or "
            "leave --clinical out."
        ]
    if lines:
        raise InputError("\n".join(lines))
    notes = []
    if images and without_folder:
        n = len(records) - sum(name in folders for name in records)
        notes.append(
            f"{clinical} has {counted(n, 'row')} of patients without a folder in {folder}; left out."
        )
    if without_row:
        notes.append(f"{clinical} has no row of {listing(without_row)}, whose clinical values are missing.")
    return notes


def check_images(patients: Sequence[Patient], crop: int) -> None:
    """Look into every image.

    Raises:
        InputError: a line for each that cannot be decoded or is smaller than the crop.
    """
    problems = Problems()
    for path in (image for patient in patients for image in patient.images):
        facts = inspect(path)
        if facts.failure:
            problems.error("image", path, None, facts.failure, "replace or remove it")
        elif min(facts.width, facts.height) < crop:
            message = f"is {facts.width} × {facts.height} pixels, and the model looks at {crop} × {crop}"
            problems.error("image", path, None, message, "give images of the training's scale, or remove it")
        elif facts.mode in ("I", "F"):
            message = "holds 32-bit values of unknown range"
            problems.error("image", path, None, message, "save it with 8 bits per channel")
    raise_errors(problems.found)


def _of_cohort(folder: Path, clinical: Path | None, layout: Layout) -> NewPatients:
    if clinical is not None:
        raise InputError(
            f"{folder} is a cohort with tables of its own, so --clinical {clinical} has no place; leave it out, or "
            "name one part of the cohort as the folder."
        )
    cohort, problems = scan_cohort(folder, layout)
    raise_errors(problems)
    patients = () if cohort is None else cohort.patients
    return NewPatients(patients, tuple(problem.sentence(folder) for problem in problems))


def _records(clinical: Path | None, layout: Layout, problems: Problems) -> dict[str, Record]:
    if clinical is None:
        return {}
    if not clinical.is_file():
        raise InputError(f"{clinical}: no such table; give a CSV with ID, GENDER, DOB or {AGE}, LYMPH_COUNT.")
    table = patient_table(clinical, layout, problems, AGE)
    if table is None:
        return {}
    found = {record.id: record for record in table_records(table, layout, problems)}
    columns = (layout.columns.sex, layout.columns.birth, AGE, layout.columns.count)
    if not any(table.has(name) for name in columns):
        remedy = f"rename the columns, or name them in {LAYOUT_FILE} beside the patients' folders"
        problems.error("missing-column", clinical, 1, f"has none of the columns {', '.join(columns)}", remedy)
    return _with_ages(found, table, layout, problems)


def _with_ages(
    records: dict[str, Record], table: Table, layout: Layout, problems: Problems
) -> dict[str, Record]:
    """Ages from their own column where there is no date of birth."""
    if not table.has(AGE):
        return records
    for row in table.rows:
        record = records.get(row.cells.get(layout.columns.id.lower(), ""))
        text = row.cells.get(AGE.lower(), "")
        if record is None or record.birth is not None or is_word(text, layout.values.missing, table):
            continue
        age = as_number(text, table)
        if not (math.isfinite(age) and 0 <= age <= _OLDEST):
            problems.error(
                "bad-age",
                table.path,
                row.number,
                f"age {text!r} is not one in years",
                "correct it or leave it empty",
            )
            continue
        records[record.id] = replace(record, age=age)
    return records


def _patient(name: str, folders: Mapping[str, tuple[Path, ...]], records: Mapping[str, Record]) -> Patient:
    record, images = records.get(name), folders.get(name, ())
    if record is None:
        return Patient(name, "test", -1, images)
    return Patient(
        name, "test", -1, images, record.birth, record.date_order, record.sex, record.age, record.count
    )
