"""A table that lists image files and the patients whom they are of."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from .exclude_table import ExcludeTable
from .folders import Images, is_image, is_left_behind, natural_order
from .layout import LAYOUT_FILE, Layout
from .problems import Problems, counted
from .tables import Row, Table, needed_once, read_table

__all__ = ["list_table"]


def list_table(
    root: Path, layout: Layout, problems: Problems, excluded: ExcludeTable | None = None
) -> dict[str, Images] | None:
    """The images of each patient by the table `[images] table`, a patient's in `natural_order` of their paths.

    Paths are relative to `root`, or absolute; `\\` counts as `/`. Rows that cannot be used are reported once a cause,
    apart from those of excluded patients and images, which are listed even where the file is missing.

    Returns:
        ID → images, the IDs in the order of the table; None, with the reason in `problems`, where it cannot be used.
    """
    path = root / layout.images.table
    table = read_table(path, problems)
    if table is None:
        return None
    columns = {"file": (layout.images.file, "images"), "id": (layout.columns.id, "columns")}
    missing = [key for key, (name, _) in columns.items() if not table.has(name)]
    for key in missing:
        name, section = columns[key]
        problems.error(
            "missing-column",
            path,
            table.header_row,
            f"has no column {name!r} (its columns: {', '.join(filter(None, table.columns))})",
            f"rename the column, or name it in {LAYOUT_FILE} as `{key}` under [{section}]",
        )
    if missing or not needed_once(table, (layout.images.file, layout.columns.id), problems):
        return None
    return _Rows(root, layout, table, problems, excluded).images()


class _Rows:
    """The rows of a table of images, and what is wrong with them, by cause."""

    def __init__(
        self, root: Path, layout: Layout, table: Table, problems: Problems, excluded: ExcludeTable | None
    ) -> None:
        self.root, self.layout, self.table, self.problems = root, layout, table, problems
        self.excluded = excluded

    def images(self) -> dict[str, Images]:
        """As `list_table`; every problem is reported."""
        owners: dict[str, tuple[str, Row]] = {}  # file → its patient, the first row
        out: dict[str, dict[str, None]] = {}  # files of excluded patients
        whole = frozenset() if self.excluded is None else self.excluded.patients
        without_id, without_file, no_images, repeated, of_two = [], [], [], [], []
        for row in self.table.rows:
            name, file = row.cells[self.layout.columns.id.lower()], self._file(row)
            if name in whole:
                if file and is_image(file, self.layout):
                    out.setdefault(name, {})[file] = None
            elif not file:
                without_file.append((row, name))
            elif is_left_behind(os.path.basename(file)):
                continue
            elif not name:
                without_id.append((row, file))
            elif not is_image(file, self.layout):
                no_images.append((row, file))
            else:
                owner, first = owners.setdefault(file, (name, row))
                if owner != name:
                    of_two.append((row, f"{file} of {name}, and of {owner} in row {first.number}"))
                elif first is not row:
                    repeated.append((row, file))
        images: dict[str, list[str]] = {}
        for file, (name, _) in owners.items():
            images.setdefault(name, []).append(file)
        found = {
            name: tuple(self._path(f) for f in sorted(files, key=natural_order))
            for name, files in {**images, **out}.items()
        }
        excused = {path for name, paths in found.items() for path in self._excluded(name, paths)}
        absent = [
            (row, f)
            for f, (_, row) in owners.items()
            if not (self._path(f).is_file() or self._path(f) in excused)
        ]
        self._report("image-without-id", "error", without_id, "has no ID for", "give the patient's ID")
        self._report("no-file-named", "warning", without_file, "names no file for", "give its path")
        self._report(
            "not-an-image-name",
            "warning",
            no_images,
            "lists files that are not images and are not read:",
            f"remove the rows, or add the suffix in {LAYOUT_FILE} under [images]",
        )
        self._report(
            "image-of-two-patients", "error", of_two, "lists a file for two patients:", "keep one of the rows"
        )
        self._report(
            "repeated-file", "warning", repeated, "lists a file again, which is read once:", "remove the row"
        )
        self._report(
            "no-file",
            "error",
            absent,
            "lists files that are not there:",
            f"restore them, or correct the paths (they are relative to {self.root})",
        )
        gone = {self._path(file) for _, file in absent}
        return {name: tuple(path for path in paths if path not in gone) for name, paths in found.items()}

    def _excluded(self, name: str, paths: Images) -> Iterable[Path]:
        return () if self.excluded is None else self.excluded.images(name, paths, None).values()

    def _file(self, row: Row) -> str:
        """The path in a row in one spelling, or ""."""
        text = row.cells[self.layout.images.file.lower()].replace("\\", "/")
        return os.path.normpath(text) if text else ""

    def _path(self, file: str) -> Path:
        return self.root / file

    def _report(
        self, code: str, severity: str, rows: Sequence[tuple[Row, str]], message: str, remedy: str
    ) -> None:
        """One problem for all rows of a cause, at the first of them."""
        if not rows:
            return
        (first, what), *others = rows
        more = [f"row {row.number}: {text}" for row, text in others[:2]] + ["…"] * (len(others) > 2)
        also = f" (and in {counted(len(others), 'more row')}: {', '.join(more)})" if others else ""
        report = self.problems.error if severity == "error" else self.problems.warning
        report(code, self.table.path, first.number, f"{message} {what}{also}", remedy)
