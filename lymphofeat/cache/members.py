"""Which encoders a fine-tuned encoder family has, and whom each of them may learn from.

Everything that keeps an encoder blind to the folds that it will be scored on is in this file: an encoder is handed
`LearningPatients`, and nobody of its held-out folds, and no test patient, is among them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..cohort.clinical_values import clinical_values
from ..cohort.folds import assign_folds, fewest_of_a_class, persons
from ..errors import InputError, LeakageError
from ..training.epochs import LearningBags
from ..training.train import LearningPatients
from .tables import CohortTables

__all__ = ["Member", "learning_bags", "learning_patients", "members_of", "validating"]


@dataclass(frozen=True)
class Member:
    """One encoder of an encoder family.

    Attributes:
        name: of its encoding.
        held_out: the folds of the cache's first repeat whose patients it must not learn from; None: it learns from
            no label at all.
    """

    name: str
    held_out: frozenset[int] | None


def members_of(encoder_family: str, folds: Iterable[int], *, nested: bool) -> list[Member]:
    """One encoder per fold, and for nested cross-validation one for every two folds.

    Raises:
        InputError: nested with fewer than three folds, which leaves nobody to learn from.
    """
    names = sorted({int(k) for k in folds})
    if nested and len(names) < 3:
        raise InputError(
            f"--nested needs at least 3 folds, and there are {len(names)}: without two of them nobody is left to train "
            "on; give more --folds or leave --nested out."
        )
    members = [Member(f"{encoder_family}-fold{k}", frozenset({k})) for k in names]
    if nested:
        members += [
            Member(f"{encoder_family}-folds{j}+{k}", frozenset({j, k})) for j, k in combinations(names, 2)
        ]
    return members


def learning_patients(
    tables: CohortTables, held_out: frozenset[int], values: tuple[str, ...], inner_folds: int, seed: int
) -> LearningPatients:
    """The labelled patients outside `held_out`, some of whom validate.

    Args:
        tables: of the cohort.
        held_out: folds of the first repeat.
        values: clinical values that the network sees; see `lymphofeat.training.networks.clinical_values`.
        inner_folds: see `validating`.
        seed: of the choice of those who validate.

    Raises:
        InputError: too few persons of a class are left.
    """
    table = tables.patients
    fold = tables.folds[:, 0]
    rows = np.flatnonzero(
        (table["split"] == "train").to_numpy() & (fold >= 0) & ~np.isin(fold, list(held_out))
    )
    sizes = table["n_images"].to_numpy(np.int64)
    labels = table["label"].to_numpy(np.int8)[rows]
    validates = validating(labels, persons(table)[rows], inner_folds, seed)
    chosen = LearningPatients(
        first=tables.offsets[rows],
        sizes=sizes[rows],
        labels=labels,
        values=clinical_values(table.iloc[rows], values),
        validates=validates,
    )
    _check_blind(tables, chosen, held_out)
    return chosen


def learning_bags(tables: CohortTables, *, with_test: bool) -> LearningBags:
    """The images of all patients of the labelled part, known labels or not; no label is looked at.

    Args:
        tables: of the cohort.
        with_test: those of the test part as well.

    Raises:
        InputError: there are none.
    """
    table = tables.patients
    rows = np.flatnonzero((table["split"] == "train").to_numpy() | with_test)
    if not len(rows):
        raise InputError(
            "The cohort has no labelled part whose images an encoder could learn from; --with-test lets it learn from "
            "those of the test part."
        )
    sizes = table["n_images"].to_numpy(np.int64)
    return LearningBags(tables.offsets[rows], sizes[rows])


def validating(
    labels: NDArray[np.int8], persons: NDArray[np.int64], inner_folds: int, seed: int
) -> NDArray[np.bool_]:
    """(n,) bool: one of `inner_folds` folds by person and class, or of fewer where a class has fewer persons.

    Raises:
        InputError: a class has fewer than two persons, or no division leaves both classes on both sides.
    """
    _, fewest = fewest_of_a_class(labels, persons)
    if fewest < 2:
        raise InputError(
            "Without the folds that an encoder must be blind to, a class has fewer than 2 persons left, so nobody "
            "can validate; ask for more --folds, leave --nested out, or add patients of the rarer class."
        )
    for n_folds in range(min(inner_folds, fewest), 2, -1):
        try:
            return np.asarray(assign_folds(labels, persons, n_folds, seed) == 0)
        except InputError:  # persons with records of both classes; coarser folds may still have both
            continue
    return np.asarray(assign_folds(labels, persons, 2, seed) == 0)


def _check_blind(tables: CohortTables, chosen: LearningPatients, held_out: frozenset[int]) -> None:
    """Look again, by the images themselves, that nobody of a held-out fold was chosen.

    Raises:
        LeakageError: somebody was.
    """
    sizes = tables.patients["n_images"].to_numpy(np.int64)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    seen = {int(fold) for fold in tables.folds[np.unique(owner[chosen.first]), 0]}
    if forbidden := seen & (held_out | {-1}):
        raise LeakageError(
            f"An encoder that must be blind to folds {sorted(held_out)} would learn from fold {min(forbidden)}."
        )
