"""What the explanation of a patient holds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..studies.trial import TrialSummary
from .images import Method
from .parts import PatientParts

__all__ = ["Explanation"]


@dataclass(frozen=True)
class Explanation:
    """One patient under the selected heads of a study.

    Attributes:
        id: the patient's.
        label: 0, 1, or −1 where not known.
        fold: the fold that the heads were fitted without; None for a patient without a label.
        members: (trial, weight) of each head; the weights add up to 1.
        reason: one sentence: which heads, and by which rule.
        n_models: fits of each head that were averaged: one, or one per fold for a test patient under encoders trained
            per fold.
        n_trained_on: patients behind each fit, the smallest number.
        probability: of malignant, the weighted mean of the heads'.
        each: the probability under each head, in the order of `members`.
        threshold: malignant at this probability or above.
        parts: log-odds as base + image + clinical, weighted means of the heads'; `parts.logit` is the mean of their
            log-odds, not the log-odds of `probability`.
        methods: how the images' contributions were found: method → fitted heads.
        n_attending: fitted heads that have a weight of attention for each image.
        images: one row per image, towards malignant first: image (file name), contribution (log-odds, weighted mean of
            the heads'; heads that see no image add 0, NaN where a head can say nothing of an only image), and attention
            (weighted mean over the heads that have it; NaN without).
        positions: (n_images,) int64, where the image of each row of `images` stands in the patient's bag, from 0.
        measurements: where the features have names, what the patient's cells measure, the columns of
            `measurements.measurement_table`, contributions as weighted means of the heads'; else None.
        values: the patient's clinical values, the columns of `values.value_table`, contributions as weighted means of
            the heads'; None where no head looks at any.
    """

    id: str
    label: int
    fold: int | None
    members: tuple[tuple[TrialSummary, float], ...]
    reason: str
    n_models: int
    n_trained_on: int
    probability: float
    each: tuple[float, ...]
    threshold: float
    parts: PatientParts
    methods: Mapping[Method, int]
    n_attending: int
    images: pd.DataFrame
    positions: NDArray[np.int64]
    measurements: pd.DataFrame | None = None
    values: pd.DataFrame | None = None

    def __repr__(self) -> str:
        return (
            f"<Explanation of {self.id}: probability {self.probability:.3f} of malignant (threshold "
            f"{self.threshold:.3f}), {len(self.images)} images, {len(self.members)} heads>"
        )
