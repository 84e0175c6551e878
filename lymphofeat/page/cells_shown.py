"""The cells of explained patients: pictures, contributions, and how each differs from the cohort's cells."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.encoding import Encoding
from ..cache.reader import Cache
from ..cache.split import JOINT
from ..explanation.images import Method
from ..explanation.unlike import CellsOfCohort, most_unlike
from ..progress import Progress
from ..report.explain import digits_for
from ..wording import number
from .image_files import ImageFiles, find_images
from .names import Names
from .patient import Cell, CellsShown
from .pictures import CHANGED, MISSING, UNREADABLE, Budget, Pictures, Ranked, make_pictures

__all__ = ["ExplainedCells", "ShownCells", "WithCells", "named_encoding", "ranked", "sees_images"]

_TROUBLES = {
    MISSING: ("image file was not found", "image files were not found"),
    CHANGED: (
        "image file has changed since its features were computed",
        "image files have changed since their features were computed",
    ),
    UNREADABLE: ("image file cannot be decoded", "image files cannot be decoded"),
}


class WithCells(Protocol):
    """What is asked of the explanation of a patient; `Explanation` and `ExplainedPatient` have it."""

    @property
    def id(self) -> str:
        """The patient's."""

    @property
    def methods(self) -> Mapping[Method, int]:
        """How the images' contributions were found."""

    @property
    def images(self) -> pd.DataFrame:
        """Their contributions, towards malignant first; see `Explanation.images`."""

    @property
    def positions(self) -> NDArray[np.int64]:
        """Where the image of each row stands in the patient's bag."""


class ShownCells:
    """What is shown of the images of some patients.

    Args:
        files: of all images.
        image_names: of the files.
        first: by ID, the patient's first image among them.
        names: what images are called.
        explained: the patients.
        progress: told of the images that are read.
        budget: bytes of pictures; None: by the number of images.
        source: the folder that the images lie in, as it is said.
    """

    def __init__(
        self,
        files: ImageFiles,
        image_names: Sequence[str],
        first: Mapping[str, int],
        names: Names,
        explained: Sequence[WithCells],
        progress: Progress,
        *,
        budget: Budget | None = None,
        source: str = "",
    ) -> None:
        self.files, self.names, self.source = files, names, source
        self._first, self._image_names = first, image_names
        with_cells = [one for one in explained if sees_images(one)]
        each = [ranked(one, first[one.id]) for one in with_cells]
        n_images = sum(len(one.images) for one in with_cells)
        self.pictures = (
            Pictures(sheets=[None] * len(each))
            if files.reason
            else make_pictures(files, each, budget or Budget.of(n_images), progress)
        )
        self._ranked = {one.id: found for one, found in zip(with_cells, each, strict=True)}
        self._sheets = {one.id: sheet for one, sheet in zip(with_cells, self.pictures.sheets, strict=True)}
        self._shown: dict[str, CellsShown] = {}

    @property
    def troubles(self) -> list[str]:
        """Sentences on images that cannot be shown; none where all can."""
        if self.files.reason:
            return [self.files.reason] if self._ranked else []
        reasons = list(self.pictures.reasons.values())
        n = sum(len(one.malignant) + len(one.reactive) + len(one.others) for one in self._ranked.values())
        found = []
        for reason, (one, several) in _TROUBLES.items():
            count = reasons.count(reason)
            if count:
                where = f" in {self.source}" if reason == MISSING and self.names.shown else ""
                found.append(
                    f"{count:,} of {n:,} {one if count == 1 else several}{where}; no picture is shown."
                )
        return found

    def of(self, e: WithCells) -> CellsShown:
        """The cells of a patient."""
        if e.id not in self._shown:
            self._shown[e.id] = self._of(e)
        return self._shown[e.id]

    def _of(self, e: WithCells) -> CellsShown:
        if not sees_images(e):
            return CellsShown(sentence="The selected head sees no image, so no cell contributes.")
        mine, sheet, each = self._ranked[e.id], self._sheets[e.id], self.pictures.each
        digits = digits_for(e.images)
        contribution = dict(zip(self._rows(e).tolist(), e.images["contribution"].tolist(), strict=True))
        full = [list(side if each is None else side[:each]) for side in (mine.malignant, mine.reactive)]
        large = {*full[0], *full[1]}
        rest = [row for row in contribution if row not in large]
        noted = dict(zip([*full[0], *full[1]], self.notes([*full[0], *full[1]]), strict=True))

        def cell(row: int) -> Cell:
            value = contribution[row]
            picture, size = self.picture(row)
            small = None if sheet is None or picture else sheet.places.get(row)
            reason = (self.files.reason and "no picture") or self.pictures.reasons.get(row, "")
            return Cell(
                self.name(e, row), value, number(value, digits, signed=True), picture, size, small, reason,
                noted.get(row, ()),
            )  # fmt: skip

        return CellsShown(
            [cell(row) for row in full[0]], [cell(row) for row in full[1]], [cell(row) for row in rest],
            "" if sheet is None else address(sheet.data), 1 if sheet is None else sheet.columns,
            1 if sheet is None else sheet.lines, "", self._table(e),
        )  # fmt: skip

    def picture(self, row: int) -> tuple[str, tuple[int, int]]:
        """A picture at full size as a `data:` address, and its size; "" where there is none."""
        if row not in self.pictures.full:
            return "", (0, 0)
        data, width, height = self.pictures.full[row]
        return address(data), (width, height)

    def notes(self, rows: Sequence[int]) -> list[list[str]]:
        """Per image, what else is said of its cell: nothing."""
        return [[] for _ in rows]

    def name(self, e: WithCells, row: int) -> str:
        """What an image of the patient is called."""
        return self.names.image(row - self._first[e.id], self._image_names[row])

    def _rows(self, e: WithCells) -> NDArray[np.int64]:
        return self._first[e.id] + e.positions

    def _table(self, e: WithCells) -> pd.DataFrame:
        images = e.images if e.images["attention"].notna().any() else e.images.drop(columns="attention")
        return images.assign(image=[self.name(e, row) for row in self._rows(e).tolist()])


class ExplainedCells(ShownCells):
    """Of patients of a cache, whose cells are compared with the cohort's.

    Args:
        cache: their cache.
        encoder_family: that the heads see; its features, where they have names, are compared.
        names, explained, progress, budget: as of `ShownCells`.
    """

    def __init__(
        self,
        cache: Cache,
        encoder_family: str,
        names: Names,
        explained: Sequence[WithCells],
        progress: Progress,
        budget: Budget | None = None,
    ) -> None:
        tables = cache.tables
        first = dict(zip(cache.ids.astype(str).tolist(), tables.offsets.tolist(), strict=True))
        files = find_images(cache)
        image_names, _, _ = tables.images_at()  # in memory: asked for one by one
        super().__init__(
            files, image_names, first, names, explained, progress, budget=budget, source=tables.source
        )
        self.encoding = named_encoding(cache, encoder_family)

    @cached_property
    def _cohort(self) -> CellsOfCohort | None:
        return None if self.encoding is None else CellsOfCohort.of(self.encoding)

    def notes(self, rows: Sequence[int]) -> list[list[str]]:
        """Per image, how its cell differs from the cohort's; empty where no encoding has names."""
        if self._cohort is None or self.encoding is None or not rows:
            return [[] for _ in rows]
        found = most_unlike(self._cohort, np.asarray(self.encoding.features[np.asarray(rows)]))
        return [[value.in_words for value in one] for one in found]


def ranked(e: WithCells, first: int) -> Ranked:
    """The images of a patient by the side that they add to.

    Args:
        e: the explanation.
        first: row of the patient's first image.
    """
    rows, values = first + e.positions, e.images["contribution"].to_numpy(np.float64)
    neither = ~(np.abs(values) > 0)  # NaN as well
    return Ranked(rows[values > 0].tolist(), rows[values < 0][::-1].tolist(), rows[neither].tolist())


def sees_images(e: WithCells) -> bool:
    """Whether any of the heads sees an image."""
    return set(e.methods) != {"none"}


def named_encoding(cache: Cache, encoder_family: str) -> Encoding | None:
    """An encoding with named features: of those that the heads see, else any of the cache that saw no labels."""
    seen = encoder_family.split(JOINT)
    there = [one for one in cache.encodings.values() if one.names is not None and one.blind_to is None]
    return min(there, key=lambda one: (one.encoder_family not in seen, one.name), default=None)


def address(data: bytes) -> str:
    """WebP as a `data:` address."""
    return "data:image/webp;base64," + b64encode(data).decode()
