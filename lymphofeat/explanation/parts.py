"""How much of a patient's log-odds is due to the images, and how much to the clinical values: for any head.

Shapley values of the two (Lundberg & Lee, *A unified approach to interpreting model predictions*, NeurIPS 2017), where
what is not known is replaced by that of training patients. With f(x, v) the log-odds of images x and values v, and
means over training patients r, s taken independently,

    base     = mean f(xᵣ, vₛ)
    image    = ½ [ f(x, v) − mean f(xᵣ, v)  +  mean f(x, vₛ) − base ]
    clinical = ½ [ f(x, v) − mean f(x, vₛ)  +  mean f(xᵣ, v) − base ]

so that base + image + clinical = f(x, v). For a head that is linear in both they are its own parts, against the
mean training patient. The number of images goes with the images.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.bags import Bags
from .images import in_batches, log_odds_of

__all__ = ["PatientParts", "parts_of_patients", "patient_parts"]

_PAIRINGS = 4  # of every training patient's images with others' values, behind the base


@dataclass(frozen=True)
class PatientParts:
    """One patient's log-odds as base + image + clinical.

    Attributes:
        logit: the log-odds.
        base: mean log-odds of images and values of training patients put together at random.
        image, clinical: above 0 towards malignant.
    """

    logit: float
    base: float
    image: float
    clinical: float


def patient_parts(
    head: Any, bags: Bags, clinical: pd.DataFrame, row: int, training: NDArray[np.int64]
) -> PatientParts:
    """Split the log-odds of the patient at `row`.

    Args:
        head: fitted on `training`.
        bags, clinical: the whole cohort.
        row: the patient.
        training: (m,) rows of the training patients.
    """
    return parts_of_patients(head, bags, clinical, np.array([row]), training)[0]


def parts_of_patients(
    head: Any, bags: Bags, clinical: pd.DataFrame, rows: NDArray[np.int64], training: NDArray[np.int64]
) -> list[PatientParts]:
    """As `patient_parts`, of the patients at `rows`."""
    n, turned = len(training), np.arange(len(training))
    steps = np.unique(np.linspace(1, max(n - 1, 1), _PAIRINGS).astype(np.int64))

    def log_odds(images: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.float64]:
        return log_odds_of(head, bags.select(images), clinical.iloc[values])

    base = log_odds(
        np.tile(training, len(steps)), np.concatenate([training[(turned + step) % n] for step in steps])
    ).mean()
    found = []
    asked = n * bags.lengths[rows] + int(bags.lengths[training].sum())
    for some in in_batches(rows, asked):
        own, others = np.repeat(some, n), np.tile(training, len(some))
        f = log_odds(np.concatenate([some, own, others]), np.concatenate([some, others, own]))
        both, pairs = f[: len(some)], f[len(some) :].reshape(2, len(some), n).mean(axis=2)
        image = (both - pairs[1] + pairs[0] - base) / 2
        found += [
            PatientParts(one, float(base), part, one - float(base) - part)
            for one, part in zip(both.tolist(), image.tolist(), strict=True)
        ]
    return found
