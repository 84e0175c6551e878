"""Small pictures of cells side by side in one image file, for pages of patients and for the map."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["CENTRE", "QUALITIES", "SMALL", "side_by_side", "webp"]

SMALL = 48  # pixels of a small picture
CENTRE = 0.64  # share of the shorter side that a small picture shows: crops have the cell in their middle
QUALITIES = (60, 45, 30, 15)  # of WebP; the first that fits is taken


def side_by_side(pictures: Sequence[NDArray[np.uint8] | None], columns: int) -> Image.Image:
    """Pictures from left to right and from top to bottom; white where there is none.

    Args:
        pictures: (48, 48, 3) each.
        columns: in a row.
    """
    sheet = np.full((-(-len(pictures) // columns) * SMALL, columns * SMALL, 3), 255, dtype=np.uint8)
    for k, picture in enumerate(pictures):
        if picture is not None:
            top, left = k // columns * SMALL, k % columns * SMALL
            sheet[top : top + SMALL, left : left + SMALL] = picture
    return Image.fromarray(sheet)


def webp(image: Image.Image, quality: int, *, method: int) -> bytes:
    """An image as WebP; a higher method takes longer for fewer bytes."""
    buffer = BytesIO()
    image.save(buffer, format="WEBP", quality=quality, method=method)
    return buffer.getvalue()
