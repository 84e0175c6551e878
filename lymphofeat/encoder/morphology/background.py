"""Slide, light and red cells around the cell: what separates patients here is the laboratory, not the cell."""

import numpy as np
from numpy.typing import NDArray

from .masks import dilate, edge
from .segmentation import Segmentation

__all__ = ["measure_background"]

_AROUND = 6  # pixels around the cell that are left out
# Green density below which the slide is bare, from which on a red cell lies, and from which on another nucleus does.
_BARE, _RED, _DARK = 0.08, 0.2, 0.9
_ENOUGH = 50  # pixels of bare slide, of which every fourth is looked at


def measure_background(image: NDArray[np.uint8], cell: Segmentation) -> list[float]:
    """The values of the group "background", in order.

    Args:
        image: (h, w, 3) uint8 RGB, the whole.
        cell: in it.
    """
    around = np.ones(image.shape[:2], dtype=bool)
    box = (slice(cell.top, cell.top + cell.cell.shape[0]), slice(cell.left, cell.left + cell.cell.shape[1]))
    around[box] = ~dilate(cell.cell, _AROUND)
    table = np.log((cell.light[1] + 1) / (np.arange(256) + 1)).astype(np.float32)
    green = table.take(image[..., 1])
    bare = around & (green < _BARE)
    red = around & (green > _RED) & (green < _DARK)
    at = np.flatnonzero(bare)[::4]
    pixels = image.reshape(-1, 3)[at] / 255 if len(at) >= _ENOUGH else np.tile(cell.light / 255, (2, 1))
    rims = np.flatnonzero(edge(red)[1:-1, 1:-1])
    down, right = (green[1:-1, 1:-1] - other for other in (green[:-2, 1:-1], green[1:-1, :-2]))
    sharpness = float(np.hypot(down.ravel()[rims], right.ravel()[rims]).mean()) if len(rims) else 0.0
    covered = int(np.count_nonzero(red)) / max(int(np.count_nonzero(around)), 1)
    return [*pixels.mean(axis=0), *pixels.std(axis=0), *cell.red_cells, covered, sharpness]
