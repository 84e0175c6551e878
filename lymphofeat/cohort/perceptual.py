"""Images that show one picture: copies that were saved anew, resized, mirrored, turned, made grey or binarised.

As in `pHash` (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions"), the low frequencies
of the discrete cosine transform of a grey thumbnail tell pictures apart. Here they stay numbers. Each is divided by its
root mean square over all images, so that what all cells have in common, a dark disc in the centre, weighs no more than
what tells one cell from another.

- Mirroring changes signs of coefficients, and turning by 90 degrees also swaps rows and columns. c(u, v)² + c(v, u)² is
  the same for all eight, and a k-d tree of these values finds candidates without comparing all pairs.
- A candidate is a copy if the coefficients correlate under one of the eight.
- A binarised image has dark and light and nothing between. It is compared with the others cut into as much dark and
  light as it has itself, black on white or white on black.

`docs/cohort.md` says what was measured.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.spatial import cKDTree

from .images import SIDE

__all__ = ["Copy", "find_copies"]

_N = 16  # frequencies a direction that tell a copy
_LOW = 5  # frequencies a direction that find candidates
_AXES = 8  # principal components of these
_RADIUS, _BINARY_RADIUS = 0.15, 0.6  # between candidates, of vectors of length 1
_SAME, _BINARY_SAME = 0.9, 0.8  # least correlations of copies; other pairs of cells stay below 0.6
_NEAREST = 5  # candidates of a binarised image
_NOISE = 1.0  # of a coefficient, from rounding to 256 greys
_BLANK = 2.0  # standard deviation of a thumbnail, greys; below it there is nothing to compare
_LEVELS = np.linspace(
    -2.2, 2.2, 12
)  # log-odds of the dark share: beyond 10 and 90 % there is too little to compare
_CHUNK = 8192

Floats = NDArray[np.float32]


class Copy(NamedTuple):
    """Two images that show one picture.

    Attributes:
        first, second: the numbers of the images, the smaller one first.
        mirrored: one is the other in a mirror.
        turned: one is turned by 90, 180 or 270 degrees.
        binarised: one of them has no greys, and the other has.
    """

    first: int
    second: int
    mirrored: bool
    turned: bool
    binarised: bool


def find_copies(thumbnails: NDArray[np.uint8], binary: NDArray[np.bool_]) -> list[Copy]:
    """All pairs of images that show one picture, by their numbers.

    Args:
        thumbnails: (n, 32, 32) uint8 grey.
        binary: (n,) bool: images with dark and light and nothing between.
    """
    coefficients = _coefficients(thumbnails)
    contrast = _length(coefficients, (1, 2))[:, 0, 0] / SIDE  # of the lower frequencies
    there = np.flatnonzero(contrast >= _BLANK)
    shown, two_levels = thumbnails[there], binary[there]
    found = [*_alike(coefficients[there], two_levels), *_binarised(shown, two_levels)]
    pairs: dict[tuple[int, int], Copy] = {}
    for copy in found:
        first, second = sorted((int(there[copy.first]), int(there[copy.second])))
        pairs.setdefault((first, second), copy._replace(first=first, second=second))
    return [pairs[pair] for pair in sorted(pairs)]


def _alike(coefficients: Floats, binary: NDArray[np.bool_]) -> Iterator[Copy]:
    """Images that are alike as they stand."""
    if len(coefficients) < 2:
        return
    whitened = _Whitened(coefficients)
    pairs = cKDTree(_principal(whitened.invariants)).query_pairs(_RADIUS, output_type="ndarray")
    for at in range(0, len(pairs), _CHUNK):
        first, second = pairs[at : at + _CHUNK].T
        correlation, symmetry = _best(whitened.values[first], whitened.values[second])
        for k in np.flatnonzero(correlation >= _SAME):
            one, other = int(first[k]), int(second[k])
            binarised = bool(binary[one] != binary[other])
            yield Copy(one, other, _MIRRORED[symmetry[k]], _TURNED[symmetry[k]], binarised=binarised)


def _principal(values: Floats) -> Floats:
    """The first principal components, in which a tree is much quicker; distances are no larger there."""
    centred = values - values.mean(axis=0)
    axes: Floats = np.linalg.eigh(centred.T @ centred)[1][:, -_AXES:]
    found: Floats = centred @ axes
    return found


def _binarised(thumbnails: NDArray[np.uint8], binary: NDArray[np.bool_]) -> Iterator[Copy]:
    """Binarised images and what they were made of."""
    others = np.flatnonzero(~binary)
    by_level: dict[int, list[tuple[int, bool]]] = defaultdict(list)
    for image in np.flatnonzero(binary).tolist():
        for inverted in (False, True):
            share = _dark_share(thumbnails[image], inverted=inverted)
            level = np.log(share / (1 - share)) if 0 < share < 1 else np.inf
            if abs(level) <= _LEVELS[-1] and len(others):
                by_level[int(np.abs(_LEVELS - level).argmin())].append((image, inverted))
    for number, images in by_level.items():
        cut = _cut(thumbnails[others], np.full(len(others), 1 / (1 + np.exp(-_LEVELS[number]))))
        whitened = _Whitened(_coefficients(cut))
        tree = cKDTree(whitened.invariants)
        shown = np.stack([255 - thumbnails[i] if inverted else thumbnails[i] for i, inverted in images])
        copies = _Whitened(_coefficients(shown), whitened.scale)
        near = tree.query(copies.invariants, k=range(1, _NEAREST + 1), distance_upper_bound=_BINARY_RADIUS)[1]
        rows, columns = np.nonzero(near < len(others))
        if not len(rows):
            continue
        candidates = others[near[rows, columns]]
        shares = np.array([_dark_share(one) for one in shown])[rows]
        exact = _Whitened(_coefficients(_cut(thumbnails[candidates], shares)), whitened.scale)
        correlation, symmetry = _best(exact.values, copies.values[rows])
        for k in np.flatnonzero(correlation >= _BINARY_SAME):
            yield Copy(
                int(candidates[k]),
                images[rows[k]][0],
                _MIRRORED[symmetry[k]],
                _TURNED[symmetry[k]],
                binarised=True,
            )


def _dark_share(thumbnail: NDArray[np.uint8], *, inverted: bool = False) -> float:
    light = float(thumbnail.mean()) / 255
    return light if inverted else 1 - light


def _cut(thumbnails: NDArray[np.uint8], dark: NDArray[np.float64]) -> Floats:
    """(n, 32, 32) float32: 0 for the share `dark` (n,) of the darkest pixels of each image, 255 for the others."""
    flat = thumbnails.reshape(len(thumbnails), -1)
    at = np.clip((dark * flat.shape[1]).astype(np.int64), 0, flat.shape[1] - 1)
    threshold = np.sort(flat, axis=1)[np.arange(len(flat)), at]
    return np.where(thumbnails >= threshold[:, None, None], 255, 0).astype(np.float32)


def _coefficients(thumbnails: NDArray[np.generic]) -> Floats:
    """(n, 16, 16) float32 of the lowest frequencies of the orthonormal cosine transform; that of the mean is 0."""
    transform = dct(np.eye(SIDE, dtype=np.float32), axis=0, norm="ortho")[:_N]
    found = np.empty((len(thumbnails), _N, _N), dtype=np.float32)
    for at in range(0, len(thumbnails), _CHUNK):
        found[at : at + _CHUNK] = transform @ thumbnails[at : at + _CHUNK].astype(np.float32) @ transform.T
    found[:, 0, 0] = 0
    return found


class _Whitened:
    """Coefficients divided by their usual size, each image's a unit vector.

    Attributes:
        values: (n, 16, 16) float32.
        scale: (16, 16) float32, the same for (u, v) and (v, u), so that turning an image stays a swap.
        invariants: (n, 14) float32 unit vectors, the same for an image mirrored or turned.
    """

    def __init__(self, coefficients: Floats, scale: Floats | None = None) -> None:
        if scale is None:
            square = np.square(coefficients).mean(axis=0)
            scale = np.maximum(np.sqrt((square + square.T) / 2), _NOISE)
        self.scale: Floats = scale
        values: Floats = np.asarray(coefficients / self.scale, dtype=np.float32)
        self.values: Floats = np.divide(values, _length(values, (1, 2)), dtype=np.float32)
        u, v = np.triu_indices(_LOW)
        u, v = u[1:], v[1:]  # without the mean
        found: Floats = np.hypot(self.values[:, u, v], self.values[:, v, u], dtype=np.float32)
        self.invariants: Floats = np.divide(found, _length(found, 1), dtype=np.float32)


def _length(values: Floats, axis: int | tuple[int, int]) -> Floats:
    length: Floats = np.sqrt(np.square(values).sum(axis=axis, keepdims=True))
    return np.maximum(length, np.float32(1e-9))


# Mirrored and turned, in the order of `_best`: as it is, left and right, up and down, both; then these transposed.
_MIRRORED = (False, True, True, False, True, False, False, True)
_TURNED = (False, False, False, True, True, True, True, True)


def _best(a: Floats, b: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """(n,) the largest correlation of each pair of images under the eight symmetries, and which of them it is."""
    correlations = []
    for other in (b, b.transpose(0, 2, 1)):
        product = a * other
        even, odd_v, odd_u, odd_both = (
            product[:, u::2, v::2].sum(axis=(1, 2)) for u in (0, 1) for v in (0, 1)
        )
        for sign_u in (1, -1):
            for sign_v in (1, -1):
                correlations.append(even + sign_v * odd_v + sign_u * odd_u + sign_u * sign_v * odd_both)
    of_all = np.stack(correlations, axis=1)
    which = of_all.argmax(axis=1)
    return of_all[np.arange(len(of_all)), which], which
