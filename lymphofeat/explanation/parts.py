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
from .images import log_odds_of

__all__ = ["PatientParts", "patient_parts"]

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
    own = np.full(len(training), row)
    n, turned = len(training), np.arange(len(training))
    steps = np.unique(np.linspace(1, max(n - 1, 1), _PAIRINGS).astype(np.int64))
    images = np.concatenate([[row], own, training, *[training for _ in steps]])
    values = np.concatenate([[row], training, own, *[training[(turned + step) % n] for step in steps]])
    f = log_odds_of(head, bags.select(images.astype(np.int64)), clinical.iloc[values])
    both, own_images, own_values, base = (
        f[0],
        f[1 : 1 + n].mean(),
        f[1 + n : 1 + 2 * n].mean(),
        f[1 + 2 * n :].mean(),
    )
    image = (both - own_values + own_images - base) / 2
    return PatientParts(float(both), float(base), float(image), float(both - base - image))
