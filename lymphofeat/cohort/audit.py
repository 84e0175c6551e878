"""The shortcut audit: how far things that must not decide separate the classes of a cohort.

A network or a head that can see such a thing (the number of images, the stain of the day, how a file was
saved) may score well on this cohort and fail on the next one. The audit measures each alone, on the labelled
patients, one value per patient.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..estimates.persons import Groups, repeating
from ..estimates.scores import Interval, bootstrap
from .images import ImageFacts
from .model import Cohort, Patient
from .persons import persons
from .values import known_value

__all__ = ["Shortcut", "audit_cohort"]

_CHANNELS = ("red", "green", "blue")


@dataclass(frozen=True)
class Shortcut:
    """One quantity's power to tell the classes apart, alone.

    Attributes:
        name: the quantity.
        auc: its AUC with a 95 % bootstrap interval, turned so that the AUC is at least 0.5.
        higher_in: the class with the larger values: "malignant" or "reactive".
        separates: whether the whole interval lies above 0.5.
        sentence: what that means; "" when it does not separate the classes.
        by_person: whether the interval draws persons, since some have several of the records.
    """

    name: str
    auc: Interval
    higher_in: str
    separates: bool
    sentence: str
    by_person: bool = False


def audit_cohort(
    cohort: Cohort, facts: Mapping[str, Sequence[ImageFacts]], *, seed: int = 0
) -> tuple[Shortcut, ...]:
    """Measure every quantity that varies among the labelled patients with decodable images.

    Args:
        cohort: the cohort.
        facts: ID → the facts of the patient's images (those that decode).
        seed: of the bootstrap (2000 resamples, stratified by class, whole persons).

    Returns:
        The shortcuts in a fixed order; () when a class has fewer than two patients.
    """
    rows = [
        row
        for row, p in enumerate(cohort.patients)
        if p.split == "train" and p.label >= 0 and facts.get(p.id)
    ]
    patients = [cohort.patients[row] for row in rows]
    groups = repeating(persons(cohort.table())[rows]) if rows else None
    labels = np.array([p.label for p in patients])
    if min((labels == 0).sum(), (labels == 1).sum()) < 2:
        return ()
    found = []
    for (name, consequence), values in _quantities(patients, facts, cohort.declared).items():
        if np.ptp(values) > 0:
            found.append(_shortcut(name, consequence, labels, values, groups, seed))
    return tuple(found)


def _quantities(
    patients: Sequence[Patient], facts: Mapping[str, Sequence[ImageFacts]], declared: Iterable[str]
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """(quantity, what would use it) → one value per patient."""
    measured = [
        np.mean(
            [(fact.size, fact.width, fact.height, *fact.mean, *fact.deviation) for fact in facts[p.id]],
            axis=0,
        )
        for p in patients
    ]
    by_image = np.array(measured).T  # (9, n_patients), means over the images
    colour = "a network that sees the stain rather than the cell would use it"
    table = "a head must not be given it"
    columns: dict[tuple[str, str], ArrayLike] = {
        ("bag size", "a head that sees the number of images would use it"): [len(p.images) for p in patients],
        ("mean file size", "a network that sees how files were compressed would use it"): by_image[0],
        ("image width", "a network that sees the scale would use it"): by_image[1],
        ("image height", "a network that sees the scale would use it"): by_image[2],
    }
    for c, channel in enumerate(_CHANNELS):
        columns[f"mean {channel}", colour] = by_image[3 + c]
    for c, channel in enumerate(_CHANNELS):
        columns[f"{channel} deviation within an image", colour] = by_image[6 + c]
    for order in sorted({p.date_order for p in patients if p.date_order})[:-1]:  # the last is the rest
        columns[f"date of birth written {order}", table] = [p.date_order == order for p in patients]
    columns["date of birth missing", table] = [p.birth is None for p in patients]
    columns["sex missing", table] = [not p.sex for p in patients]
    columns["count missing", table] = [np.isnan(p.count) for p in patients]
    for name in declared:
        columns[f"{name} missing", table] = [known_value(p.values, name) is None for p in patients]
    return {key: np.array(values, dtype=np.float64) for key, values in columns.items()}


def _shortcut(
    name: str,
    consequence: str,
    labels: NDArray[np.integer],
    values: NDArray[np.float64],
    groups: Groups,
    seed: int,
) -> Shortcut:
    interval = bootstrap("auc", labels, values, groups=groups, seed=seed).interval()
    higher_in = "malignant"
    if interval.value < 0.5:
        interval = Interval(1 - interval.value, 1 - interval.high, 1 - interval.low)
        higher_in = "reactive"
    separates = interval.low > 0.5
    figures = f"AUC {interval.value:.2f} ({interval.low:.2f}–{interval.high:.2f})"
    sentence = (
        f"{name[0].upper()}{name[1:]} alone separates the classes: {figures}, larger in {higher_in} patients; "
        f"{consequence}."
    )
    shown = sentence if separates else ""
    return Shortcut(name, interval, higher_in, separates, shown, groups is not None)
