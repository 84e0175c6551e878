"""Images to named numbers, without a network: the frozen pass runs it as it runs an encoder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..pixels import Preprocessing, read_centre
from .background import measure_background
from .chromatin import measure_chromatin
from .colour import measure_colour
from .features import features_of
from .quality import NO_NUCLEUS, Quality
from .segmentation import segment
from .shape import measure_shape

__all__ = [
    "LEAST_SIDE", "FlaggedMorphology", "MorphologyEncoder", "read_framed", "split_flag", "without_frame"
]  # fmt: skip

LEAST_SIDE = 32  # pixels: smaller images show no cell that could be measured


class MorphologyEncoder:
    """Measures the cell in the middle of every image; see `features.FEATURES`.

    Calling it maps pixels (B, side, side, 3) uint8 to (B, D) float32; a row is NaN where no nucleus was found.

    Args:
        groups: of features, some of `features.GROUPS`.
        side: pixels of the square that is looked at, in the middle of the image. Smaller images have a black frame
            around them, which is cut off again.

    Attributes:
        names: (D,) of the features.
    """

    def __init__(self, groups: Sequence[str], side: int) -> None:
        self.groups = tuple(groups)
        self.names = [feature.name for feature in features_of(groups)]
        self.dim = len(self.names)
        self.preprocessing = Preprocessing(side, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        self.device = torch.device("cpu")

    def __call__(self, pixels: Tensor) -> NDArray[np.float32]:
        return self.measure(pixels.numpy())[0]

    def measure(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Features and how far each cell could be measured.

        Args:
            images: (B, h, w, 3) uint8 RGB.

        Returns:
            (B, D) float32 and (B,) uint8, keys of `quality.QUALITIES`.
        """
        features = np.full((len(images), self.dim), np.nan, dtype=np.float32)
        quality = np.full(len(images), NO_NUCLEUS, dtype=np.uint8)
        for row, image in enumerate(images):
            quality[row], values = self._measured(without_frame(image))
            if quality[row] != NO_NUCLEUS:
                features[row] = values
        return features, quality

    def _measured(self, image: NDArray[np.uint8]) -> tuple[Quality, list[float]]:
        cell = segment(image)
        if cell is None:
            return NO_NUCLEUS, []
        values: list[float] = []
        if "shape" in self.groups:
            values += measure_shape(cell)
        if "chromatin" in self.groups:
            values += measure_chromatin(cell)
        if "colour" in self.groups:
            values += measure_colour(cell)
        if "background" in self.groups:
            values += measure_background(image, cell)
        return cell.quality, values


class FlaggedMorphology:
    """As `MorphologyEncoder`, with the quality as one more column: (B, D + 1) float32."""

    def __init__(self, groups: Sequence[str], side: int) -> None:
        self._encoder = MorphologyEncoder(groups, side)
        self.device, self.preprocessing = self._encoder.device, self._encoder.preprocessing

    def __call__(self, pixels: Tensor) -> NDArray[np.float32]:
        features, quality = self._encoder.measure(pixels.numpy())
        return np.concatenate([features, quality[:, None].astype(np.float32)], axis=1)


def split_flag(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Features (B, D) and quality (B,) of what `FlaggedMorphology` gives."""
    return np.ascontiguousarray(rows[:, :-1]), rows[:, -1].astype(np.uint8)


def read_framed(paths: Sequence[Path], side: int, bits: int = 16) -> Tensor:
    """Decode images of any size: (B, side, side, 3) uint8, the middle of each, with a black frame where it is smaller.

    Args:
        paths: the files.
        side: pixels.
        bits: how many of 16 bits are used; see `lymphofeat.cohort.decoding.bit_depth`.

    Raises:
        InputError: as `read_centre`, of images smaller than `LEAST_SIDE`.
    """
    pixels = torch.empty((len(paths), side, side, 3), dtype=torch.uint8)
    target = pixels.numpy()
    for row, path in enumerate(paths):
        target[row] = read_centre(path, side, min(side, LEAST_SIDE), bits, padding="constant")
    return pixels


def without_frame(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image without rows and columns at its border that are wholly black; as it is, if nothing else is there."""
    if image[0].any() and image[-1].any() and image[:, 0].any() and image[:, -1].any():
        return image
    rows = np.flatnonzero(image.any(axis=(1, 2)))
    columns = np.flatnonzero(image.any(axis=(0, 2)))
    if not len(rows):
        return image
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
