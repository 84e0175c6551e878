"""Many small pictures of cells in few image files: for a canvas that shows the one under the pointer."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..cohort.decoding import BadImageError, bit_depth, decode
from ..cohort.fingerprint import digest
from ..parallel import thread_pool, usable_cores
from ..progress import Progress
from .side_by_side import CENTRE, QUALITIES, SMALL, side_by_side, webp

__all__ = ["Sprites", "make_sprites"]

_COLUMNS = 32
_EACH_SHEET = _COLUMNS * _COLUMNS
_METHOD = 4  # of WebP
_AT_ONCE = 64


@dataclass(frozen=True)
class Sprites:
    """Pictures side by side, from left to right and from top to bottom.

    Attributes:
        side: of each picture, pixels.
        columns: pictures in a row of a sheet.
        each: pictures on a sheet; the last may have fewer.
        sheets: WebP files.
        shown: (n,) whether there is a picture; the place of one that is not there is empty.
    """

    side: int
    columns: int
    each: int
    sheets: tuple[bytes, ...]
    shown: NDArray[np.bool_]

    @property
    def n_bytes(self) -> int:
        """Of all sheets, before base64."""
        return sum(map(len, self.sheets))

    def texts(self) -> list[str]:
        """The sheets in base64."""
        return [b64encode(sheet).decode() for sheet in self.sheets]


def make_sprites(
    images: Sequence[Path | None], digests: Sequence[str], most: int, progress: Progress
) -> Sprites:
    """The middle of each image, 48 × 48 pixels.

    A file that is not there, is no image, or has other bytes than `digests` says gets no picture.

    Args:
        images: (n,) files; None: not known.
        digests: (n,) of their bytes, as of `cohort.fingerprint.digest`; "": not known.
        most: bytes of all sheets together; beyond it the pictures are stored more coarsely.
        progress: told of the images.
    """
    if not images:
        return Sprites(SMALL, _COLUMNS, _EACH_SHEET, (), np.empty(0, dtype=bool))
    bits = bit_depth(path for path in images if path is not None)
    parts = [slice(start, start + _AT_ONCE) for start in range(0, len(images), _AT_ONCE)]
    progress.start("small pictures for the map", len(images), "images")
    small: list[NDArray[np.uint8] | None] = []
    try:
        with thread_pool(usable_cores()) as pool:
            for found in pool.map(partial(_small, images, digests, bits), parts):
                small += found
                progress.advance(len(found))
    finally:
        progress.stop()
    sheets = [
        side_by_side(small[start : start + _EACH_SHEET], _COLUMNS)
        for start in range(0, len(small), _EACH_SHEET)
    ]
    for quality in QUALITIES:
        packed = tuple(webp(sheet, quality, method=_METHOD) for sheet in sheets)
        if sum(map(len, packed)) <= most:
            break
    return Sprites(SMALL, _COLUMNS, _EACH_SHEET, packed, np.array([one is not None for one in small]))


def _small(
    images: Sequence[Path | None], digests: Sequence[str], bits: int, part: slice
) -> list[NDArray[np.uint8] | None]:
    return [
        None if path is None else _read(path, known, bits)
        for path, known in zip(images[part], digests[part], strict=True)
    ]


def _read(path: Path, known: str, bits: int) -> NDArray[np.uint8] | None:
    """(side, side, 3) uint8; None where there is nothing to show."""
    try:
        content = path.read_bytes()
        if known and digest(content) != known:
            return None
        picture = decode(content, path)
        width, height = picture.image.size
        side = max(1, round(CENTRE * min(width, height)))
        left, top = (width - side) // 2, (height - side) // 2
        middle = Image.fromarray(picture.pixels((left, top, left + side, top + side), bits))
    except (OSError, BadImageError):
        return None
    return np.asarray(ImageOps.pad(middle, (SMALL, SMALL), Image.Resampling.LANCZOS))
