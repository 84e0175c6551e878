"""Texture of the nucleus, on green densities stretched between its own extremes: stain and light fall out."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .features import DISTANCES, SCALES
from .masks import Mask, bounding_box, erode, open_disk
from .segmentation import Segmentation, binomial

__all__ = ["cooccurrence", "cooccurrence_properties", "local_patterns", "measure_chromatin"]

Floats = NDArray[np.float64]
LEVELS = 16
_STRETCH = (0.02, 0.98)  # quantiles of the nucleus' densities that become the lowest and the highest level
_LIGHT = 0.3  # of the stretched range: what is lighter, inside the nucleus, is a light spot
_LEAST_SPOT = 6  # pixels
_RIM = 3  # pixels
_ANGLES = (0.0, math.pi / 4, math.pi / 2, 3 * math.pi / 4)
_SIXTEENTHS = math.sqrt(0.5)


def measure_chromatin(cell: Segmentation) -> list[float]:
    """The values of the group "chromatin", in order."""
    top, bottom, left, right = bounding_box(cell.nucleus)
    box = (slice(top, bottom), slice(left, right))
    nucleus = np.pad(cell.nucleus[box], 1)
    green = np.pad(cell.density[1][box], 1, mode="edge")
    values = green[nucleus]
    ordered = np.sort(values)
    low, high = (float(ordered[int(q * (len(ordered) - 1))]) for q in _STRETCH)
    stretched = np.clip((green - np.float32(low)) / np.float32(max(high - low, 1e-3)), 0, 1)
    inner = erode(nucleus, 1)
    texture = cooccurrence(
        np.minimum((stretched * LEVELS).astype(np.int64), LEVELS - 1), nucleus, DISTANCES, LEVELS
    )
    properties = cooccurrence_properties(texture).ravel().tolist()
    smooth = binomial(stretched)
    return [
        *properties, *_patterns(smooth, inner if inner.any() else nucleus), *_detail(stretched, nucleus),
        *_spots(smooth, nucleus), *_moments(values), _rim(green, nucleus),
    ]  # fmt: skip


def cooccurrence(levels: NDArray[np.int64], mask: Mask, distances: Sequence[int], n: int) -> Floats:
    """Shares of pairs of grey levels inside a mask, by one count.

    Args:
        levels: (h, w) from 0 to n − 1.
        mask: both pixels of a pair lie in it.
        distances: of the pairs, in the directions 0, 45, 90 and 135°.
        n: number of levels.

    Returns:
        (n_distances, n, n), summed over the directions, symmetric, each of sum 1 (0 where there is no pair).
    """
    h, w = levels.shape
    coded = np.where(mask, levels, n)  # one level more, for what lies outside
    codes = []
    for k, distance in enumerate(distances):
        for angle in _ANGLES:
            down, right = round(math.sin(angle) * distance), round(math.cos(angle) * distance)
            one = coded[: h - down, max(-right, 0) : w - max(right, 0)]
            other = coded[down:, max(right, 0) : w + min(right, 0)]
            codes.append((one * (n + 1) + other).ravel() + k * (n + 1) ** 2)
    counts = np.bincount(np.concatenate(codes), minlength=len(distances) * (n + 1) ** 2)
    pairs = counts.reshape(len(distances), n + 1, n + 1)[:, :n, :n].astype(np.float64)
    pairs += pairs.transpose(0, 2, 1)
    return np.asarray(pairs / np.maximum(pairs.sum(axis=(1, 2), keepdims=True), 1))


def cooccurrence_properties(shares: Floats) -> Floats:
    """(n_distances, 4): contrast, homogeneity, energy, correlation after Haralick; correlation 1 of a constant."""
    n = shares.shape[1]
    i, j = np.arange(n)[:, None], np.arange(n)[None]
    squared = (i - j) ** 2
    contrast = (shares * squared).sum(axis=(1, 2))
    homogeneity = (shares / (1 + squared)).sum(axis=(1, 2))
    energy = np.sqrt((shares**2).sum(axis=(1, 2)))
    one = shares.sum(axis=2)
    mean = one @ np.arange(n)
    variance = one @ np.arange(n) ** 2 - mean**2
    product = (shares * (i * j)).sum(axis=(1, 2)) - mean**2
    correlation = np.where(variance > 1e-12, product / np.maximum(variance, 1e-12), 1.0)
    return np.stack([contrast, homogeneity, energy, correlation], axis=1)


def local_patterns(plane: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Rotation-invariant uniform local binary patterns (Ojala, Pietikäinen & Mäenpää 2002) of 8 points at radius 1.

    Returns:
        (h − 2, w − 2): number of neighbours at least as high as the pixel where they follow one another, else 9; as
        `skimage.feature.local_binary_pattern(…, 8, 1, "uniform")` inside its border.
    """
    p = plane.astype(np.float64)
    middle = p[1:-1, 1:-1]
    near, a = 1 - _SIXTEENTHS, _SIXTEENTHS
    up, down, left, right = p[:-2, 1:-1], p[2:, 1:-1], p[1:-1, :-2], p[1:-1, 2:]

    def corner(vertical: Floats, horizontal: Floats, diagonal: Floats) -> NDArray[np.bool_]:
        value = near * near * middle + near * a * (vertical + horizontal) + a * a * diagonal
        return value >= middle - 1e-12

    ring = np.stack(
        [
            right >= middle, corner(up, right, p[:-2, 2:]), up >= middle, corner(up, left, p[:-2, :-2]),
            left >= middle, corner(down, left, p[2:, :-2]), down >= middle, corner(down, right, p[2:, 2:]),
        ]
    )  # fmt: skip
    changes = (ring != np.roll(ring, 1, axis=0)).sum(axis=0, dtype=np.uint8)
    return np.where(changes <= 2, ring.sum(axis=0, dtype=np.uint8), 9).astype(np.uint8)


def _patterns(density: NDArray[np.floating], mask: Mask) -> list[float]:
    """Shares of light points (all neighbours denser), dark points, corners, edges, and mixed patterns."""
    counts = np.bincount(local_patterns(density)[mask[1:-1, 1:-1]], minlength=10)
    shares = counts / max(counts.sum(), 1)
    return [
        float(shares[8]), float(shares[0]), float(shares[[1, 2, 6, 7]].sum()), float(shares[3:6].sum()),
        float(shares[9]),
    ]  # fmt: skip


def _detail(stretched: NDArray[np.floating], nucleus: Mask) -> list[float]:
    """Mean squared response of σ² × Laplacian of Gaussian inside the nucleus, whose surroundings are its mean."""
    filled = np.where(nucleus, stretched, stretched[nucleus].mean()).astype(np.float32)
    found = []
    for scale in SCALES:
        smooth, curved = _kernels(scale)
        along = [
            ndimage.correlate1d(ndimage.correlate1d(filled, smooth, 1 - axis), curved, axis)
            for axis in (0, 1)
        ]
        response = (along[0] + along[1])[nucleus] * scale**2
        found.append(float(np.mean(response**2)))
    return found


@lru_cache
def _kernels(scale: int) -> tuple[Floats, Floats]:
    """A Gaussian and its second derivative, cut at three standard deviations, as of `ndimage.gaussian_laplace`."""
    x = np.arange(-3 * scale, 3 * scale + 1)
    smooth = np.exp(-(x**2) / (2 * scale**2))
    smooth /= smooth.sum()
    return smooth, smooth * (x**2 / scale**4 - 1 / scale**2)


def _spots(smooth: NDArray[np.floating], nucleus: Mask) -> tuple[float, float]:
    """Number and share of light spots that keep clear of the nucleus' edge."""
    light = open_disk((smooth < _LIGHT) & erode(nucleus, _RIM), 1)
    labels, n = ndimage.label(light)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    sizes = sizes[sizes >= _LEAST_SPOT]
    return float(len(sizes)), float(sizes.sum() / np.count_nonzero(nucleus))


def _moments(values: NDArray[np.floating]) -> tuple[float, float]:
    """Coefficient of variation and skewness."""
    mean, deviation = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    if deviation < 1e-6:
        return 0.0, 0.0
    return deviation / max(mean, 0.05), float((((values - mean) / deviation) ** 3).mean())


def _rim(green: NDArray[np.floating], nucleus: Mask) -> float:
    core = erode(nucleus, _RIM)
    if not core.any():
        return 1.0
    return float(green[nucleus & ~core].mean() / max(green[core].mean(), 0.05))
