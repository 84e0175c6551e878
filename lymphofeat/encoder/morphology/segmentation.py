"""The nucleus and the cell of an image that is centred on one, found without learning.

Absorbed light is measured as optical density, −log(intensity / light), where `light` is what the bare slide lets
through. Nuclei absorb green far more than anything else in a May-Grünwald-Giemsa smear. Cytoplasm is blue: it absorbs
red and lets blue through, while red cells absorb both in a proportion that is the same all over an image. Their
proportion is measured, and what absorbs more red than it explains is cytoplasm.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_multiotsu
from skimage.segmentation import watershed

from .masks import Mask, bounding_box, dilate, edge, erode, fill_holes, largest_part, open_disk
from .quality import BORDER, GOOD, NO_CYTOPLASM, Quality

__all__ = ["Segmentation", "binomial", "segment"]

Plane = NDArray[np.float32]
_LEVELS = np.arange(256, dtype=np.float64)
# Share of the pixels that are darker than the bare slide, which all but the most crowded images show.
_LIGHT_SHARE = 0.95
# Least area of a nucleus, as a share of the image: 400 pixels of 224 × 224, or 150 where nothing has these.
_SHARES = (0.008, 0.003)
_LEAST_DENSITY = 0.6  # of green, below which nothing is a nucleus
_ROOM = 52  # pixels of cytoplasm that a nucleus may have on a side
_TYPICAL_RED_CELL = np.array([0.36, 0.47, 0.22])  # optical density, where an image shows none
_ENOUGH_RED = 75  # pixels of every second row and column, to measure red cells by
# Least density of red in cytoplasm that the proportion of red cells does not explain, whatever the noise; and the same
# over the density of red. Polychromatic red cells reach a hue of 0.2, nuclei have 0.2 to 0.4.
_LEAST_EXCESS, _LEAST_HUE = 0.06, 0.22
_NUCLEAR_HUE = 0.1  # the same of a nucleus: overlapping red cells are as dark, and have 0
_BLUE = (1.0, 1.3)  # density of green over density of red in cytoplasm; nuclei have 1.4 to 1.9
_ENOUGH_BLUE = 60  # pixels, to measure that ratio by
_LEAST_RED = 0.15
_NECK = 0.62  # of the smaller body's inscribed radius: a narrower neck parts two nuclei
_OTHER = 0.25  # of the nucleus' area, from which on another dark part is a nucleus too
_EDGE = 0.3  # of the cytoplasm's median excess, at which the cell ends
_LEAST_WIDTH = 2.2  # pixels of cytoplasm around the nucleus, on average; less is the blur of its edge


@dataclass(frozen=True)
class Segmentation:
    """One cell, in a box around it.

    Attributes:
        quality: a key of `QUALITIES`; never `NO_NUCLEUS`.
        top, left: of the box in the image, pixels.
        nucleus, cell: (h, w) masks in the box; the nucleus lies inside the cell.
        density: (3, h, w) optical density of red, green and blue in the box.
        red_cells: (3,) median optical density of the image's red cells; typical values where it shows none.
        light: (3,) intensity of the bare slide.
    """

    quality: Quality
    top: int
    left: int
    nucleus: Mask
    cell: Mask
    density: Plane
    red_cells: NDArray[np.float64]
    light: NDArray[np.float64]


def binomial(plane: Plane) -> Plane:
    """Smoothed by (1 4 6 4 1) / 16 along both axes, a Gaussian of standard deviation 1; edges are repeated.

    Args:
        plane: (h, w) float32, of 3 pixels a side at least.
    """
    return np.asarray(_binomial_sum(plane) * np.float32(1 / 256))


def _binomial_sum(plane: Any) -> Any:
    """256 times the smoothed plane, in the plane's own numbers."""
    height, width = plane.shape
    p = np.empty((height + 4, width + 4), dtype=plane.dtype)
    p[2:-2, 2:-2] = plane
    p[:2], p[-2:] = p[2], p[-3]
    p[:, :2], p[:, -2:] = p[:, 2:3], p[:, -3:-2]
    for _ in range(4):
        p = p[:-1] + p[1:]
    for _ in range(4):
        p = p[:, :-1] + p[:, 1:]
    return p


def segment(image: NDArray[np.uint8]) -> Segmentation | None:
    """The cell in the middle of an image; None where there is no nucleus.

    Args:
        image: (h, w, 3) uint8 RGB, of 32 pixels a side at least.
    """
    coarse = image[::2, ::2]  # enough to know light and red cells by
    light = np.array([_light(np.ascontiguousarray(coarse[..., channel])) for channel in range(3)])
    green = (_binomial_sum(image[..., 1].astype(np.uint16)) + np.uint16(128)) >> np.uint16(8)
    bound = _nuclear_bound(green, light[1])
    if bound is None:
        return None
    dark = open_disk(np.pad(green <= bound, 2, mode="edge"), 2)[2:-2, 2:-2]
    red_cells, noise = _red_cells(coarse, green[::2, ::2], bound, light, dark[::2, ::2])
    proportion = float(np.clip(red_cells[0] / max(red_cells[2], 0.05), 1.0, 2.5))
    chosen = _central(dark, image, light, proportion)
    if chosen is None:
        return None
    top, bottom, left, right = bounding_box(chosen)
    rows = slice(max(top - _ROOM, 0), min(bottom + _ROOM, image.shape[0]))
    columns = slice(max(left - _ROOM, 0), min(right + _ROOM, image.shape[1]))
    box = (rows, columns)
    density = np.stack([_density(image[..., c][box], light[c]) for c in range(3)])
    smooth = Smooth(binomial(density[0]), _density(green[box], light[1]), binomial(density[2]), proportion)
    blue = smooth.excess > np.maximum(max(_LEAST_EXCESS, noise), _LEAST_HUE * smooth.red)
    middle = (image.shape[0] - 1) / 2 - rows.start, (image.shape[1] - 1) / 2 - columns.start
    nucleus, others = _nuclei(dark[box], chosen[box], blue, smooth, middle)
    cell = _cell(nucleus, others, blue, smooth.excess)
    return Segmentation(
        _quality(nucleus, cell, rows, columns, image.shape[:2]), rows.start, columns.start, nucleus, cell,
        density, red_cells, light,
    )  # fmt: skip


@dataclass(frozen=True)
class Smooth:
    """Smoothed optical densities in the box, (h, w) each.

    Attributes:
        red, green, blue: densities.
        proportion: of red to blue in red cells.
    """

    red: Plane
    green: Plane
    blue: Plane
    proportion: float

    @cached_property
    def excess(self) -> Plane:
        """Of red over what red cells of that density of blue would absorb."""
        return self.red - np.float32(self.proportion) * self.blue

    @cached_property
    def purple(self) -> Plane:
        """Density of green over that of red: high in nuclei, however dark the cytoplasm is."""
        return binomial(np.asarray(self.green / np.maximum(self.red, _LEAST_RED), dtype=np.float32))


def _light(channel: NDArray[np.uint8]) -> float:
    counts = np.bincount(channel.ravel(), minlength=256)
    return float(np.searchsorted(np.cumsum(counts), _LIGHT_SHARE * channel.size))


def _density(channel: NDArray[Any], light: float) -> Plane:
    table = np.log((light + 1) / (_LEVELS + 1)).astype(np.float32)
    return table.take(channel)


def _nuclear_bound(green: NDArray[np.uint16], light: float) -> float | None:
    """The smoothed green intensity up to which a pixel is nuclear: the lower of two thresholds after Otsu."""
    counts = np.bincount(green.ravel(), minlength=256).astype(np.float64)
    if np.count_nonzero(counts) < 3:
        return None
    low = float(threshold_multiotsu(hist=(counts, _LEVELS), classes=3)[0])  # type: ignore[no-untyped-call]
    return min(low, (light + 1) * math.exp(-_LEAST_DENSITY) - 1)


def _central(
    dark: Mask, image: NDArray[np.uint8], light: NDArray[np.float64], proportion: float
) -> Mask | None:
    """The dark part, large enough and of a nucleus' hue, that comes nearest to the middle of the image."""
    labels, n = ndimage.label(dark)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    sizes[0] = 0
    for share in _SHARES:
        large = sizes >= share * labels.size
        rows, columns = np.nonzero(large[labels])
        found = labels[rows, columns]
        distance = (rows - (labels.shape[0] - 1) / 2) ** 2 + (columns - (labels.shape[1] - 1) / 2) ** 2
        for _ in range(int(np.count_nonzero(large))):
            nearest = found[int(np.argmin(distance))]
            own = found == nearest
            pixels = image[rows[own][::5], columns[own][::5]]
            red, _, blue = np.log((light + 1) / (pixels + 1.0)).mean(axis=0)
            if red - proportion * blue > _NUCLEAR_HUE * red:
                return np.asarray(labels == nearest)
            distance[own] = np.inf
    return None


def _nuclei(
    dark: Mask, chosen: Mask, blue: Mask, smooth: Smooth, middle: tuple[float, float]
) -> tuple[Mask, Mask]:
    """The nucleus without deeply blue cytoplasm, which is as dark but absorbs less green for its red; other nuclei."""
    around = smooth.purple[blue & ~dilate(dark, 2)]
    cytoplasm = float(np.clip(np.median(around), *_BLUE)) if len(around) >= _ENOUGH_BLUE else _BLUE[1]
    bound = (cytoplasm + float(np.median(smooth.purple[chosen]))) / 2
    purple = dark & (smooth.purple > bound)
    purple = open_disk(np.pad(fill_holes(purple), 3, mode="edge"), 3)[3:-3, 3:-3]
    purple = dilate(purple, 1) & dark  # what the smoothing took
    own = _nearest(purple & chosen, middle)
    if 3 * np.count_nonzero(own) < np.count_nonzero(chosen):
        own = chosen
    own = fill_holes(erode(dilate(np.pad(own, 2), 2), 2)[2:-2, 2:-2])  # notches of one or two pixels
    return _parted(own, _large(purple & ~own, _OTHER * np.count_nonzero(own)), middle)


def _large(mask: Mask, least: float) -> Mask:
    """The connected parts of so many pixels."""
    labels, n = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    sizes[0] = 0
    return np.asarray((sizes >= max(least, 1))[labels])


def _nearest(mask: Mask, middle: tuple[float, float]) -> Mask:
    """The connected part that comes nearest to a point, of those that have a third of the largest's pixels."""
    labels, n = ndimage.label(mask)
    if n < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == _label_nearest(labels, middle, sizes * 3 >= sizes.max()))


def _label_nearest(labels: NDArray[np.int32], middle: tuple[float, float], legal: Mask) -> int:
    rows, columns = np.nonzero(legal[labels])
    at = int(np.argmin((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2))
    return int(labels[rows[at], columns[at]])


def _parted(nucleus: Mask, others: Mask, middle: tuple[float, float]) -> tuple[Mask, Mask]:
    """Nuclei that touch, cut where the neck between them is narrow; the one nearest to the middle, and all others."""
    top, bottom, left, right = bounding_box(nucleus)
    inside = nucleus[top:bottom, left:right]
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    widest = depth.max()
    if np.pi * widest**2 > 0.6 * np.count_nonzero(inside):
        return nucleus, others
    markers = _bodies(depth, widest)
    if markers is None:
        return nucleus, others
    parts = watershed(-depth, markers, mask=inside)  # type: ignore[no-untyped-call]
    legal = np.arange(parts.max() + 1) > 0
    own = np.zeros_like(nucleus)
    own[top:bottom, left:right] = parts == _label_nearest(parts, (middle[0] - top, middle[1] - left), legal)
    return own, others | (nucleus & ~own)


def _bodies(depth: NDArray[np.float64], widest: float) -> NDArray[np.int32] | None:
    """Markers of the bodies that a narrow neck joins; None where there is one body only."""
    for level in np.arange(1.0, _NECK * widest, max(widest / 16, 0.7)):
        markers, n = ndimage.label(depth > level)
        if n < 2:
            continue
        peaks = np.asarray(ndimage.maximum(depth, markers, np.arange(1, n + 1)))
        bodies = np.flatnonzero((peaks > 0.45 * widest) & (level < _NECK * peaks))
        if len(bodies) > 1:
            kept = np.zeros(n + 1, dtype=np.int32)
            kept[bodies + 1] = np.arange(1, len(bodies) + 1)
            return np.asarray(kept[markers])
    return None


def _red_cells(
    image: NDArray[np.uint8], green: NDArray[np.uint16], bound: float, light: NDArray[np.float64], dark: Mask
) -> tuple[NDArray[np.float64], float]:
    """(3,) median optical density of the red cells, and the noise of the excess of red in them."""
    upper = (light[1] + 1) * np.exp(-0.25) - 1
    red = (green > bound) & (green < upper)
    red &= ~dilate(dark, 3)
    at = np.flatnonzero(red)
    if len(at) < _ENOUGH_RED:
        return _TYPICAL_RED_CELL, 0.03
    tables = np.log((light[:, None] + 1) / (_LEVELS + 1))
    density = [tables[c].take(image[..., c].ravel()[at]) for c in range(3)]
    median = np.array([np.median(one) for one in density])
    excess = density[0] - median[0] / max(median[2], 0.05) * density[2]
    return median, float(1.48 * np.median(np.abs(excess)))


def _cell(nucleus: Mask, others: Mask, blue: Mask, excess: Plane) -> Mask:
    """The nucleus and the blue around it that is nearer to it than to another nucleus."""
    if others.any():
        to_own = ndimage.distance_transform_edt(~nucleus)
        blue = blue & (to_own <= ndimage.distance_transform_edt(~others))
    around = largest_part(blue | nucleus, nucleus) & ~dilate(nucleus, 2)
    if around.any():
        blue = blue & (excess > _EDGE * np.median(excess[around]))
    body = np.pad(dilate(blue | nucleus, 2), 2, mode="edge")
    body = open_disk(fill_holes(erode(body, 2)[2:-2, 2:-2]), 3) | nucleus
    return largest_part(body, nucleus)


def _quality(nucleus: Mask, cell: Mask, rows: slice, columns: slice, size: tuple[int, ...]) -> Quality:
    top, bottom, left, right = bounding_box(nucleus)
    if (
        rows.start + top == 0 or columns.start + left == 0
        or rows.start + bottom == size[0] or columns.start + right == size[1]
    ):  # fmt: skip
        return BORDER
    cytoplasm = np.count_nonzero(cell & ~nucleus)
    return NO_CYTOPLASM if cytoplasm < _LEAST_WIDTH * np.count_nonzero(edge(nucleus)) else GOOD
