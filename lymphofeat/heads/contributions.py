"""What each image of a patient adds to the log-odds of malignant: the answer of the heads that can tell.

A head tells by a method `image_contributions` (`lymphofeat.heads.base.ExplainsImages`, docs/adding-a-head.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Contributions"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contributions:
    """The log-odds of n patients as sums: images + clinical + size + intercept.

    Attributes:
        method: "exact": the sums are the head's log-odds, and an image adds the same beside any other images.
            "attention": an image's part is weighed against the patient's other images. The sums are the log-odds of
            a head of one network; of several they are the mean of the networks' log-odds.
        images: per patient, (n_i,) float64: what each image adds, above 0 towards malignant.
        clinical: (n,) float64: what the clinical values add, against the mean of the training patients.
        size: (n,) float64: what the number of images adds; 0 unless the head was given that shortcut.
        intercept: what is added for every patient.
        weights: per patient, (n_i,) float64: attention, adding up to 1; None where the head keeps none.
    """

    method: Literal["exact", "attention"]
    images: Sequence[Floats]
    clinical: Floats
    size: Floats
    intercept: float
    weights: Sequence[Floats] | None = None

    @property
    def logits(self) -> Floats:
        """(n,) float64, the sums."""
        return np.array([v.sum() for v in self.images]) + self.clinical + self.size + self.intercept

    def __mul__(self, factor: float) -> "Contributions":
        """The parts of a head whose log-odds are `factor` times as large, without attention weights."""
        images = [factor * values for values in self.images]
        return Contributions(
            self.method, images, factor * self.clinical, factor * self.size, factor * self.intercept
        )

    def __add__(self, other: "Contributions") -> "Contributions":
        """The parts of a head whose log-odds are the sum of two heads', for the same patients.

        Raises:
            ValueError: one of them is not exact.
        """
        if {self.method, other.method} != {"exact"}:
            raise ValueError("Only exact contributions add up to those of a sum.")
        images = [one + two for one, two in zip(self.images, other.images, strict=True)]
        return Contributions(
            "exact", images, self.clinical + other.clinical, self.size + other.size,
            self.intercept + other.intercept,
        )  # fmt: skip
