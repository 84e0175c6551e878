"""The colour of an image in six numbers: what a control experiment sees where an encoder sees cells."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .pixels import Preprocessing

__all__ = ["ColourStatistics"]


class ColourStatistics:
    """Mean and standard deviation of red, green and blue over the centre crop; no shape, no texture.

    Calling it maps pixels (B, crop, crop, 3) uint8 to (B, 6) float32: three means, three deviations, of intensities
    from 0 to 1. An intensity is the middle of its step of 1/256, so that a black image is not all zeros.
    """

    dim = 6

    def __init__(self, crop: int) -> None:
        self.preprocessing = Preprocessing(crop, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        self.device = torch.device("cpu")

    def __call__(self, pixels: Tensor) -> NDArray[np.float32]:
        intensities = pixels.flatten(1, 2).to(torch.float32)  # (B, crop², 3)
        deviation, mean = torch.std_mean(intensities, dim=1, correction=0)
        return torch.cat([(mean + 0.5) / 256, deviation / 256], dim=1).numpy()
