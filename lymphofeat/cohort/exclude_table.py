"""The cohort's `exclude.csv`: patients and images that are left out, each with its reason.

It takes effect before anything else is judged: rows and images that it names raise no problems. Only what remains
becomes a `Patient`.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import printable
from ..wording import did_you_mean
from .alike import look_alike
from .exclusions import Exclusion
from .folders import Images
from .layout import LAYOUT_FILE, Layout
from .model import Patient
from .problems import Problems, counted
from .records import is_word
from .tables import Row, Table, needed_once, read_table, table_file

__all__ = ["ExcludeTable"]

_PATIENT, _IMAGE, _REASON = "patient", "image", "reason"
_MOST_NAMES = 12  # that a message lists where none is near
_MOST_ASKED = 20  # rows for which the nearest name is looked for


@dataclass(frozen=True)
class _Excluded:
    """A row of the table that can be used."""

    row: Row
    patient: str
    image: str
    reason: str

    @property
    def what(self) -> str:
        return f"{self.patient}, {self.image}" if self.image else self.patient


@dataclass
class ExcludeTable:
    """The exclusions of one reading of a cohort: rows of tables first, then the files.

    Args:
        root: the cohort's folder.
        layout: names the table.
        problems: where to report.

    Attributes:
        path: the table; it need not be there.
        patients: IDs of patients who are left out as a whole.
        folders: ID → the folder that holds all images of a patient some of whose images are left out.
    """

    root: Path
    layout: Layout
    problems: Problems
    path: Path = field(init=False)
    patients: frozenset[str] = field(init=False, default=frozenset())
    folders: dict[str, Path] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        name = self.layout.tables.exclude
        self.path = self.root / name
        self._rows: list[_Excluded] = []
        self._seen: set[tuple[str, str]] = set()  # by ID and image of the table: those that were found
        self._asked = 0
        self._single: dict[str, list[str]] = {}  # ID → images that are named one by one
        self._found: dict[tuple[str, str], Exclusion] = {}  # by ID and image of the table; without labels
        self._names: dict[str, list[str]] = {}  # ID → names of all images, of those in `_single`
        if not name:
            return
        if table_file(self.path)[0].is_file():
            self._read()
        elif "exclude" in self.layout.tables.model_fields_set:
            self.problems.error(
                "no-exclude-table",
                self.path,
                None,
                "is not there, so nobody would be left out",
                f'restore it, or set `exclude` to "" in {LAYOUT_FILE} under [tables]',
            )

    @property
    def ids(self) -> set[str]:
        """All IDs that the table names."""
        return {one.patient for one in self._rows}

    def without_rows(self, table: Table, column: str) -> Table:
        """A table without the rows of excluded patients, and the problems without those of these rows.

        Args:
            table: of patients.
            column: its column of IDs.
        """
        gone = {row.number for row in table.rows if row.cells.get(column.lower()) in self.patients}
        if not gone:
            return table
        self.problems.forget(lambda one: one.where.path == table.path and one.where.row in gone)
        return replace(table, rows=tuple(row for row in table.rows if row.number not in gone))

    def images(self, name: str, images: Images, folder: Path | None) -> dict[str, Path]:
        """Name in the table → file, of those of a patient's images that are left out one by one.

        An image is named by its path in the patient's folder (`Patient.image_names`), or by that in the cohort's.

        Args:
            name: the patient's ID.
            images: all of the patient.
            folder: the patient's own, if there is one.
        """
        wanted = self._single.get(name, [])
        if not wanted or not images:
            return {}
        names = self._names[name] = _names(name, images, folder)
        by_name = {_spelt(os.path.relpath(path, self.root)): path for path in images}
        by_name |= {_spelt(name): path for name, path in zip(names, images, strict=True)}
        return {image: by_name[image] for image in wanted if image in by_name}

    def without_images(
        self, found: Mapping[str, Images], part: str, folder_of: Callable[[str], Path | None]
    ) -> dict[str, Images]:
        """The images of a part without those of excluded patients and without excluded images.

        Args:
            found: ID → images.
            part: "train" or "test"; "" where that is not known.
            folder_of: the own folder of a patient, if there is one.

        Returns:
            As `found`. A patient whose images are all left out one by one is not in it, and reported; where the layout
            leaves out who has no images, the patient is in it with none.
        """
        remaining: dict[str, Images] = {}
        for name, images in found.items():
            if name in self.patients:
                self._note(Exclusion(name, "", "", len(images), split=part))
            else:
                kept = self._kept(name, images, folder_of(name), part)
                if kept or not images or self.layout.rows.without_images == "leave out":
                    remaining[name] = kept
        return remaining

    def _kept(self, name: str, images: Images, folder: Path | None, part: str) -> Images:
        out = self.images(name, images, folder)
        if not out:
            return images
        names, place = self._names[name], {path: k for k, path in enumerate(images)}
        named: dict[Path, str] = {}
        for image, path in out.items():
            k = place[path]
            self._seen.add((name, image))
            if named.setdefault(path, image) == image:
                self._note(Exclusion(name, names[k], "", 1, split=part, place=k + 1), image)
            else:
                self._report_twice(self._row(name, image), self._row(name, named[path]))
        gone = set(named)
        kept = tuple(path for path in images if path not in gone)
        if folder is None:  # names stay those that the images had among all of them
            self.folders[name] = Path(os.path.commonpath([os.path.abspath(path.parent) for path in images]))
        if not kept and self.layout.rows.without_images == "error":
            row = next(one.row for one in self._rows if one.patient == name)
            self.problems.error(
                "all-images-excluded",
                self.path,
                row.number,
                f"with the other rows of {name}, leaves the patient without images "
                f"({counted(len(images), 'image')}, all excluded)",
                "exclude the patient as a whole by one row with an empty `image`, or keep some images",
            )
            self.patients |= {name}
        return kept

    def _note(self, exclusion: Exclusion, image: str = "") -> None:
        self._found.setdefault((exclusion.patient, image), exclusion)

    def report_unknown(self, ids: Collection[str]) -> None:
        """Report rows of patients or images that the cohort does not have; `without_images` comes before.

        Args:
            ids: of all patients that tables or folders have, excluded ones among them.
        """
        by_look = {look_alike(name): name for name in ids}
        for one in self._rows:
            if one.patient not in ids:
                self._unknown_patient(one, ids, by_look.get(look_alike(one.patient)))
            elif one.image and (one.patient, one.image) not in self._seen:
                self._unknown_image(one, self._names.get(one.patient, []))

    def _near(self, name: str, known: Collection[str]) -> str:
        """The nearest name in brackets, or all names; "" once many rows have asked: each looks through all names."""
        self._asked += 1
        return did_you_mean(name, known) if self._asked <= _MOST_ASKED else ""

    def _unknown_patient(self, one: _Excluded, ids: Collection[str], alike: str | None) -> None:
        if alike is not None:
            self._error(
                "unknown-excluded",
                one.row,
                f"patient {one.patient!r} is not in the cohort (did you mean {alike!r}?)",
                "correct the ID",
            )
            return
        near = self._near(one.patient, ids)
        self.problems.warning(
            "unknown-excluded",
            self.path,
            one.row.number,
            f"patient {one.patient!r} is not in the cohort{near if 'mean' in near else ''}, so that the row leaves "
            "out nobody",
            "correct the ID, or remove the row",
        )

    def _unknown_image(self, one: _Excluded, names: Sequence[str]) -> None:
        near = self._near(one.image, names) if names else " (no image of the patient was found)"
        if near.startswith(" (there are") and len(names) > _MOST_NAMES:
            near = f" (they are named as {names[0]!r})"
        self._error(
            "unknown-excluded",
            one.row,
            f"{one.patient} has no image {one.image!r}{near}",
            "correct the name (the path in the patient's folder), or remove the row",
        )

    def exclusions(self, about: Mapping[str, tuple[int, str]]) -> tuple[Exclusion, ...]:
        """What is left out, in the order of the table.

        Args:
            about: ID → label and part, where they are known.
        """
        found = []
        for one in self._rows:
            whole = one.patient in self.patients and not one.image
            exclusion = self._found.get((one.patient, one.image))
            if exclusion is None and whole and one.patient in about:
                exclusion = Exclusion(one.patient, "", "", 0)  # a row without images
            if exclusion is not None:
                label, split = about.get(one.patient, (-1, exclusion.split))
                found.append(replace(exclusion, reason=one.reason, label=label, split=split))
        return tuple(found)

    def _read(self) -> None:
        table = read_table(self.path, self.problems)
        if table is None:
            return
        identity = self.layout.columns.id if table.has(self.layout.columns.id) else _PATIENT
        if not needed_once(table, (identity, _IMAGE, _REASON), self.problems):
            return
        missing = [name for name in (identity, _REASON) if not table.has(name)]
        for name in missing:
            self.problems.error(
                "missing-column",
                table.path,
                table.header_row,
                f"has no column {name!r} (its columns: {', '.join(filter(None, table.columns))})",
                f"give it the columns {_PATIENT}, {_IMAGE} (may be absent) and {_REASON}",
            )
        if missing:
            return
        self._take(table, identity.lower())

    def _take(self, table: Table, identity: str) -> None:
        first: dict[tuple[str, str], _Excluded] = {}
        for row in table.rows:
            one = _Excluded(
                row,
                row.cells[identity],
                _spelt(self._text(row, _IMAGE, table)),
                self._text(row, _REASON, table),
            )
            if not one.patient:
                self._error("missing-id", row, "names no patient", "give the ID or remove the row")
                continue
            if not one.reason:
                self._error(
                    "no-reason", row, f"gives no reason why {one.what} is left out", "give the reason"
                )
                continue
            before = first.setdefault((one.patient, one.image), one)
            if before is not one:
                self._report_twice(one, before)
        whole = {patient: one for (patient, image), one in first.items() if not image}
        for (patient, image), one in first.items():
            if image and patient in whole:
                message = f"leaves out an image of {patient}, who is left out as a whole by row "
                self._warning("excluded-twice", one.row, f"{message}{whole[patient].row.number}")
            else:
                self._rows.append(one)
                if image:
                    self._single.setdefault(patient, []).append(image)
        self.patients = frozenset(whole)

    def _row(self, patient: str, image: str) -> _Excluded:
        return next(one for one in self._rows if (one.patient, one.image) == (patient, image))

    def _report_twice(self, one: _Excluded, before: _Excluded) -> None:
        """Two rows of one patient or image: a warning, or an error where their reasons differ."""
        if before.reason.casefold() != one.reason.casefold():
            self._error(
                "excluded-twice",
                one.row,
                f"leaves out {one.what} because of {one.reason!r}, and row {before.row.number} because of "
                f"{before.reason!r}",
                "keep one of the two rows",
            )
        else:
            message = f"leaves out {one.what} as row {before.row.number} does"
            self._warning("excluded-twice", one.row, message)

    def _text(self, row: Row, column: str, table: Table) -> str:
        text = row.cells.get(column, "")
        return "" if is_word(text, self.layout.values.missing, table) else text

    def _error(self, code: str, row: Row, message: str, remedy: str) -> None:
        self.problems.error(code, self.path, row.number, message, remedy)

    def _warning(self, code: str, row: Row, message: str) -> None:
        self.problems.warning(code, self.path, row.number, message, "remove one of the rows")


def _spelt(path: str) -> str:
    r"""A path in one spelling: `/` for `\`, no `./`, and as it is printed where it is not UTF-8."""
    return printable(os.path.normpath(path.replace("\\", "/"))) if path else ""


def _names(name: str, images: Sequence[Path], folder: Path | None) -> list[str]:
    """The images' names in the patient's folder, as they are printed."""
    return [printable(n) for n in Patient(name, "", -1, tuple(images), folder=folder).image_names]
