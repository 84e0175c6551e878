"""The same metrics in parts of the cohort, each with how many patients it rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ._checks import labels_and_decisions, labels_and_probabilities
from .metrics import DESCRIBED, describe
from .persons import Persons
from .scores import Interval

__all__ = ["FEWEST", "Subgroup", "describe_subgroups"]

FEWEST = 5  # persons of each class; fewer say nothing that a table should hold


@dataclass(frozen=True)
class Subgroup:
    """One part of the cohort.

    Attributes:
        name: as given.
        n, n_malignant: its patients.
        scores: (metric, interval) each; empty where it has fewer than `FEWEST` patients of a class.
    """

    name: str
    n: int
    n_malignant: int
    scores: list[tuple[str, Interval]]


def describe_subgroups(
    y: ArrayLike,
    p: ArrayLike,
    decision: ArrayLike,
    masks: Mapping[str, ArrayLike],
    *,
    names: Sequence[str] = DESCRIBED,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> list[Subgroup]:
    """The metrics of each subgroup; one of k subgroups misses its interval by chance in k times as many cohorts.

    Args:
        y, p, decision: (n,) of the whole cohort, as for `metrics.describe`.
        masks: name of the subgroup → (n,) bool, who belongs to it.
        names, groups, confidence, n_resamples, seed: as for `metrics.describe`.

    Raises:
        InputError: a mask that is not (n,) bool, or as `metrics.describe`.
    """
    labels, probabilities = labels_and_probabilities(y, p)
    _, decided = labels_and_decisions(y, decision)
    of_rows = Persons.behind(labels, groups).of_rows
    found = []
    for name, given in masks.items():
        mask = np.asarray(given)
        if mask.shape != labels.shape or mask.dtype != np.bool_:
            raise InputError(f"The subgroup {name!r} must be one true or false per patient.")
        n, n_malignant = int(mask.sum()), int(labels[mask].sum())
        scores = []
        if min(Persons.behind(labels[mask], of_rows[mask]).of_class) >= FEWEST:
            scores = describe(
                labels[mask],
                probabilities[mask],
                decided[mask],
                names=names,
                groups=of_rows[mask],
                confidence=confidence,
                n_resamples=n_resamples,
                seed=seed,
            )
        found.append(Subgroup(name, n, n_malignant, scores))
    return found
