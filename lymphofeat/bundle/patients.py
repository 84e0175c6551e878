"""New patients: folders of images, or a cohort, and a table of clinical values."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import pandas as pd

from ..cohort.ages import AgeRule, with_ages
from ..cohort.alike import apart, look_alike
from ..cohort.date_orders import with_date_orders
from ..cohort.dates import DATE_ORDERS, REFERENCE_DATE
from ..cohort.declared import declared_columns
from ..cohort.declared_values import report_missing_declared, with_declared_values
from ..cohort.exclude_table import ExcludeTable
from ..cohort.exclusions import Exclusion, exclusions_summary
from ..cohort.folders import Images
from ..cohort.ids import report_ids
from ..cohort.image_files import list_patients
from ..cohort.images import inspect
from ..cohort.layout import (
    LAYOUT_FILE,
    Ages,
    Layout,
    layout_from_text,
    layout_of,
    with_date_format,
    without_labels,
)
from ..cohort.model import Patient
from ..cohort.problems import Problems, Where, counted, listing, raise_errors
from ..cohort.read import scan_cohort
from ..cohort.records import Record, patient_table, table_records
from ..cohort.scan import patient_of
from ..cohort.tables import table_file
from ..cohort.values import Declared, value_columns
from ..errors import InputError, printable
from .pixel_size import other_pixel_size

__all__ = ["NewPatients", "Reading", "check_images", "read_patients", "reading_of"]


@dataclass(frozen=True)
class Reading:
    """How the tables of new patients are read.

    Attributes:
        reference: the day that the model's training ages were counted to; None: each age was that at the examination.
        layout: names and words of the training cohort's tables. A `lymphofeat.toml` beside new patients goes first.
    """

    reference: date | None = REFERENCE_DATE
    layout: Layout = field(default_factory=Layout)


def reading_of(reference: date | None, layout: str, columns: Collection[str] = ()) -> Reading:
    """The reading of a model, from what it keeps.

    Args:
        reference: as of `Reading`.
        layout: the text of `cohort.layout.layout_text`.
        columns: the declared clinical columns that the model looks at.

    Models of earlier versions keep none; their dates with slashes were read month first. The training cohort's own day
    of examination is not that of new patients, and is forgotten.
    """
    if not layout:
        return Reading(reference, with_date_format(Layout(), DATE_ORDERS))
    found = layout_from_text(layout)
    declared = {name: column for name, column in found.clinical.items() if name in columns}
    return Reading(reference, found.model_copy(update={"ages": Ages(), "clinical": declared}))


@dataclass(frozen=True)
class NewPatients:
    """Whom to predict.

    Attributes:
        patients: in the order of a cohort's tables, or of the folders' names.
        notes: what was passed over, in sentences.
        declared: clinical columns beside age, sex and count.
    """

    patients: tuple[Patient, ...]
    notes: tuple[str, ...]
    declared: Declared = field(default_factory=dict)

    @property
    def table(self) -> pd.DataFrame:
        """(n,) rows: id, n_images, sex, age, lymphocyte_count, declared columns."""
        rows = [(p.id, len(p.images), p.sex, p.age, p.count) for p in self.patients]
        table = pd.DataFrame(rows, columns=["id", "n_images", "sex", "age", "lymphocyte_count"])
        return table.assign(**value_columns(self.declared, [p.values for p in self.patients]))


def read_patients(folder: Path, clinical: Path | None, reading: Reading, *, images: bool) -> NewPatients:
    """List the patients of `folder` and read their values.

    A folder with the parts and tables of a cohort (docs/cohort.md) is read as one. Any other holds the images in
    one of a cohort's layouts (a folder per patient, named by the ID; names by a pattern; a table of files), and the
    values come from `clinical`. Names, words and ages are those of the training cohort (`cohort.ages`); a
    `lymphofeat.toml` in the folder goes first, and may set another reference date. Patients and images that the
    folder's `exclude.csv` names are left out. Labels are not looked at.

    Args:
        folder: see above.
        clinical: a table with ID and any of GENDER, DOB, AGE, LYMPH_COUNT; not with a cohort. By default the table
            that the folder's own `lymphofeat.toml` names as `clinical`, if it is there.
        reading: of the model.
        images: whether the model looks at images; without, patients of the table need no folder.

    Raises:
        InputError: a line for every error.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; name the folder that holds one folder of images per patient."
        )
    size_notes = _pixel_size_notes(folder, reading) if images else ()
    root, layout = folder, _with_exclusions_of(folder, layout_of(folder, reading.layout))
    _check_kinds(folder, layout, reading.layout)
    # A diagnosis that is pending, or in words of its own, is no reason to stop.
    layout = without_labels(layout)
    ages = _rule(layout, reading)
    parts = [folder / name for name in (layout.folders.train, layout.folders.test) if name]
    inside = [part for part in parts if part != folder and part.is_dir()]
    tables = (layout.tables.clinical, layout.tables.train, layout.tables.test)
    has_tables = any(table_file(folder / name)[0].is_file() for name in tables if name)
    by_table = clinical is not None or inside == [folder / layout.folders.train]
    if len(inside) == 1 and by_table and not has_tables:
        folder = inside[0]  # images arranged as in training; their values are in `clinical`
    elif inside:
        new = _of_cohort(folder, clinical, layout, ages)
        return replace(new, notes=(*new.notes, *size_notes))
    own_table = layout.tables.clinical if (folder / LAYOUT_FILE).is_file() else ""
    if clinical is None and own_table and (folder / own_table).is_file():
        clinical = folder / own_table
    problems = Problems()
    excluded = ExcludeTable(root, layout, problems)
    records, ids = _records(clinical, layout, ages, problems, excluded)
    layout = _with_images_of(folder, layout, ids)
    listed = list_patients(folder, layout, ids, problems, excluded=excluded) or {}
    own_folders = not (layout.images.pattern or layout.images.table)
    folders = excluded.without_images(
        listed, "test", lambda name: folder / name if own_folders and listed[name] else None
    )
    excluded.report_unknown(ids | set(listed))
    names = [*folders, *(name for name in records if name not in folders and not images)]
    for name in folders if own_folders else ():
        if images and not folders[name]:
            problems.error(
                "no-images", folder / name, None, "holds no image", "add the images or remove the folder"
            )
    report_ids({name: records[name].where if name in records else Where(folder) for name in names}, problems)
    raise_errors(problems.found)
    if not names:
        raise InputError(
            f"{folder} holds no patient: no folder of images in it; give the folder that holds one folder of images "
            f"per patient, or name another layout of images in a {LAYOUT_FILE} there (docs/cohort.md)."
        )
    notes = [problem.sentence() for problem in problems.found]
    if clinical is not None and folders:
        notes += _compare_ids(folders, records, folder, clinical, images=images)
    notes += [*_excluded(excluded.exclusions({}), excluded.path), *size_notes]
    patients = [
        _patient(name, folders, records, folder / name if own_folders else excluded.folders.get(name))
        for name in names
    ]
    return NewPatients(tuple(patients), tuple(notes), layout.clinical)


def _excluded(exclusions: Sequence[Exclusion], table: Path) -> list[str]:
    """A note on who is left out, where somebody is."""
    return [printable(f"Excluded by {table}: {exclusions_summary(exclusions)}.")] if exclusions else []


def _pixel_size_notes(folder: Path, reading: Reading) -> tuple[str, ...]:
    """A note where the folder declares another size of a pixel than the training cohort did."""
    own = layout_of(folder).images.microns_per_pixel
    return other_pixel_size(folder / LAYOUT_FILE, own, reading.layout.images.microns_per_pixel)


def _with_exclusions_of(folder: Path, layout: Layout) -> Layout:
    """`layout`; without a table of exclusions where only the training cohort's layout names one that is not there."""
    name = layout.tables.exclude
    if table_file(folder / name)[0].is_file() or "exclude" in layout_of(folder).tables.model_fields_set:
        return layout
    return layout.model_copy(update={"tables": layout.tables.model_copy(update={"exclude": ""})})


def _with_images_of(folder: Path, layout: Layout, ids: Collection[str]) -> Layout:
    """`layout` with the images as `folder` has them: as its own file says, else as in training, else in folders."""
    own, images = layout_of(folder).images, layout.images
    if own.pattern or own.table:
        place = {"pattern": own.pattern, "table": own.table}
    elif images.table:
        place = {"pattern": "", "table": images.table if (folder / images.table).is_file() else ""}
    else:
        fits = bool(images.pattern and list_patients(folder, layout, ids, Problems()))
        place = {"pattern": images.pattern if fits else "", "table": ""}
    return layout.model_copy(update={"images": images.model_copy(update=place)})


def _rule(layout: Layout, reading: Reading) -> AgeRule:
    """How ages are counted: as in training; a day that the layout names takes the place of the training's."""
    if reading.reference is not None and "reference" in layout.ages.model_fields_set:
        return AgeRule(layout.ages.reference)
    return AgeRule(reading.reference)


def _check_kinds(folder: Path, layout: Layout, of_model: Layout) -> None:
    """Refuse a `lymphofeat.toml` that declares a column of the model as one of another kind.

    Raises:
        InputError: it does.
    """
    for name, column in of_model.clinical.items():
        if layout.clinical[name].kind != column.kind:
            raise InputError(
                f"{folder / LAYOUT_FILE}: [clinical.{name}] has the kind {layout.clinical[name].kind!r}, and the model "
                f"was trained on {column.kind!r}; give the kind of the training cohort."
            )


def _compare_ids(
    folders: Mapping[str, Images],
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


def _of_cohort(folder: Path, clinical: Path | None, layout: Layout, ages: AgeRule) -> NewPatients:
    if clinical is not None:
        raise InputError(
            f"{folder} is a cohort with tables of its own, so --clinical {clinical} has no place; leave it out, or "
            "name one part of the cohort as the folder."
        )
    cohort, problems = scan_cohort(folder, layout, ages=ages, labelled=False)
    raise_errors(problems)
    notes = [problem.sentence(folder) for problem in problems]
    if cohort is None:
        return NewPatients((), tuple(notes), layout.clinical)
    notes += _excluded(cohort.exclusions, folder / layout.tables.exclude)
    return NewPatients(cohort.patients, tuple(notes), layout.clinical)


def _records(
    clinical: Path | None, layout: Layout, ages: AgeRule, problems: Problems, excluded: ExcludeTable
) -> tuple[dict[str, Record], set[str]]:
    """ID → record, without excluded patients; and the IDs of all."""
    if clinical is None:
        return {}, set(excluded.ids)
    names = layout.columns
    columns = [name for name in (names.sex, names.birth, names.age, names.count) if name]
    if not table_file(clinical)[0].is_file():
        raise InputError(
            f"{clinical}: no such table; give one with {names.id} and any of {', '.join(columns)}."
        )
    table = patient_table(clinical, layout, problems)
    if table is None:
        return {}, set(excluded.ids)
    ids = {row.cells.get(names.id.lower(), "") for row in table.rows}
    table = excluded.without_rows(table, names.id)
    layout = with_date_orders(layout, [table], problems)
    records = with_declared_values(table_records(table, layout, problems), table, layout, problems)
    found = {record.id: record for record in records}
    if any(table.has(name) for name in (*columns, *declared_columns(layout.clinical).values())):
        report_missing_declared([table], layout.clinical, problems)
    else:
        remedy = f"rename the columns, or name them in {LAYOUT_FILE} beside the patients' folders"
        problems.error("missing-column", clinical, 1, f"has none of the columns {', '.join(columns)}", remedy)
    return with_ages(found, ages.reference, layout, problems), ids | excluded.ids


def _patient(
    name: str, folders: Mapping[str, Images], records: Mapping[str, Record], folder: Path | None
) -> Patient:
    record, images = records.get(name), folders.get(name, ())
    found = Patient(name, "test", -1, images, folder=folder if images else None)
    return found if record is None else patient_of(record, found)
