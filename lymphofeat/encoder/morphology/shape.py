"""Size and outline of nucleus and cell."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .masks import Mask, bounding_box, edge
from .segmentation import Segmentation

__all__ = ["Outline", "measure_shape", "outline", "perimeter"]

# Length of an outline by the kinds of neighbours that its pixels have (Benkrid & Crookes, Design and FPGA
# implementation of a perimeter estimator, 2000), as scikit-image counts it.
_STEPS = np.zeros(50)
_STEPS[[5, 7, 15, 17, 25, 27]] = 1
_STEPS[[21, 33]] = math.sqrt(2)
_STEPS[[13, 23]] = (1 + math.sqrt(2)) / 2


class Outline:
    """Moments, perimeter and convex hull of a mask.

    Attributes:
        area: px².
        centre: row and column of the centroid.
        perimeter: px.
        major, minor: axes of the ellipse with the same second moments, px.
        eccentricity: of that ellipse.
        extent: area / area of the upright box.
        hull_area, hull_perimeter: of the convex hull of the pixels' squares.
        depth: px, the deepest pixel of the outline below the hull.
        radius_cv: standard deviation of the outline's distance from the centroid / its mean.
    """

    def __init__(self, mask: Mask) -> None:
        top, bottom, left, right = bounding_box(mask)
        inside = np.pad(mask[top:bottom, left:right], 1)
        rim = edge(inside)
        rows, columns = np.nonzero(rim)
        self.area = float(np.count_nonzero(inside))
        self.extent = self.area / ((bottom - top) * (right - left))
        self.perimeter = _perimeter(rim)
        row, column = self._moments(inside)
        self.centre = (row + top - 1, column + left - 1)
        radii = np.hypot(rows - row, columns - column)
        self.radius_cv = float(radii.std() / max(radii.mean(), 0.5))
        self.hull_area, self.hull_perimeter, self.depth = _hull(rows, columns)

    def _moments(self, inside: Mask) -> tuple[float, float]:
        along_rows, along_columns = inside.sum(axis=1, dtype=np.float64), inside.sum(axis=0, dtype=np.float64)
        y, x = np.arange(inside.shape[0]), np.arange(inside.shape[1])
        row, column = float(along_rows @ y / self.area), float(along_columns @ x / self.area)
        yy = along_rows @ (y - row) ** 2 / self.area
        xx = along_columns @ (x - column) ** 2 / self.area
        xy = (y - row) @ inside.astype(np.float64) @ (x - column) / self.area
        middle, half = (yy + xx) / 2, math.hypot((yy - xx) / 2, xy)
        self.major, self.minor = 4 * math.sqrt(middle + half), 4 * math.sqrt(max(middle - half, 0.0))
        self.eccentricity = math.sqrt(2 * half / (middle + half))
        return row, column

    @property
    def radius(self) -> float:
        """Of a circle of the same area."""
        return math.sqrt(self.area / math.pi)

    @property
    def form_factor(self) -> float:
        """4π area / perimeter²."""
        return 4 * math.pi * self.area / self.perimeter**2 if self.perimeter else 1.0

    @property
    def solidity(self) -> float:
        return self.area / self.hull_area


def outline(mask: Mask) -> Outline:
    """Measure a mask that is not empty."""
    return Outline(mask)


def perimeter(mask: Mask) -> float:
    """Length of a mask's outline in pixels, as `skimage.measure.perimeter` has it."""
    return _perimeter(edge(np.pad(mask, 1)))


def _perimeter(rim: Mask) -> float:
    """Of an outline that keeps clear of the array's border."""
    r = rim.astype(np.uint8)
    straight = r[:-2, 1:-1] + r[2:, 1:-1] + r[1:-1, :-2] + r[1:-1, 2:]
    diagonal = r[:-2, :-2] + r[:-2, 2:] + r[2:, :-2] + r[2:, 2:]
    kind = (1 + 2 * straight + 10 * diagonal)[rim[1:-1, 1:-1]]
    return float(np.bincount(kind, minlength=50)[:50] @ _STEPS)


def _hull(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> tuple[float, float, float]:
    """Area and perimeter of the hull of the middles of the pixels' sides, and the deepest outline pixel below it.

    Args:
        rows, columns: of the outline's pixels, ascending by row; only the outermost of a row can lie on the hull.
    """
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    last = np.append(first[1:], len(rows)) - 1
    left, right = _chain(rows[first], -columns[first]), _chain(rows[last], columns[last])
    corners = np.array([(r, -c) for r, c in left] + right[::-1])
    steps = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    twice = corners[:, 0] * steps[:, 1] - corners[:, 1] * steps[:, 0]  # rows run down
    below = (np.outer(rows, steps[:, 1]) - np.outer(columns, steps[:, 0]) - twice) / np.maximum(lengths, 1e-9)
    below = below[:, lengths > 1e-9]
    area = abs(float(twice.sum())) / 2
    return area, float(lengths.sum()), max(float(np.abs(below).min(axis=1).max()) - 0.5, 0.0)


def _chain(rows: NDArray[np.int64], outward: NDArray[np.int64]) -> list[tuple[float, float]]:
    """The hull of one side, (row, outward) from the top, of the outermost pixels of each row."""
    middles = _convex(zip(rows.tolist(), outward.tolist(), strict=True))
    return _convex(
        (r, o) for row, out in middles for r, o in ((row - 0.5, out), (row, out + 0.5), (row + 0.5, out))
    )


def _convex(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The convex chain over points of ascending row, by Andrew's algorithm."""
    chain: list[tuple[float, float]] = []
    for r, o in points:
        if chain and chain[-1][0] == r:
            if chain[-1][1] >= o:
                continue
            chain.pop()
        while len(chain) > 1:
            (r0, o0), (r1, o1) = chain[-2:]
            if (o1 - o0) * (r - r0) > (o - o0) * (r1 - r0):
                break
            chain.pop()
        chain.append((r, o))
    return chain


def measure_shape(cell: Segmentation) -> list[float]:
    """The values of the group "shape", in order."""
    n, c = outline(cell.nucleus), outline(cell.cell)
    shift = math.hypot(n.centre[0] - c.centre[0], n.centre[1] - c.centre[1])
    return [
        n.area, n.perimeter, n.form_factor, n.eccentricity, n.major, n.minor, n.solidity, n.extent,
        n.hull_perimeter / max(n.perimeter, 1.0), n.depth / n.radius, n.radius_cv,
        c.area, c.perimeter, c.form_factor, c.eccentricity, c.solidity, c.depth / c.radius, c.radius_cv,
        c.area - n.area, n.area / c.area, shift / c.radius,
    ]  # fmt: skip
