"""Pictures of cells for a page: the most telling at full size, the others small, within so many bytes.

A file is read and decoded once. What has other bytes than the features were computed of is not shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..cohort.decoding import BadImageError, Picture, bit_depth, decode
from ..cohort.fingerprint import digest
from ..parallel import thread_pool, usable_cores
from ..progress import Progress
from .image_files import ImageFiles
from .side_by_side import CENTRE, QUALITIES, SMALL, side_by_side, webp

__all__ = ["CHANGED", "MISSING", "UNREADABLE", "Budget", "Pictures", "Ranked", "Sheet", "make_pictures"]

MISSING = "image file not found"
CHANGED = "image file changed since its features were computed"
UNREADABLE = "image file cannot be decoded"

SIDE = 256  # pixels: of the longer side at full size, at most
_COLUMNS = 10  # small pictures in a row of a sheet
_QUALITY = 60  # of WebP: 3 kB of 224 × 224 pixels
_METHOD = 2
_AT_ONCE = 32  # images handed to a thread


@dataclass(frozen=True)
class Budget:
    """Bytes for pictures, before base64 makes them a third more.

    Attributes:
        full, small: at full size, and small ones.
    """

    full: int
    small: int

    @classmethod
    def of(cls, n_images: int) -> "Budget":
        """For a page of so many images: a small cohort's are all at full size, a large one's page stays below 25 MB."""
        return cls(int(min(10e6, max(1.5e6, 800 * n_images))), int(min(3e6, max(0.5e6, 450 * n_images))))


@dataclass(frozen=True)
class Ranked:
    """The images of one patient, as rows of `ImageFiles`.

    Attributes:
        malignant: towards malignant, strongest first.
        reactive: towards reactive, strongest first.
        others: to neither side, or not known.
    """

    malignant: Sequence[int]
    reactive: Sequence[int]
    others: Sequence[int] = ()

    @property
    def rounds(self) -> Iterator[tuple[int, ...]]:
        """The strongest of either side, then the next ones, then one by one those of neither."""
        for k in range(max(len(self.malignant), len(self.reactive))):
            yield (*self.malignant[k : k + 1], *self.reactive[k : k + 1])
        for one in self.others:
            yield (one,)


@dataclass(frozen=True)
class Sheet:
    """Small pictures of one patient in a single file, from left to right and from top to bottom.

    Attributes:
        data: WebP.
        columns, lines: pictures in a row, and rows.
        places: row of the image → (column, line).
    """

    data: bytes
    columns: int
    lines: int
    places: Mapping[int, tuple[int, int]]


@dataclass(frozen=True)
class Pictures:
    """What can be shown.

    Attributes:
        full: row of the image → (WebP, width, height).
        sheets: per patient, the small pictures of all others; None without.
        reasons: row of the image → why it is not shown.
        each: how many of either side are at full size for every patient; None: all images.
    """

    full: Mapping[int, tuple[bytes, int, int]] = field(default_factory=dict)
    sheets: Sequence[Sheet | None] = ()
    reasons: Mapping[int, str] = field(default_factory=dict)
    each: int | None = None

    @cached_property
    def rows(self) -> frozenset[int]:
        """Of the images that have a picture, large or small."""
        return frozenset(self.full).union(*(sheet.places for sheet in self.sheets if sheet is not None))

    @cached_property
    def n_bytes(self) -> int:
        """Of all, before base64."""
        sheets = sum(len(sheet.data) for sheet in self.sheets if sheet is not None)
        return sheets + sum(len(data) for data, _, _ in self.full.values())


def make_pictures(
    files: ImageFiles, patients: Sequence[Ranked], budget: Budget, progress: Progress
) -> Pictures:
    """Read the images of some patients and make pictures of them.

    As many images of either side are at full size, for every patient alike, as the budget allows.

    Args:
        files: of all images.
        patients: whose images.
        budget: of bytes.
        progress: told of the images.
    """
    rounds = _rounds(patients)
    reader = _Reader(files)
    full: dict[int, tuple[bytes, int, int]] = {}
    small: dict[int, NDArray[np.uint8]] = {}
    reasons: dict[int, str] = {}
    spent, each, fits = 0, 0, True
    progress.start("reading cells", sum(map(len, rounds)), "images")
    try:
        with thread_pool(usable_cores()) as pool:
            for rows in rounds:
                chunks = [rows[k : k + _AT_ONCE] for k in range(0, len(rows), _AT_ONCE)]
                large: dict[int, tuple[bytes, int, int]] = {}
                for found in pool.map(partial(reader.read, full=fits), chunks):
                    for one in found:
                        if one.reason:
                            reasons[one.row] = one.reason
                        else:
                            small[one.row] = one.small
                            if one.full is not None:
                                large[one.row] = one.full
                    progress.advance(len(found))
                spent += sum(len(data) for data, _, _ in large.values())
                fits = fits and spent <= budget.full
                if fits:
                    full |= large
                    each += 1
    finally:
        progress.stop()
    rest = [[row for row in _in_order(one) if row in small and row not in full] for one in patients]
    return Pictures(full, _sheets(rest, small, budget.small), reasons, None if fits else each)


def _rounds(patients: Sequence[Ranked]) -> list[list[int]]:
    """Round by round, the images of all patients."""
    found: list[list[int]] = []
    for patient in patients:
        for k, rows in enumerate(patient.rounds):
            if k == len(found):
                found.append([])
            found[k] += rows
    return found


def _in_order(patient: Ranked) -> list[int]:
    """From the most malignant to the most reactive."""
    return [*patient.malignant, *patient.others, *reversed(patient.reactive)]


@dataclass(frozen=True)
class _Read:
    """One image: its pictures, or why there is none."""

    row: int
    reason: str = ""
    full: tuple[bytes, int, int] | None = None
    small: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((SMALL, SMALL, 3), dtype=np.uint8))


class _Reader:
    """Reads images, by several threads at a time."""

    def __init__(self, files: ImageFiles) -> None:
        self.files = files
        self._lock = Lock()
        self._bits: int | None = None

    def read(self, rows: Sequence[int], *, full: bool) -> list[_Read]:
        """The pictures of these images; at full size as well, if asked for."""
        return [self._read(row, full=full) for row in rows]

    def _read(self, row: int, *, full: bool) -> _Read:
        path, known = self.files.paths[row], self.files.digests[row]
        if path is None:
            return _Read(row, MISSING)
        try:
            content = path.read_bytes()
        except OSError:
            return _Read(row, MISSING)
        if known and digest(content) != known:
            return _Read(row, CHANGED)
        try:
            image = self._pixels(decode(content, path))
        except BadImageError:
            return _Read(row, UNREADABLE)
        side = max(1, round(CENTRE * min(image.size)))
        small = np.asarray(_middle(image, side).resize((SMALL, SMALL), Image.Resampling.LANCZOS))
        if not full:
            return _Read(row, small=small)
        if max(image.size) > SIDE:
            image = ImageOps.contain(image, (SIDE, SIDE), Image.Resampling.LANCZOS)
        return _Read(row, full=(webp(image, _QUALITY, method=_METHOD), *image.size), small=small)

    def _pixels(self, picture: Picture) -> Image.Image:
        """8 bits a channel; deep images are scaled alike, see `cohort.decoding.bit_depth`."""
        if picture.deep is None:
            return picture.as_rgb()
        return Image.fromarray(picture.pixels((0, 0, *picture.image.size), self._depth()))

    def _depth(self) -> int:
        with self._lock:  # looks at all files, and most cohorts need it for none
            if self._bits is None:
                self._bits = bit_depth(path for path in self.files.paths if path is not None)
            return self._bits


def _middle(image: Image.Image, side: int) -> Image.Image:
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _sheets(
    rest: Sequence[Sequence[int]], small: Mapping[int, NDArray[np.uint8]], most: int
) -> list[Sheet | None]:
    """Per patient, the small pictures, at the best quality at which all together have `most` bytes or less."""
    drawn = [
        side_by_side([small[row] for row in rows], min(_COLUMNS, len(rows))) if rows else None
        for rows in rest
    ]
    for quality in QUALITIES:
        data = [None if sheet is None else webp(sheet, quality, method=_METHOD) for sheet in drawn]
        if sum(len(one) for one in data if one is not None) <= most:
            break
    found: list[Sheet | None] = []
    for rows, one in zip(rest, data, strict=True):
        columns = min(_COLUMNS, max(len(rows), 1))
        places = {row: (k % columns, k // columns) for k, row in enumerate(rows)}
        found.append(None if one is None else Sheet(one, columns, -(-len(rows) // columns), places))
    return found
