"""One reading of a cohort's folder: its folders and tables first, then its patients; all problems on the way."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path

from .ages import AgeRule, age_reference, with_ages
from .alike import apart, look_alike
from .date_orders import with_date_orders
from .declared_values import report_missing_declared, with_declared_values
from .exclude_table import ExcludeTable
from .exclusions import Exclusion
from .folders import Images
from .ids import report_ids
from .image_files import EITHER, ImageFiles
from .layout import LAYOUT_FILE, Layout
from .model import Patient
from .parts import parts_of
from .problems import Problems, Where, counted, listing
from .records import (
    Record,
    merge_records,
    patient_table,
    report_alike,
    report_missing_columns,
    table_records,
)
from .tables import Table, table_file

__all__ = ["Scan", "patient_of"]


@dataclass
class Scan:
    """One reading of a cohort folder: tables and folders first, then patients."""

    root: Path
    layout: Layout
    problems: Problems
    ages: AgeRule | None
    labelled: bool = True  # whether a column of labels is asked for
    reference: date | None = field(init=False, default=None)  # the day that ages are counted to
    left_out: dict[str, list[str]] = field(
        init=False, default_factory=dict
    )  # why → IDs, where the layout says so
    files: ImageFiles = field(init=False)  # where the images are
    excluded: ExcludeTable = field(init=False)
    folders: dict[str, dict[str, Images]] = field(init=False)  # part → ID → images that remain
    tables: dict[str, Table] = field(init=False)  # "train", "test", "clinical" → table, where there is one

    def __post_init__(self) -> None:
        self.excluded = ExcludeTable(self.root, self.layout, self.problems)
        names = {
            "train": self.layout.tables.train,
            "test": self.layout.tables.test,
            "clinical": self.layout.tables.clinical,
        }
        parsed = {
            which: patient_table(self.root / name, self.layout, self.problems)
            for which, name in names.items()
            if name and table_file(self.root / name)[0].exists()
        }
        self.unread = [which for which, table in parsed.items() if table is None]
        self._whole = {which: table for which, table in parsed.items() if table is not None}
        column = self.layout.columns.id
        self.tables = {
            which: self.excluded.without_rows(table, column) for which, table in self._whole.items()
        }
        self.layout = with_date_orders(self.layout, list(self.tables.values()), self.problems)
        self.files = ImageFiles(self.root, self.layout, self.problems, self.excluded)
        ids = {row.cells.get(column.lower(), "") for t in self._whole.values() for row in t.rows}
        self._listed_images = self.files.by_part(ids | self.excluded.ids)
        self.folders = {
            part: self.excluded.without_images(
                found, part if part != EITHER else "", partial(self.files.patient_folder, part)
            )
            for part, found in self._listed_images.items()
        }
        self.tables = {
            which: self.excluded.without_rows(table, column) for which, table in self.tables.items()
        }
        ids.update(*self._listed_images.values())
        if ids and not (self.unread or self.files.failed):
            self.excluded.report_unknown(ids)

    def patients(self) -> list[Patient]:
        """Every patient with images, in order; all problems reported."""
        if not self._has_anything():
            return []
        records = {
            which: with_declared_values(
                table_records(table, self.layout, self.problems), table, self.layout, self.problems
            )
            for which, table in self.tables.items()
        }
        parts = parts_of(records, self.folders, self.layout, self.problems)
        for name, images in self.folders.pop(EITHER, {}).items():
            self.folders[parts.get(name, "train")][name] = images
        judged = [
            [self._blinded(record) if parts[record.id] == "test" else record for record in records[which]]
            for which in self.tables
        ]
        merged = merge_records(judged, self.problems, self.root)
        self.reference = self.ages.reference if self.ages else age_reference(merged, self.layout)
        merged = with_ages(merged, self.reference, self.layout, self.problems)
        if self.tables and "train" in parts.values():
            tables = list(self.tables.values())
            report_missing_columns(tables, self.layout, self.problems, labelled=self.labelled)
            report_missing_declared(tables, self.layout.clinical, self.problems)
        meant = self._meant(merged)
        listed = [self._listed(merged[name], part, meant.get(name)) for name, part in parts.items()]
        listed += self._without_row(merged, {name for name, _ in meant.values()})
        report_ids({p.id: self._where(p, merged) for p in listed}, self.problems)
        report_alike([merged[p.id] for p in listed if p.images and p.id in merged], self.problems, self.root)
        self._report_left_out()
        out = {name for names in self.left_out.values() for name in names}
        in_order = sorted(
            (p for p in listed if p.images and p.id not in out), key=lambda p: p.split == "test"
        )
        return in_order  # the sort is stable

    def _where(self, patient: Patient, merged: Mapping[str, Record]) -> Where:
        """The patient's row, or the place of the images of one without."""
        record = merged.get(patient.id)
        return record.where if record else Where(self.files.patient_place(patient.split, patient.id))

    def exclusions(self, patients: Sequence[Patient]) -> tuple[Exclusion, ...]:
        """What the table of exclusions leaves out, with labels and parts where they are known.

        Args:
            patients: of `patients`.
        """
        silent = Problems()  # rows of excluded patients may be wrong
        ids = self.excluded.patients
        rows = {
            which: replace(
                table,
                rows=tuple(row for row in table.rows if row.cells.get(self.layout.columns.id.lower()) in ids),
            )
            for which, table in self._whole.items()
        }
        records = {which: table_records(table, self.layout, silent) for which, table in rows.items()}
        parts = parts_of(records, self._listed_images, self.layout, silent)
        about = {p.id: (p.label, p.split) for p in patients}
        for name, record in merge_records(list(records.values()), silent, self.root).items():
            label = -1 if record.label is None or parts[name] == "test" else record.label
            about[name] = (label, parts[name])
        return self.excluded.exclusions(about)

    def _leave_out(self, name: str, why: str) -> None:
        self.left_out.setdefault(why, []).append(name)

    def _report_left_out(self) -> None:
        for why, names in self.left_out.items():
            self.problems.warning(
                "left-out",
                self.root,
                None,
                f"{counted(len(names), 'patient')} {'is' if len(names) == 1 else 'are'} left out, {why}: "
                f"{listing(names)}",
                f"as [rows] of {LAYOUT_FILE} says",
            )

    def _has_anything(self) -> bool:
        """Report a folder that is not a cohort at all, and a labelled part without any table."""
        if not any(self.files.is_there(part) for part in ("train", "test")):
            self._report_nothing()
            return False
        if "train" not in self.tables and "clinical" not in self.tables and not self.unread:
            if self.folders["train"] or self.folders.get(EITHER):
                self.problems.error(
                    "no-table",
                    self.root,
                    None,
                    f"has neither {self.layout.tables.train} nor {self.layout.tables.clinical}, "
                    "so no label is known",
                    "add one of the tables, or map their names in lymphofeat.toml (docs/cohort.md)",
                )
        elif (
            self.layout.tables.clinical
            and not table_file(self.root / self.layout.tables.clinical)[0].exists()
        ):
            self.problems.warning(
                "no-clinical-table",
                self.root / self.layout.tables.clinical,
                None,
                "is not there, so clinical values come from the other tables only",
                "add it, or set `clinical` to '' in lymphofeat.toml under [tables]",
            )
        return True

    def _report_nothing(self) -> None:
        if self.layout.images.table:
            self.files.failed = True
            self.problems.error(
                "no-image-table",
                self.root / self.layout.images.table,
                None,
                "is not there, so no image is known",
                f"add it, or correct `table` in {LAYOUT_FILE} under [images]",
            )
            return
        self.problems.error(
            "no-part",
            self.root,
            None,
            f"has neither a folder {self.layout.folders.train} nor {self.layout.folders.test}",
            f"check that this is the cohort's folder; `lymphofeat init {self.root}` writes a first {LAYOUT_FILE} for "
            "a folder with other names",
        )

    def _blinded(self, record: Record) -> Record:
        """The record of a test patient without a label."""
        if record.label in (0, 1):
            word = self.layout.values.word
            self.problems.warning(
                "test-label",
                record.where.path,
                record.where.row,
                f"test patient {record.id} has the label {word('malignant' if record.label else 'reactive')}, which is "
                "not used",
                f"write {word('unknown')}, or move the patient to the training part",
            )
        return replace(record, label=-1)

    def _meant(self, merged: Mapping[str, Record]) -> dict[str, tuple[str, str]]:
        """ID without a folder → another one that looks like it and has a folder, and where that one stands."""
        there = {name: part for part, folders in self.folders.items() for name in folders}
        known = sorted(
            there, key=lambda name: name not in merged
        )  # of several, a folder without a row is meant
        places = {
            name: merged[name].where.text(self.root)
            if name in merged
            else Where(self.files.place(there[name])).text(self.root)
            for name in known
        }
        by_look = {look_alike(name): (name, place) for name, place in places.items()}
        found = ((name, by_look.get(look_alike(name))) for name in merged if name not in there)
        return {name: meant for name, meant in found if meant is not None}

    def _listed(self, record: Record, part: str, meant: tuple[str, str] | None) -> Patient:
        """A patient with a row; without images if there are none. `meant`: see `_meant`."""
        other = "test" if part == "train" else "train"
        images = self.folders[part].get(record.id)
        if images is None and self.files.failed:
            pass  # reported once
        elif images is None and self.files.is_there(part):
            if record.id in self.folders[other]:
                message = f"{record.id} is listed here, but {self.files.whereabouts(other, record.id)}"
                what = "folder" if self.files.in_folders else "images"
                self._error(record, "wrong-part", message, f"move the {what} or the row")
            elif self.layout.rows.without_images == "leave out":
                self._leave_out(record.id, "for want of images")
            elif meant is not None:
                what = "folder" if self.files.in_folders else "image"
                message = f"{record.id} has no {what}; {apart(record.id, 'this row', *meant)}"
                self._error(record, "alike-ids", message, "give the patient one ID in tables and folders")
            else:
                message = f"{record.id} {self.files.absence(part, record.id)}"
                what = "the folder with its images" if self.files.in_folders else "the images"
                remedy = f"add {what}, remove the row, or {_left_out_by('without_images')}"
                self._error(record, "no-folder", message, remedy)
        elif images is None:
            self._report_no_part(record, part)
        elif images == ():
            self._report_empty(part, record.id)
        if part == "train" and record.label in (-1, None) and not record.bad_label and self._labels_exist():
            self._report_unlabelled(record)
        label = -1 if record.label is None else record.label
        folder = self._folder(part, record.id) if images else None
        return patient_of(record, Patient(record.id, part, label, images or (), folder=folder))

    def _folder(self, part: str, name: str) -> Path | None:
        return self.files.patient_folder(part, name) or self.excluded.folders.get(name)

    def _report_unlabelled(self, record: Record) -> None:
        if self.layout.rows.unlabelled == "leave out":
            self._leave_out(record.id, "without a label")
            return
        word = self.layout.values.word
        remedy = (
            f"write {word('reactive')} or {word('malignant')}, move the patient to the test part, or "
            f"{_left_out_by('unlabelled')}"
        )
        self._error(record, "no-label", f"training patient {record.id} has no label", remedy)

    def _report_no_part(self, record: Record, part: str) -> None:
        """Once for all patients of a part whose folder is not there; the work goes on without a test part."""
        place = self.files.place(part)
        if not self.files.is_named(part) or any(p.where.path == place for p in self.problems.found):
            return
        report = self.problems.error if part == "train" else self.problems.warning
        report(
            "no-part",
            place,
            None,
            f"is not there, but the tables list patients of it ({record.id} in {record.where.text(self.root)})",
            "add the folder, or remove the rows" + (" (they are left out)" if part == "test" else ""),
        )

    def _labels_exist(self) -> bool:
        return any(table.has(self.layout.columns.label) for table in self.tables.values())

    def _without_row(self, merged: Mapping[str, Record], told: Collection[str]) -> list[Patient]:
        """Patients that have a folder only, and those that have one in both parts; `told`: reported already."""
        orphans = []
        for part in ("train", "test"):
            names = [name for name in self.folders[part] if name not in merged]
            orphans += [
                Patient(name, part, -1, self.folders[part][name], folder=self._folder(part, name))
                for name in names
            ]
            has_table = part in self.tables or "clinical" in self.tables
            if has_table and not self.unread:
                self._report_orphans(part, [name for name in names if name not in told])
            elif names and part == "test" and not self.unread:
                self.problems.warning(
                    "no-table",
                    self.files.place("test"),
                    None,
                    f"no table lists its {counted(len(names), 'patient')}, who are taken in the order of their "
                    "names, without clinical values",
                    f"add {self.layout.tables.test}",
                )
            for name in names:
                if not self.folders[part][name]:
                    self._report_empty(part, name)
        for name in sorted(self.folders["train"].keys() & self.folders["test"].keys()):
            self.problems.error(
                "in-both-parts",
                self.files.patient_place("test", name),
                None,
                f"{Where(self.files.place('train') / name).text(self.root)} is a folder of the same patient"
                if self.files.in_folders
                else f"{name} has images in {self.layout.folders.train} too",
                "keep the patient in one part",
            )
        return orphans

    def _report_orphans(self, part: str, names: Sequence[str]) -> None:
        tables = [self.tables[which].path.name for which in (part, "clinical") if which in self.tables]
        if any(
            problem.code == "missing-column" and problem.severity == "error"
            for problem in self.problems.found
        ):
            return  # without IDs or labels, no row would be found
        for name in names:
            if self.layout.rows.without_row == "leave out":
                self._leave_out(name, "without a row in the tables")
                continue
            images = self.folders[part][name]
            first = f" ({images[0].name}, …)" if images and not self.files.in_folders else ""
            self.problems.error(
                "no-row",
                self.files.patient_place(part, name),
                None,
                f"{name}{first} has no row in {' or '.join(tables)}",
                f"add the row, move the {'folder' if self.files.in_folders else 'images'} out of the cohort, or "
                f"{_left_out_by('without_row')}",
            )

    def _report_empty(self, part: str, name: str) -> None:
        if self.layout.rows.without_images == "leave out":
            self._leave_out(name, "for want of images")
            return
        if not self.files.in_folders:  # a table's files that are not there were reported
            return
        suffixes = " ".join(self.layout.images.suffixes)
        self.problems.error(
            "empty-folder",
            self.files.patient_place(part, name),
            None,
            f"has no image (suffixes looked for: {suffixes})",
            f"add the patient's images, remove the folder and its row, or {_left_out_by('without_images')}",
        )

    def _error(self, record: Record, code: str, message: str, remedy: str) -> None:
        self.problems.error(code, record.where.path, record.where.row, message, remedy)


def _left_out_by(key: str) -> str:
    """The way out that leaves such patients out, counted and listed."""
    return f'set {key} = "leave out" in {LAYOUT_FILE} under [rows]'


def patient_of(record: Record, patient: Patient) -> Patient:
    """The patient, with the clinical values of a record."""
    return replace(
        patient,
        birth=record.birth,
        date_order=record.date_order,
        sex=record.sex,
        age=record.age,
        count=record.count,
        person=record.person,
        values=record.values,
    )
