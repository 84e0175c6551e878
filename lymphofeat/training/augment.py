"""Augmentation of whole batches in tensors, on the device that trains; every random number from a given generator."""

import math
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..encoder.colour import (
    ColourPreprocessing,
    _empty,
    _parts,
    _planar,
    colour_matrices,
    jitter_colour,
    jitter_stain,
)
from ..encoder.pixels import Preprocessing
from ..errors import InputError

__all__ = [
    "AugmentSpec",
    "Augmenter",
]

ROTATIONS = ("none", "right", "any")
# Upper ends of the ranges; beyond them colours turn negative or the circle of hues is gone round twice.
_LIMITS = {"shift": 64, "brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5, "stain": 0.5}
# One uniform number in [0, 1) per image and name, whether used or not: switching one kind of augmentation on
# leaves the others as they were.
_COLUMNS = ("flip", "angle", "dy", "dx", "brightness", "contrast", "saturation", "hue")
N_DRAWS = len(_COLUMNS) + 6  # and α, β of three stains


@dataclass(frozen=True)
class AugmentSpec:
    """What may be done to a training image; the defaults do nothing.

    Attributes:
        flip: mirror left to right and top to bottom, each with probability ½.
        rotate: "none", "right" (0, 90, 180 or 270°), or "any" (angle uniform, bilinear).
        shift: pixels, the crop is moved by at most, up or down and left or right.
        brightness, contrast, saturation: factors are uniform in 1 ± this.
        hue: turns of the colour circle, uniform in ± this.
        stain: σ; stain amounts are multiplied by 1 ± σ and shifted by ± σ in optical density (0.05 is "light",
            0.2 "strong" in Tellez et al. 2019).
        grey: remove colour. Done at inference too.
        normalise_stain: give every image the same mean and deviation of optical density. Done at inference too.

    Raises:
        InputError: values out of range, all of them in one sentence.
    """

    flip: bool = False
    rotate: str = "none"
    shift: int = 0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    stain: float = 0.0
    grey: bool = False
    normalise_stain: bool = False

    def __post_init__(self) -> None:
        faults = augment_faults(asdict(self))
        if faults:
            raise InputError("; ".join(faults) + ".")

    def margin(self, crop: int) -> int:
        """The side, in pixels, of what must be stored of an image so that the crop never leaves it.

        Differs from `crop` by an even number, so that the centre stays the centre.
        """
        side = math.ceil(crop * math.sqrt(2)) if self.rotate == "any" else crop
        return side + (side - crop) % 2 + 2 * self.shift

    @property
    def jitters_colour(self) -> bool:
        return any((self.brightness, self.contrast, self.saturation, self.hue))


def augment_faults(values: dict[str, Any]) -> list[str]:
    """What is wrong with values for `AugmentSpec`'s fields, a phrase each; names that are not fields are left alone."""
    faults = []
    for field in fields(AugmentSpec):
        value = values.get(field.name, field.default)
        if isinstance(field.default, bool):
            if not isinstance(value, bool):
                faults.append(f"{field.name} is {value!r}; it must be true or false")
        elif field.name == "rotate":
            if value not in ROTATIONS:
                faults.append(f"rotate is {value!r}; it must be one of {', '.join(ROTATIONS)}")
        else:
            kinds = (int,) if field.name == "shift" else (int, float)
            number = isinstance(value, kinds) and not isinstance(value, bool)
            if not (number and 0 <= value <= _LIMITS[field.name]):
                kind = "a whole number" if field.name == "shift" else "a number"
                faults.append(f"{field.name} is {value!r}; it must be {kind} from 0 to {_LIMITS[field.name]}")
    return faults


class Augmenter:
    """A spec at work for one encoder.

    Args:
        spec: what to do.
        preprocessing: crop, mean and deviation of the encoder.

    Attributes:
        inference: how the trained encoder must see images: give it to `FrozenEncoder`.
        side: of the stored pixels that `augment` needs.
    """

    def __init__(self, spec: AugmentSpec, preprocessing: Preprocessing) -> None:
        self.spec = spec
        self.inference = ColourPreprocessing(
            preprocessing.crop, preprocessing.mean, preprocessing.std, spec.grey, spec.normalise_stain
        )
        self.side = spec.margin(preprocessing.crop)
        self.elements = _elements(spec)

    def augment(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """A random version of each image.

        Args:
            pixels: (B, side, side, 3) uint8 on any device; `side` as here, or larger by an even number.
            generator: of the CPU.

        Returns:
            (B, 3, crop, crop) float32, channels-last, on the device of `pixels`.
        """
        return self.apply(pixels, torch.rand(len(pixels), N_DRAWS, generator=generator))

    @torch.no_grad()
    def apply(self, pixels: Tensor, draws: Tensor) -> Tensor:
        """The version of each image that its row of `draws`, (B, N_DRAWS) uniform in [0, 1), asks for.

        The first draw d picks element ⌊d · len(elements)⌋ of the flips and right turns; element 0 changes nothing.
        """
        self._check(pixels, self.side)
        out = _empty(len(pixels), self.inference.crop, pixels.device, torch.float32)
        draws = draws.to(pixels.device)
        with torch.autocast(pixels.device.type, enabled=False):  # colours do not survive 8 bits of mantissa
            for part in _parts(pixels):
                out[part] = self._augmented(pixels[part], draws[part])
        return out

    @torch.no_grad()
    def plain(self, pixels: Tensor) -> Tensor:
        """The centre crop as at inference, shaped like `augment`'s result; `pixels` may be of any even margin."""
        crop = self.inference.crop
        self._check(pixels, crop)
        at = (pixels.shape[1] - crop) // 2
        with torch.autocast(pixels.device.type, enabled=False):
            return self.inference.normalise(pixels[:, at : at + crop, at : at + crop], torch.float32)

    def _check(self, pixels: Tensor, least: int) -> None:
        side = pixels.shape[1]
        fits = pixels.shape[1:] == (side, side, 3) and side >= least and (side - least) % 2 == 0
        if not fits or pixels.dtype != torch.uint8:
            raise ValueError(
                f"pixels are {tuple(pixels.shape)} {pixels.dtype}; should be (B, {least}, {least}, 3) uint8, "
                "or larger by an even number of pixels"
            )

    def _augmented(self, pixels: Tensor, draws: Tensor) -> Tensor:
        spec, inference = self.spec, self.inference
        plan = dict(zip(_COLUMNS, draws.unbind(dim=1), strict=False))
        placed = self._turned_freely if spec.rotate == "any" else self._turned
        x = inference.fixed(placed(pixels, plan))
        if spec.jitters_colour:
            x = jitter_colour(x, *colour_matrices(*self._factors(plan)))
        if spec.stain:
            amounts = spec.stain * (2 * draws[:, len(_COLUMNS) :] - 1)
            x = jitter_stain(x, 1 + amounts[:, :3], amounts[:, 3:])
        return inference.finish(x)

    def _turned(self, pixels: Tensor, plan: dict[str, Tensor]) -> Tensor:
        """Crops moved, mirrored and turned by right angles, without interpolation: (B, 3, P).

        One gather: each output pixel's place in the stored image is looked up in a table per flip and turn.
        """
        n, side, crop = len(pixels), pixels.shape[1], self.inference.crop
        at = (side - crop) // 2
        top, left = (at + self._offset(plan[name]) for name in ("dy", "dx"))
        table = _places(self.elements, crop, side).to(pixels.device)
        first = (torch.arange(n, device=pixels.device) * side + top) * side + left
        places = table[self._element(plan["flip"])] + first.to(torch.int32).unsqueeze(1)
        cropped = pixels.reshape(-1, 3).index_select(0, places.view(-1))
        return _planar(cropped.view(n, crop, crop, 3))

    def _turned_freely(self, pixels: Tensor, plan: dict[str, Tensor]) -> Tensor:
        """Crops moved, mirrored and turned by any angle, bilinear: (B, 3, P)."""
        n, side, crop = len(pixels), pixels.shape[1], self.inference.crop
        angle = 2 * math.pi * plan["angle"]
        mirror = torch.tensor([1.0 - 2 * flipped for flipped, _ in self.elements], device=pixels.device)
        sign = mirror[self._element(plan["flip"])]
        cos, sin = torch.cos(angle) * crop / side, torch.sin(angle) * crop / side
        dy, dx = (self._offset(plan[name]) * (2 / side) for name in ("dy", "dx"))
        # of grid_sample's coordinates, −1 to 1 across each image: where in the stored one an output pixel lies
        theta = torch.stack((sign * cos, -sign * sin, dx, sin, cos, dy), dim=1).view(n, 2, 3)
        grid = functional.affine_grid(theta, [n, 3, crop, crop], align_corners=False)
        stored = _planar(pixels).view(n, 3, side, side)
        return functional.grid_sample(stored, grid, padding_mode="border", align_corners=False).view(n, 3, -1)

    def _factors(self, plan: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of brightness, contrast and saturation, and the turn of hue, (B,) each."""
        spec = self.spec
        ranges = (spec.brightness, spec.contrast, spec.saturation, spec.hue)
        brightness, contrast, saturation, hue = (
            reach * (2 * plan[name] - 1) for reach, name in zip(ranges, _COLUMNS[4:], strict=True)
        )
        return 1 + brightness, 1 + contrast, 1 + saturation, hue

    def _element(self, draw: Tensor) -> Tensor:
        return (draw * len(self.elements)).to(torch.int64)

    def _offset(self, draw: Tensor) -> Tensor:
        return (draw * (2 * self.spec.shift + 1)).to(torch.int64) - self.spec.shift


def _elements(spec: AugmentSpec) -> tuple[tuple[bool, int], ...]:
    """The flips and right turns a spec allows, as (mirror left to right first?, quarter turns); the first is none."""
    if spec.rotate == "right":
        return tuple(
            (mirrored, k) for mirrored in ((False, True) if spec.flip else (False,)) for k in range(4)
        )
    if spec.rotate == "any":  # any angle contains the half turn that makes one mirror axis the other
        return ((False, 0), (True, 0)) if spec.flip else ((False, 0),)
    return ((False, 0), (True, 0), (True, 2), (False, 2)) if spec.flip else ((False, 0),)


@lru_cache(maxsize=8)
def _places(elements: tuple[tuple[bool, int], ...], crop: int, side: int) -> Tensor:
    """(elements, crop²) int32: where in a stored image, from the crop's corner on, each output pixel comes from."""
    steps = torch.arange(crop, dtype=torch.int32)
    grid = steps.view(-1, 1) * side + steps
    turned = [torch.rot90(grid.flip(1) if mirrored else grid, turns) for mirrored, turns in elements]
    return torch.stack(turned).view(len(elements), -1)
