"""Pictures to look at: cells with the outlines of nucleus and cell as they were found and measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

from ..cache.reader import Cache
from ..cohort.decoding import bit_depth
from ..cohort.model import Cohort
from ..cohort.read import read_cohort
from ..encoder.morphology.features import SIDE
from ..encoder.morphology.quality import GOOD, NO_NUCLEUS, QUALITIES
from ..errors import InputError, printable
from ..explanation import Explanation
from ..progress import Progress, Silent
from ..storage.atomic import atomic_write
from ..wording import number

__all__ = ["Tile", "sample_of", "tiles_of", "write_outlines"]

_NUCLEUS, _CELL, _FLAW = (255, 240, 0), (0, 230, 0), (255, 60, 60)
_EDGE = 320  # pixels of a picture in the sheet
_CAPTION = 20
_COLUMNS = 8


class Tile(NamedTuple):
    """One picture of a sheet.

    Attributes:
        path: the image.
        caption: what stands below it.
    """

    path: Path
    caption: str


def sample_of(cohort: Cohort, n: int = 48, seed: int = 0) -> list[Tile]:
    """Random images, of as many patients as possible, in the cohort's order.

    Args:
        cohort: images of it.
        n: how many; all, if it has no more.
        seed: the same seed gives the same images.
    """
    rng = np.random.default_rng(seed)
    bags = [list(rng.permutation(len(patient.images))) for patient in cohort.patients]
    chosen: list[tuple[int, int]] = []
    while len(chosen) < n and any(bags):
        for patient in rng.permutation(len(bags)).tolist():
            if bags[patient] and len(chosen) < n:
                chosen.append((patient, int(bags[patient].pop())))
    images = [(cohort.patients[p], i) for p, i in sorted(chosen)]
    return [Tile(patient.images[i], f"{patient.id} {patient.image_names[i]}") for patient, i in images]


def tiles_of(explanation: Explanation, cache: Cache) -> list[Tile]:
    """A patient's images with their contributions, towards malignant first.

    Raises:
        InputError: they are not in the folder that the cache was made from, or were changed since.
    """
    tables = cache.tables
    row = int(np.flatnonzero(cache.ids == explanation.id)[0])
    stop = int(tables.patients["n_images"].iloc[: row + 1].sum())
    rows = range(stop - int(tables.patients["n_images"].iloc[row]), stop)
    known = {tables.names[i]: tables.sizes[i] for i in rows}
    if tables.pseudonyms:
        raise InputError(
            f"{cache.path} holds pseudonyms and does not know where images lie; leave --outlines out, or draw from a "
            "cache without --pseudonyms."
        )
    if not Path(tables.source).is_dir():
        raise InputError(
            f"The images of {explanation.id} are drawn from {tables.source or 'their cohort'}, which is not there; put "
            "the cohort back, or leave --outlines out."
        )
    patients = {patient.id: patient for patient in read_cohort(tables.source).patients}
    paths: dict[str, Path] = {}
    if explanation.id in patients:
        patient = patients[explanation.id]
        paths = {printable(n): path for n, path in zip(patient.image_names, patient.images, strict=True)}
    changed = sorted(n for n, size in known.items() if n not in paths or paths[n].stat().st_size != size)
    if changed:
        raise InputError(
            f"{tables.source}: image {changed[0]} of {explanation.id} is not the one that {cache.path} was made from; "
            "run `lymphofeat extract` again, or leave --outlines out."
        )
    return [
        Tile(paths[name], f"{name}  {number(value, 3, signed=True)}")
        for name, value in zip(explanation.images["image"], explanation.images["contribution"], strict=True)
    ]


def write_outlines(
    tiles: Sequence[Tile],
    out: Path,
    *,
    side: int = SIDE,
    force: bool = False,
    progress: Progress | None = None,
) -> dict[int, int]:
    """Draw a sheet as a PNG file: cell outlines green, nuclei yellow; what is not good is said in the caption.

    Args:
        tiles: from left to right and from top to bottom.
        out: the file, whole or not there.
        side: of the square that is measured, pixels.
        force: replace an existing file.
        progress: told of the images.

    Returns:
        Quality → number of images.

    Raises:
        InputError: scikit-image is not installed, `out` exists and `force` is false, or an image cannot be decoded.
    """
    from ..encoder.morphology.encoder import read_framed, without_frame

    progress = progress or Silent()
    columns = min(_COLUMNS, max(len(tiles), 1))
    height = -(-len(tiles) // columns) * (_EDGE + _CAPTION)
    counts = dict.fromkeys(QUALITIES, 0)
    with atomic_write(out, overwrite=force) as temporary:
        sheet = Image.new("RGB", (columns * _EDGE, height), (255, 255, 255))
        bits = bit_depth([tile.path for tile in tiles])
        progress.start("drawing outlines", len(tiles), "images")
        try:
            for k, tile in enumerate(tiles):
                picture, quality = _outlined(without_frame(read_framed([tile.path], side, bits).numpy()[0]))
                counts[quality] += 1
                left, top = k % columns * _EDGE, k // columns * (_EDGE + _CAPTION)
                sheet.paste(picture, (left, top))
                _write_caption(sheet, tile.caption, quality, left, top + _EDGE)
                progress.advance()
        finally:
            progress.stop()
        sheet.save(temporary, format="PNG")
    return counts


def _outlined(image: NDArray[np.uint8]) -> tuple[Image.Image, int]:
    """The image in its square of the sheet, with its outlines, and its quality."""
    from ..encoder.morphology.masks import edge
    from ..encoder.morphology.segmentation import segment

    scale = _EDGE / max(image.shape[:2])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    picture = np.array(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    cell = segment(image)
    if cell is not None:
        for mask, colour in ((cell.cell, _CELL), (cell.nucleus, _NUCLEUS)):
            whole = np.zeros(image.shape[:2], dtype=np.uint8)
            whole[cell.top : cell.top + mask.shape[0], cell.left : cell.left + mask.shape[1]] = 255 * mask
            larger = np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.BILINEAR)) > 127
            picture[edge(larger)] = colour
    square = Image.new("RGB", (_EDGE, _EDGE), (255, 255, 255))
    square.paste(Image.fromarray(picture), ((_EDGE - size[0]) // 2, (_EDGE - size[1]) // 2))
    return square, NO_NUCLEUS if cell is None else cell.quality


def _write_caption(sheet: Image.Image, caption: str, quality: int, left: int, top: int) -> None:
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_CAPTION - 5) if features.check("freetype2") else ImageFont.load_default()
    draw.text((left + 4, top), caption, fill=(0, 0, 0), font=font)
    if quality != GOOD:
        at = left + 12 + draw.textlength(caption, font=font)
        draw.text((at, top), QUALITIES[quality], fill=_FLAW, font=font)
