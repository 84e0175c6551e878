"""Colour of nucleus and cytoplasm against the red cells of the same image, which were stained and lit alike."""

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab

from .masks import erode
from .segmentation import Segmentation

__all__ = ["measure_colour"]

_THIN = 20  # pixels: of less cytoplasm the colour is that of the cell's rim


def measure_colour(cell: Segmentation) -> list[float]:
    """The values of the group "colour", in order."""
    cytoplasm = cell.cell & ~cell.nucleus
    if np.count_nonzero(cytoplasm) < _THIN:
        cytoplasm = cell.cell & ~erode(cell.cell, 2)
    inside = [cell.density[:, mask].mean(axis=1, dtype=np.float64) for mask in (cell.nucleus, cytoplasm)]
    lab = rgb2lab(np.stack([_light_through(d, cell) for d in (*inside, cell.red_cells)])[None])[0]
    values: list[float] = []
    for density, colour in zip(inside, lab[:2], strict=True):
        values += (colour - lab[2]).tolist()
        values += (density / np.maximum(cell.red_cells, 0.05)).tolist()
    return values


def _light_through(density: NDArray[np.float64], cell: Segmentation) -> NDArray[np.float64]:
    """RGB from 0 to 1 of a mean density on the bare slide."""
    return np.clip((cell.light + 1) * np.exp(-density) - 1, 0, 255) / 255
