"""Image files to pixels, the same way for every encoder."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..cohort.decoding import bit_depth, read_picture
from ..errors import InputError


@dataclass(frozen=True)
class Preprocessing:
    """Centre crop, scaled for networks that take one size only, and (pixel / 255 − mean) / std per channel.

    The crop keeps the scale of the smear: a cell's size is one of its findings. Scaling is bilinear with antialiasing,
    on the RGB pixels of the crop and of nothing around it, and by the same factor for all images.

    Attributes:
        crop: px, side of the centre crop.
        mean, std: of R, G and B.
        input_size: px, side of what the network sees; None: the crop as it is.
    """

    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input_size: int | None = field(default=None, kw_only=True)

    def normalise(self, pixels: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, crop, crop, 3) uint8 → (B, 3, S, S) `dtype` in channels-last memory, on the same device; S is `side`."""
        mean = torch.tensor(self.mean, device=pixels.device)
        std = torch.tensor(self.std, device=pixels.device)
        scaled = pixels.to(torch.float32).mul_(1 / (255 * std)).sub_(mean / std)
        return self.resized(scaled.permute(0, 3, 1, 2)).to(dtype)

    @property
    def side(self) -> int:
        """px, of what the network sees."""
        return self.input_size or self.crop

    def resized(self, images: Tensor) -> Tensor:
        """(B, 3, crop, crop) float32 → (B, 3, side, side), channels-last; as it is where the sides are equal."""
        if self.side == self.crop:
            return images
        size = (self.side, self.side)
        resized = functional.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
        return resized.contiguous(memory_format=torch.channels_last)


def read_crop(path: Path, crop: int, bits: int = 16) -> NDArray[np.uint8]:
    """Decode an image file and cut its centre: (crop, crop, 3) uint8 RGB.

    Grey, palette, CMYK and RGBA images are converted to RGB, channels of 16 bits scaled to 8.

    Args:
        path: the file.
        crop: pixels.
        bits: how many of 16 bits are used; see `lymphofeat.cohort.decoding.bit_depth`.

    Raises:
        InputError: not an image, damaged, of 32-bit values, or smaller than the crop.
    """
    return read_centre(path, crop, crop, bits)


def read_centre(
    path: Path, side: int, crop: int, bits: int = 16, *, padding: Literal["reflect", "constant"] = "reflect"
) -> NDArray[np.uint8]:
    """Decode an image file and cut or pad it to `side` around its centre: (side, side, 3) uint8 RGB.

    A smaller image is padded with its mirror image, or, with `padding` "constant", with black. With `side` − `crop`
    even, the centre crop of the result is `read_crop` of the file.

    Raises:
        InputError: not an image, damaged, of 32-bit values, or smaller than `crop`.
    """
    picture = read_picture(path)
    width, height = picture.image.size
    if min(width, height) < crop:
        raise InputError(f"{path} is {width} × {height} pixels, smaller than --crop {crop}.")
    if picture.image.mode in ("I", "F"):
        raise InputError(f"{path} holds 32-bit values of unknown range; save it with 8 bits per channel.")
    left, top = (width - side) // 2, (height - side) // 2
    box = (max(left, 0), max(top, 0), min(left + side, width), min(top + side, height))
    pixels = picture.pixels(box, bits)
    if pixels.shape[:2] == (side, side):
        return pixels
    rows = (max(-top, 0), max(top + side - height, 0))
    columns = (max(-left, 0), max(left + side - width, 0))
    return np.pad(pixels, (rows, columns, (0, 0)), mode=padding)


def recorded_depth(images: Sequence[Path]) -> dict[str, int]:
    """What an encoding records of `bit_depth`: nothing for images of 8 bits, or that use all 16."""
    bits = bit_depth(images)
    return {} if bits == 16 else {"bits": bits}


def read_block(paths: Sequence[Path], crop: int, bits: int = 16) -> Tensor:
    """Decode several files: (B, crop, crop, 3) uint8; arguments as of `read_crop`.

    Raises:
        InputError: as `read_crop`.
    """
    pixels = torch.empty((len(paths), crop, crop, 3), dtype=torch.uint8)
    target = pixels.numpy()
    for row, path in enumerate(paths):
        target[row] = read_crop(path, crop, bits)
    return pixels
