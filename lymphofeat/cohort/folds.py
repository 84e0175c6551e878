"""Folds of patients: one person in one fold, the classes spread evenly, the same for the same seed."""

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .persons import persons

__all__ = ["assign_folds", "assign_repeats", "persons"]

Integers = NDArray[np.integer]

_SHUFFLES = 32


def assign_folds(labels: Integers, persons: Integers, n_folds: int, seed: int) -> NDArray[np.int8]:
    """Give each labelled patient a fold; scikit-learn's shuffled `StratifiedGroupKFold`.

    Args:
        labels: (n_patients,) 0, 1, or −1 where not known.
        persons: (n_patients,) person numbers; patients of one person share a fold.
        n_folds: 2 to 127.
        seed: the shuffle's seed, at least 0.

    Returns:
        (n_patients,) int8: 0 … n_folds − 1; −1 where the label is −1. Every fold has both classes.

    Raises:
        InputError: a class has fewer persons than there are folds, or no shuffle was found in which the persons with
            records of both classes leave no fold without one of them.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # 2 s to import; `persons` does without

    labels, persons = np.asarray(labels), np.asarray(persons)
    if not 2 <= n_folds <= np.iinfo(np.int8).max:
        raise InputError(f"The number of folds must be from 2 to 127, not {n_folds}.")
    known = np.flatnonzero(labels >= 0)
    for label, name in ((0, "reactive"), (1, "malignant")):
        n_persons = len(np.unique(persons[labels == label]))
        if n_persons < n_folds:
            raise InputError(
                f"{n_folds} folds need at least {n_folds} {name} persons (label {label}), and the cohort has "
                f"{n_persons}; ask for fewer folds or add patients."
            )
    # Persons with records of both classes can leave a greedy fold without one of them; another shuffle may not.
    for attempt in range(_SHUFFLES):
        shuffle = seed if attempt == 0 else int(np.random.SeedSequence((seed, attempt)).generate_state(1)[0])
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=shuffle)
        folds = np.full(len(labels), -1, dtype=np.int8)
        for fold, (_, held_out) in enumerate(splitter.split(known, labels[known], persons[known])):
            folds[known[held_out]] = fold
        if all(len(np.unique(labels[folds == fold])) == 2 for fold in range(n_folds)):
            return folds
    raise InputError(
        f"No division into {n_folds} folds was found in which each holds both classes, since some persons have "
        "records of both; ask for fewer folds, or correct the labels of those persons."
    )


def assign_repeats(
    labels: Integers, persons: Integers, n_folds: int, n_repeats: int, seed: int
) -> NDArray[np.int8]:
    """Fold assignments of repeated cross-validation.

    Returns:
        (n_patients, n_repeats) int8; column 0 is `assign_folds` with the same seed, the others are shuffled
        with seeds derived from it.

    Raises:
        InputError: fewer than 1 repeat, or as `assign_folds`.
    """
    if n_repeats < 1:
        raise InputError(f"The number of repeats must be at least 1, not {n_repeats}.")
    seeds = [seed] + [
        int(np.random.SeedSequence((seed, r)).generate_state(1)[0]) for r in range(1, n_repeats)
    ]
    return np.stack([assign_folds(labels, persons, n_folds, s) for s in seeds], axis=1)
