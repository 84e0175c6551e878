"""A source of features and its tables, read and checked as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from ..cohort.pixel_size import common_pixel_size
from ..cohort.problems import Problems, listing, raise_errors
from ..cohort.tables import Table, read_table
from ..errors import InputError
from ..progress import Progress
from ..storage.paths import AnyPath
from .causes import Causes
from .columns import ColumnNames
from .inspection import SEVERAL_ENCODERS, Facts, inspect_parts, one_unit
from .matching import by_patient
from .parts import Part, Source
from .patients import Labels, PatientTable, patients_of, slides_of
from .sources import open_source
from .tables import as_table

__all__ = ["FeatureSource", "Features", "TableLike", "read_features"]

FeatureSource = AnyPath | Mapping[Any, Any] | pd.DataFrame
TableLike = AnyPath | pd.DataFrame | Mapping[str, Any]


@dataclass(frozen=True)
class Features:
    """Features of patients, checked.

    Attributes:
        patients: the patients that have features, as of `PatientTable.table`.
        facts: by patient, what its parts hold; `part.load` reads them.
        unit: what a row is, a key of `NOUNS`.
        slides: whether the parts are slides by the word of a table.
        left_out: files and patients that were left out, in sentences.
        notes: what was passed over and what was taken for what, in sentences.
    """

    patients: pd.DataFrame
    facts: dict[str, list[Facts]]
    unit: str
    slides: bool
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def first(self) -> Facts:
        """Of the first part; encoder and width are those of all."""
        return next(iter(self.facts.values()))[0]

    @property
    def microns_per_pixel(self) -> float | None:
        """Of the patches, where every file says it and all agree."""
        return common_pixel_size(one.microns_per_pixel for own in self.facts.values() for one in own)


def read_features(
    source: FeatureSource,
    patients: TableLike | None,
    slides: TableLike | None,
    names: ColumnNames,
    labels: Labels | None,
    *,
    matrix: str = "X",
    unit: str | None = None,
    leave_out: bool = False,
    progress: Progress,
) -> Features:
    """Read and check everything that `import_features` takes.

    Args:
        source, patients, slides, matrix, unit, leave_out, progress: as of `import_features`.
        names: of columns.
        labels: the words for labels; None: new patients, whose labels are not known. They need no table.

    Raises:
        InputError: a line for every cause.
    """
    found = open_source(source, names, matrix)
    where = str(source) if isinstance(source, str | PathLike) else "the features"
    causes = Causes(where)
    people = _people(where, found, patients, slides, names, labels, causes)
    left_out: list[str] = []
    matched = by_patient(found.parts, people.ids, people.slides, causes, left_out if leave_out else None)
    of_files = Causes(where)
    facts = inspect_parts(matched, of_files, progress)
    if not of_files.has(SEVERAL_ENCODERS):  # whose files each slide has twice, and all that follows from it
        of_files.found.update(causes.found)
    has_slides = found.slides or bool(people.slides) or any(len(parts) > 1 for parts in matched.values())
    unit = one_unit(facts, unit, slides=has_slides, causes=of_files)
    of_files.raise_any()
    if not facts:
        raise InputError(
            f"{where}: there are no features of any patient of the table; check the IDs of both."
        )
    table = people.table[people.table["id"].isin(facts)].reset_index(drop=True)
    return Features(table, facts, unit, has_slides, tuple(left_out), found.notes)


def _by_name(parts: tuple[Part, ...]) -> PatientTable:
    """New patients without a table: those that the source names, else one per file."""
    ids = dict.fromkeys(part.patient or PurePosixPath(part.name).name for part in parts)
    return PatientTable(pd.DataFrame({"id": list(ids)}, dtype=object), {})


def _people(
    where: str,
    found: Source,
    patients: TableLike | None,
    slides: TableLike | None,
    names: ColumnNames,
    labels: Labels | None,
    causes: Causes,
) -> PatientTable:
    """The patients by the tables that are given, else by the table of the features.

    Raises:
        InputError: there is no table of patients, or what it holds cannot be used.
    """
    main = found.table if patients is None else _table(patients, "the table of patients")
    if main is None and labels is None:
        return _by_name(found.parts)
    if main is None:
        raise InputError(
            f"{where}: whose the features are and what their labels are is not known; give the table of patients by "
            "--patients."
        )
    of_slides = None if slides is None else _table(slides, "the table of slides")
    there = [one.columns for one in (main, of_slides, found.table) if one is not None]
    names.check_found(there, where)
    people = patients_of(main, names, labels, causes)
    if of_slides is not None and people is not None:
        if not (known := slides_of(of_slides, names, causes)):
            causes.add(
                "no slides",
                f"{of_slides.path.name} has {listing(list(of_slides.columns), 8)}",
                "give a column of patients and one of slides, by --patient-column and --slide-column",
            )
        people = replace(people, slides={**people.slides, **known})
    causes.raise_any()
    assert people is not None, "a table that cannot be read has a cause"
    return people


def _table(given: TableLike, what: str) -> Table:
    if isinstance(given, str | PathLike):
        problems = Problems()
        table = read_table(Path(given), problems)
        raise_errors(problems.found)
        assert table is not None, "a table that cannot be read has a problem"
        return table
    try:
        frame = given if isinstance(given, pd.DataFrame) else pd.DataFrame(dict(given))
        return as_table(frame.reset_index(drop=True), Path(what))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{what} is none ({error}); give a file, a DataFrame, or a dict of columns."
        ) from error
