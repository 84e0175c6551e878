"""One simulated cell as a picture: a lymphocyte among red cells, in the colours of a May-Grünwald-Giemsa stain.

Stains add up as optical densities and light falls off as exp(−density) (Beer and Lambert), so that cells that overlap
are darker, as under the microscope. What costs time is done once per slide (`Slide`): textures and red-cell stamps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

Plane = npt.NDArray[np.float32]

_ANGLES = 256
_THETA = np.linspace(-np.pi, np.pi, _ANGLES, endpoint=False, dtype=np.float32)
_BACKGROUND = np.array([254, 229, 204], dtype=np.float32)
# optical density in red, green and blue of one unit of: red cell, cytoplasm, nucleus
_STAINS = np.array([[0.38, 0.46, 0.26], [0.56, 0.52, 0.10], [1.05, 1.75, 0.55]], dtype=np.float32)


@dataclass(frozen=True)
class Slide:
    """What all images of one patient share. Drawn without regard to the label."""

    size: int
    background: Plane  # (size, size, 3), light without a cell, 0 to 255
    stains: Plane  # (3, 3), stain × colour, optical density
    softness: float  # width of an edge in pixels: the focus
    chromatin: Plane  # (side, side), unit-variance textures: coarse, fine, and the camera's noise
    grain: Plane
    noise: Plane
    red_cells: tuple[Plane, ...]  # stamps of optical density
    crowding: float  # mean number of red cells in an image


def simulate_slide(rng: np.random.Generator, size: int = 224) -> Slide:
    """A slide with its own stain, light, focus and red cells."""
    scale = size / 224
    side = size + size // 4
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    tilt = rng.normal(0, 0.012, 2)
    light = (
        1
        + tilt[0] * axis[:, None]
        + tilt[1] * axis
        - abs(rng.normal(0, 0.01)) * (axis[:, None] ** 2 + axis**2)
    )
    tint = _BACKGROUND * (1 + rng.normal(0, 0.01) + rng.normal(0, [0.003, 0.01, 0.015]))
    strength = np.exp(rng.normal(0, 0.08, (3, 1)) + rng.normal(0, 0.035, (3, 3)))
    softness = float(rng.uniform(1.2, 2.4)) * scale

    def texture(sigma: float) -> Plane:
        field = rng.standard_normal((side, side), dtype=np.float32)
        field = gaussian_filter(field, sigma, mode="wrap") if sigma else field
        return np.asarray(field / field.std(), dtype=np.float32)

    red = [_red_cell(rng, scale, softness) for _ in range(10)]
    return Slide(
        size=size,
        background=np.asarray(light[..., None] * tint, dtype=np.float32),
        stains=np.asarray(_STAINS * strength, dtype=np.float32),
        softness=softness,
        chromatin=texture(1.7 * scale),
        grain=texture(0.8 * scale),
        noise=texture(0.5) * np.float32(rng.uniform(1.0, 2.5)),
        red_cells=tuple(red),
        crowding=float(rng.uniform(15, 27)),
    )


@dataclass(frozen=True)
class PaintedCell:
    """A picture and what is true of it.

    Attributes:
        pixels: (size, size, 3) uint8 RGB.
        nucleus, cell: (size, size) bool; the nucleus lies inside the cell. Granules, and a nucleus that has burst,
            are painted beyond them.
    """

    pixels: npt.NDArray[np.uint8]
    nucleus: npt.NDArray[np.bool_]
    cell: npt.NDArray[np.bool_]


def paint_cell(
    slide: Slide, morphology: Mapping[str, float], rng: np.random.Generator, *, smudged: bool = False
) -> PaintedCell:
    """One cell near the centre, with its true masks.

    Args:
        morphology: the values named in `cells.MORPHOLOGY`.
        smudged: the cell has burst: no cytoplasm, a nucleus without an edge.
    """
    size, scale = slide.size, slide.size / 224
    radius = morphology["radius"] * scale
    layers = np.zeros((3, size, size), dtype=np.float32)
    centre = np.round(size / 2 + rng.normal(0, 3 * scale, 2)).astype(int)
    _scatter_red_cells(layers[0], slide, centre, radius, rng)
    _scatter_platelets(layers[2], slide, centre, radius, rng)
    nucleus, cell = _add_cell(layers, slide, morphology, radius, centre, rng, smudged=smudged)
    picture = np.empty((size, size, 3), dtype=np.float32)
    noise = _crop(slide.noise, (size, size), rng)
    for colour in range(3):
        density = layers[0] * slide.stains[0, colour]
        density += layers[1] * slide.stains[1, colour]
        density += layers[2] * slide.stains[2, colour]
        np.exp(np.negative(density, out=density), out=density)
        density *= slide.background[..., colour]
        density += noise
        picture[..., colour] = density
    return PaintedCell(np.clip(picture, 0, 255, out=picture).astype(np.uint8), nucleus, cell)


def _add_cell(
    layers: Plane,
    slide: Slide,
    m: Mapping[str, float],
    radius: float,
    centre: npt.NDArray[np.int64],
    rng: np.random.Generator,
    *,
    smudged: bool,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Cytoplasm and nucleus into `layers`, in the square around the cell; the masks of nucleus and cell."""
    size = slide.size
    half = int(radius * (1.75 + 2.2 * m["irregularity"])) + 4
    low, high = np.maximum(centre - half, 0), np.minimum(centre + half, size)
    box = (slice(low[0], high[0]), slice(low[1], high[1]))
    shape = (int(high[0] - low[0]), int(high[1] - low[1]))
    outline = radius * _outline(rng, m["irregularity"], m["corners"])
    depth = _depth(size, centre, low, high, outline)
    soft = slide.softness
    inside = np.clip(depth / soft + 0.5, 0, 1)
    layers[0][box] *= 1 - inside  # red cells lie beside a white one, not under it

    nuclear = radius * m["nuclear_ratio"]
    towards = rng.uniform(-np.pi, np.pi)
    shift = m["eccentricity"] * (radius - nuclear) * np.array([np.sin(towards), np.cos(towards)])
    wave = nuclear * _nuclear_outline(rng, m)
    nucleus_depth = _depth(size, np.round(centre + shift).astype(int), low, high, wave)
    nucleus = np.clip(nucleus_depth / (soft * (5.0 if smudged else 0.9)) + 0.5, 0, 1)
    if not smudged:
        nucleus *= np.clip(depth / soft, 0, 1)

    coarse, fine = _crop(slide.chromatin, shape, rng), _crop(slide.grain, shape, rng)
    rim = np.exp(-np.maximum(depth, 0) / (0.07 * radius + 1))
    cytoplasm = inside * (m["basophilia"] * (0.75 + 0.12 * coarse) + m["rim"] * rim)
    layers[1][box] += cytoplasm * (1 - 0.6 * nucleus)
    body = m["density"] * (0.92 + m["chromatin"] * (0.75 * coarse + 0.45 * fine))
    body += 0.25 * np.exp(-np.maximum(nucleus_depth, 0) / (0.05 * nuclear + 0.8))  # the membrane
    if m["nucleolus"] > 0:
        spot = np.round(centre + shift + rng.normal(0, 0.3 * nuclear, 2)).astype(int)
        pale = _depth(size, spot, low, high, np.full(_ANGLES, 0.2 * nuclear, dtype=np.float32))
        body -= m["nucleolus"] * m["density"] * np.clip(pale / (0.1 * nuclear) + 0.5, 0, 1)
    layers[2][box] *= 1 - inside
    layers[2][box] += nucleus * np.maximum(body, 0.1)
    _scatter_granules(layers[2], centre + shift, nuclear, radius, round(m["granules"]), rng)
    masks = np.zeros((2, size, size), dtype=bool)
    masks[1][box] = depth > 0
    masks[0][box] = (nucleus_depth > 0) & (depth > 0)
    return masks[0], masks[1]


def _outline(rng: np.random.Generator, irregularity: float, corners: float) -> Plane:
    """(256,) radius by angle, mean 1: low harmonics, and cusps where the cytoplasm is drawn out between red cells."""
    order = np.arange(2, 7, dtype=np.float32)[:, None]
    amplitude = irregularity * rng.normal(0, 1.6, (5, 1)) / order
    radius = 1 + (amplitude * np.cos(order * _THETA + rng.uniform(0, 2 * np.pi, (5, 1)))).sum(axis=0)
    n = int(rng.integers(3, 7))
    at = (np.arange(n) + rng.uniform(-0.3, 0.3, n)) * (2 * np.pi / n) + rng.uniform(0, 2 * np.pi)
    gap = np.abs(np.angle(np.exp(1j * (_THETA[:, None] - at))))
    radius += corners * (rng.uniform(0.4, 1.2, n) * np.exp(-gap / 0.28)).sum(axis=1)
    return np.asarray(np.maximum(radius / radius.mean(), 0.4), dtype=np.float32)


def _nuclear_outline(rng: np.random.Generator, m: Mapping[str, float]) -> Plane:
    """(256,) radius by angle, mean 1: an ellipse, lobes, and a dent."""
    turn, phase = rng.uniform(0, 2 * np.pi, 2)
    radius = 1 + m["elongation"] * np.cos(2 * (_THETA - turn))
    radius += m["lobes"] * np.cos(int(rng.integers(3, 6)) * _THETA + phase)
    radius += 0.3 * m["irregularity"] * np.cos(3 * _THETA + turn)
    return np.asarray(radius / radius.mean(), dtype=np.float32)


@lru_cache(maxsize=4)
def _polar(size: int) -> tuple[Plane, npt.NDArray[np.intp]]:
    """Distance from the middle of a (2·size, 2·size) grid, and the angle as an index into `_THETA`."""
    axis = np.arange(2 * size, dtype=np.float32) - size
    distance = np.hypot(axis[:, None], axis)
    angle = np.arctan2(axis[:, None], axis)
    index = np.round((angle + np.pi) * (_ANGLES / (2 * np.pi))).astype(np.intp) % _ANGLES
    return distance, index


def _depth(
    size: int,
    centre: npt.NDArray[np.int64],
    low: npt.NDArray[np.int64],
    high: npt.NDArray[np.int64],
    outline: Plane,
) -> Plane:
    """How far inside the outline each pixel of the box [low, high) lies, in pixels along the ray; negative outside."""
    distance, index = _polar(size)
    box = tuple(
        slice(int(a - c) + size, int(b - c) + size) for a, b, c in zip(low, high, centre, strict=True)
    )
    return np.asarray(outline[index[box]] - distance[box], dtype=np.float32)


def _crop(texture: Plane, shape: tuple[int, int], rng: np.random.Generator) -> Plane:
    """A random piece of a texture, turned over at random."""
    row, column = (
        int(rng.integers(0, have - want + 1)) for have, want in zip(texture.shape, shape, strict=True)
    )
    piece = texture[row : row + shape[0], column : column + shape[1]]
    return piece[:: int(rng.choice((-1, 1))), :: int(rng.choice((-1, 1)))]


def _red_cell(rng: np.random.Generator, scale: float, softness: float) -> Plane:
    """A disc's optical density with a pale centre."""
    radius = rng.normal(20.5, 2.0) * scale
    half = int(radius * 1.25) + 3
    axis = np.arange(-half, half + 1, dtype=np.float32)
    y, x = axis[:, None], axis
    stretch = rng.uniform(0.88, 1.12)
    turn = rng.uniform(0, np.pi)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    distance = np.hypot(u * stretch, v / stretch) / radius
    edge = np.clip((1 - distance) * radius / softness + 0.5, 0, 1)
    dent = rng.uniform(0.15, 0.85) * np.exp(-((distance / rng.uniform(0.3, 0.5)) ** 2))
    return np.asarray(edge * (0.95 - dent + 0.1 * distance), dtype=np.float32)


def _stamp(layer: Plane, stamp: Plane, row: int, column: int) -> None:
    """Add a stamp centred at (row, column), cut at the image's border."""
    half = stamp.shape[0] // 2
    top, left = row - half, column - half
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + stamp.shape[0], layer.shape[0]), min(left + stamp.shape[1], layer.shape[1])
    if y0 < y1 and x0 < x1:
        layer[y0:y1, x0:x1] += stamp[y0 - top : y1 - top, x0 - left : x1 - left]


def _scatter_red_cells(
    layer: Plane, slide: Slide, centre: npt.NDArray[np.int64], radius: float, rng: np.random.Generator
) -> None:
    """Red cells around the white one, pushed aside by it, mostly beside each other."""
    size, scale = slide.size, slide.size / 224
    margin = 15 * scale
    placed: list[tuple[float, float]] = []
    wanted = int(rng.poisson(slide.crowding))
    for row, column in rng.uniform(-margin, size + margin, (4 * wanted, 2)):
        if len(placed) == wanted:
            break
        if np.hypot(row - centre[0], column - centre[1]) < radius + 17 * scale:
            continue
        near = (27.0 if len(placed) % 4 == 0 else 38.0) * scale
        if all((row - r) ** 2 + (column - c) ** 2 > near**2 for r, c in placed):
            placed.append((row, column))
            _stamp(layer, slide.red_cells[int(rng.integers(len(slide.red_cells)))], int(row), int(column))


def _dot(radius: float, density: float) -> Plane:
    """A small soft disc."""
    half = int(np.ceil(radius + 2))
    axis = np.arange(-half, half + 1, dtype=np.float32)
    return np.asarray(density * np.clip(radius - np.hypot(axis[:, None], axis) + 0.5, 0, 1), dtype=np.float32)


def _scatter_platelets(
    layer: Plane, slide: Slide, centre: npt.NDArray[np.int64], radius: float, rng: np.random.Generator
) -> None:
    """A platelet or two in every third image."""
    scale = slide.size / 224
    for _ in range(int(rng.poisson(0.6))):
        row, column = rng.uniform(0, slide.size, 2)
        if np.hypot(row - centre[0], column - centre[1]) > radius + 10 * scale:
            dot = _dot(rng.uniform(2.5, 6) * scale, rng.uniform(0.3, 0.7))
            _stamp(layer, dot, int(row), int(column))


def _scatter_granules(
    layer: Plane,
    middle: npt.NDArray[np.float64],
    nuclear: float,
    radius: float,
    n: int,
    rng: np.random.Generator,
) -> None:
    """Fine violet granules in the cytoplasm beside the nucleus."""
    angle = rng.normal(rng.uniform(0, 2 * np.pi), 0.9, n)
    distance = rng.uniform(1.1 * nuclear, max(0.9 * radius, 1.1 * nuclear + 1), n)
    for a, d in zip(angle, distance, strict=True):
        dot = _dot(rng.uniform(0.7, 1.3) * radius / 42, 0.4)
        _stamp(layer, dot, int(middle[0] + d * np.sin(a)), int(middle[1] + d * np.cos(a)))
