"""Where the images of a cohort are, in one of three layouts, and how problems name the place.

A folder per patient; flat folders and a pattern of names; or a table that lists files. `lymphofeat.cohort.folders` and
`lymphofeat.cohort.image_table` read them.
"""

from collections.abc import Collection
from pathlib import Path

from .exclude_table import ExcludeTable
from .folders import OF_ONE_FOLDER, Images, list_flat, list_part
from .image_table import list_table
from .layout import Layout
from .problems import Problems, Where

__all__ = ["EITHER", "ImageFiles", "list_patients"]

EITHER = "either"  # of images that only a patient's row puts into a part
_PARTS = ("train", "test")


def list_patients(
    folder: Path,
    layout: Layout,
    ids: Collection[str],
    problems: Problems,
    *,
    but: Collection[Path] = (),
    excluded: ExcludeTable | None = None,
) -> dict[str, Images] | None:
    """The images of each patient in a folder by the cohort's layout; ID → images.

    Args:
        folder: the part's; of a table, what its paths are relative to.
        layout: says which of the three layouts it is.
        ids: those of the tables, which a pattern looks for.
        problems: where to report.
        but: folders inside `folder` that are another part's.
        excluded: patients and images that are listed all the same, but without what is wrong with them.

    Returns:
        None, with the reason in `problems`, where the table of images cannot be used or the pattern fits no image.
    """
    if layout.images.table:
        return list_table(folder, layout, problems, excluded)
    pattern = layout.images.file_pattern()
    if pattern is None:
        found = list_part(folder, layout, problems, but=but)
        gone = {folder / name for name in found if excluded is not None and name in excluded.patients}
        problems.forget(
            lambda one: (
                one.code in OF_ONE_FOLDER and not gone.isdisjoint((one.where.path, *one.where.path.parents))
            )
        )
        return found
    return list_flat(folder, pattern, ids, layout, problems, but=but)


class ImageFiles:
    """The images of a cohort.

    Args:
        root: its folder.
        layout: its names.
        problems: where to report.
        excluded: see `list_patients`.

    Attributes:
        in_folders: each patient has a folder.
        failed: the table of images cannot be used, or the pattern fits no image, so that it says nothing of a patient
            that they have none.
    """

    def __init__(
        self, root: Path, layout: Layout, problems: Problems, excluded: ExcludeTable | None = None
    ) -> None:
        self.root, self.layout, self.problems, self.excluded = root, layout, problems, excluded
        self.in_folders = not (layout.images.pattern or layout.images.table)
        self.failed = False

    def is_named(self, part: str) -> bool:
        """Whether the layout has such a part; an empty name means that there is none."""
        return bool(self._name(part))

    def is_there(self, part: str) -> bool:
        """Whether the part's images can be looked for: its folder, or the table of images, exists."""
        where = self.place(part)
        return self.is_named(part) and (where.is_file() if self.layout.images.table else where.is_dir())

    def place(self, part: str) -> Path:
        """The part's folder, or the table of images."""
        return self.root / (self.layout.images.table or self._name(part))

    def by_part(self, ids: Collection[str]) -> dict[str, dict[str, Images]]:
        """Part → ID → images, in the order in which they were found; "train" and "test" are always there.

        Images in one place for both parts are under `EITHER`.
        """
        found: dict[str, dict[str, Images]] = {part: {} for part in _PARTS}
        there = [part for part in _PARTS if self.is_there(part)]
        if len(there) == 2 and self.place("train").samefile(self.place("test")):
            there = [EITHER]
        for part in there:
            found[part] = self._listed(part, ids)
        return found

    def patient_place(self, part: str, name: str) -> Path:
        """What a problem with a patient's images is reported of."""
        return self.patient_folder(part, name) or self.place(part)

    def patient_folder(self, part: str, name: str) -> Path | None:
        """A patient's own folder; None where the layout has none."""
        return self.place(part) / name if self.in_folders else None

    def absence(self, part: str, name: str) -> str:
        """That a patient has no images, as the end of a sentence."""
        if self.in_folders:
            return f"has no folder {self._words(self.place(part) / name)}"
        if self.layout.images.table:
            return f"has no file in {self.layout.images.table}"
        return f"has no image in {self._words(self.place(part))} by the pattern {self.layout.images.pattern}"

    def whereabouts(self, part: str, name: str) -> str:
        """Where a patient's images are, as a clause."""
        if self.in_folders:
            return f"its folder is {self._words(self.place(part) / name)}"
        return f"its images are in {self._words(self.place(part))}"

    def _name(self, part: str) -> str:
        return self.layout.folders.train if part in ("train", EITHER) else self.layout.folders.test

    def _words(self, path: Path) -> str:
        return Where(path).text(self.root)

    def _listed(self, part: str, ids: Collection[str]) -> dict[str, Images]:
        folder = self.root if self.layout.images.table else self.place(part)
        but = [self.place(other) for other in _PARTS if self.is_named(other) and self.place(other) != folder]
        found = list_patients(folder, self.layout, ids, self.problems, but=but, excluded=self.excluded)
        if found is None:
            self.failed = True
            return {}
        if folder == self.root and self.in_folders:
            # Beside the patients there may be folders of other things.
            return {name: images for name, images in found.items() if images or name in ids}
        return found
