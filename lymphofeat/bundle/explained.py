"""What drives a bundle's prediction of new patients, as far as it can be told without the training patients.

The heads tell what each image adds, or leaving it out does. How much is due to the images and how much to the clinical
values cannot be told: what would stand in their place are the training patients', and a bundle holds none
(`lymphofeat.explanation.parts`). Of those it keeps ranges of the clinical values, and mean and spread of the features'
means per patient.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.bags import Bags
from ..cohort.clinical import clinical_frame
from ..cohort.model import Patient
from ..encoder.morphology.features import MORPHOLOGY, features_of
from ..explanation.images import ImageContributions, Method, contribution_table, image_contributions
from ..parallel import one_thread
from .model import Bundle
from .out_of_distribution import patient_means

__all__ = ["ExplainedPatient", "Unusual", "explain_patients"]

Floats = NDArray[np.float64]


class Unusual(NamedTuple):
    """A measurement of a patient's cells beside those of the training patients.

    Attributes:
        feature: its name.
        deviations: how far the mean over the patient's cells is above the mean of the training patients' means, in
            standard deviations of these.
    """

    feature: str
    deviations: float


@dataclass(frozen=True)
class ExplainedPatient:
    """One new patient.

    Attributes:
        id: the patient's.
        each: the probability under each head, in the order of the bundle's members.
        methods: how the images' contributions were found: method → fitted heads.
        images: one row per image, towards malignant first: image (name), contribution (log-odds, weighted mean of the
            heads'), and attention (NaN without).
        positions: (n_images,) int64, where the image of each row stands in the patient's bag, from 0.
        measured: where the features have names, all of them, the furthest from the training patients first.
        values: the clinical values that the heads look at: name → value, NaN or "" where missing.
    """

    id: str
    each: tuple[float, ...]
    methods: Mapping[Method, int]
    images: pd.DataFrame
    positions: NDArray[np.int64]
    measured: tuple[Unusual, ...]
    values: Mapping[str, object]

    @property
    def sees_images(self) -> bool:
        """Whether any of the heads sees an image."""
        return set(self.methods) != {"none"}


def explain_patients(
    bundle: Bundle, bags: Sequence[Bags], clinical: pd.DataFrame, patients: Sequence[Patient] = ()
) -> list[ExplainedPatient]:
    """Explain new patients by the bundle's heads.

    Args:
        bundle: the model.
        bags, clinical: of n patients, as `Bundle.asked` gives them.
        patients: (n,) of whom the names of the images are taken; none: images are numbered.
    """
    columns = ("age", "sex", "lymphocyte_count", *bundle.table.declared) if bundle.sees_clinical else ()
    frame = clinical_frame(clinical, tuple(bundle.table.declared))
    lengths = bags[0].lengths.tolist()
    names = [list(one.image_names) for one in patients] or [[f"{k + 1}" for k in range(n)] for n in lengths]
    if not bundle.sees_images:  # heads of clinical values are given bags of nothing
        names = [[] for _ in lengths]
    each = np.zeros((len(lengths), len(bundle.members)))
    shares: list[list[tuple[ImageContributions, float]]] = [[] for _ in lengths]
    with one_thread():
        for m, member in enumerate(bundle.members):
            for head, seen in zip(member.heads, bags, strict=True):
                each[:, m] += head.predict_proba(seen, frame)[:, 1] / len(member.heads)
                for k, one in enumerate(image_contributions(head, seen, frame)):
                    shares[k].append((one, member.weight / len(member.heads)))
        measured = _measured(bundle, bags)
    found = []
    for k, row in enumerate(clinical.to_dict("records")):
        some = shares[k] if bundle.sees_images else []
        images, positions = contribution_table(names[k], some)
        found.append(
            ExplainedPatient(
                str(row["id"]), tuple(each[k].tolist()), Counter(one.method for one, _ in shares[k]), images,
                positions, measured[k], {name: row[name] for name in columns},
            )
        )  # fmt: skip
    return found


def _measured(bundle: Bundle, bags: Sequence[Bags]) -> list[tuple[Unusual, ...]]:
    """Per patient, the features that have names, under the first fit's encoder."""
    nothing: list[tuple[Unusual, ...]] = [() for _ in range(len(bags[0]))]
    first = [bundle.encoders[one.encoder] for one in bundle.seen[0]] if bundle.seen else bundle.encoders[:1]
    if not bundle.images or not any(record.kind == MORPHOLOGY for record in first):
        return nothing
    widths = [one.dim for one in bundle.seen[0]] if bundle.seen else [len(bundle.images[0].mean)]
    names: list[str | None] = []
    for record, width in zip(first, widths, strict=True):
        own = [one.name for one in features_of(record.groups)] if record.kind == MORPHOLOGY else []
        names += own if len(own) == width else [None] * width
    known = bundle.images[0]
    deviations = (patient_means(bags[0]) - known.mean) / known.scale
    return [
        tuple(
            Unusual(name, float(row[k]))
            for k in np.argsort(-np.abs(row), kind="stable").tolist()
            if (name := names[k]) is not None
        )
        for row in deviations
    ]
