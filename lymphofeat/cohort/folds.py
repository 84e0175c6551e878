"""Folds of patients: one person in one fold, the classes spread evenly, the same for the same seed.

A new cohort gets its folds by `assign_repeats`. In a cohort that grew, known patients keep theirs by `extend_folds`.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..wording import CLASSES, listed
from .persons import persons

__all__ = ["DEFAULT_FOLDS", "assign_folds", "assign_repeats", "extend_folds", "fewest_of_a_class", "persons"]

Integers = NDArray[np.integer]

DEFAULT_FOLDS = 5

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
    name, fewest = fewest_of_a_class(labels, persons)
    if fewest < n_folds:
        fewer = f"ask for {fewest} folds at most (--folds {fewest}), or " if fewest > 1 else ""
        raise InputError(
            f"{n_folds} folds need at least {n_folds} {name} persons, and the cohort has {fewest}; {fewer}add patients."
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


def fewest_of_a_class(labels: Integers, persons: Integers) -> tuple[str, int]:
    """The class with fewer persons, and how many they are: no more folds can be made.

    Args:
        labels, persons: as of `assign_folds`.
    """
    return min(
        ((name, len(np.unique(persons[labels == label]))) for label, name in CLASSES.items()),
        key=lambda one: one[1],
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


def extend_folds(
    labels: Integers,
    persons: Integers,
    known: Integers,
    n_folds: int,
    seed: int,
    order: ArrayLike,
) -> NDArray[np.int8]:
    """Folds of a cohort that grew: known patients keep theirs, new ones are dealt out.

    New persons are dealt one after another, those with most records first. Each goes to the fold that keeps the
    shares of the classes most even over the folds, then the numbers of patients (the criterion of scikit-learn's
    `StratifiedGroupKFold`, with variances for standard deviations, begun with the known patients). A seeded draw
    decides what is left even, one for each repeat. With single records, the folds' numbers of a class differ by no
    more than they did before, or by 1.

    A patient whose label was withdrawn still holds the person's fold, since encoders have learnt from that label. A
    cohort without any known patient is for `assign_repeats`.

    Args:
        labels: (n_patients,) 0, 1, or −1 where not known.
        persons: (n_patients,) person numbers; patients of one person share a fold.
        known: (n_patients, n_repeats) folds that patients have already; −1 where new, or never labelled.
        n_folds: more than any of `known`.
        seed: of the draws, at least 0.
        order: (n_patients,) what new persons are sorted by, such as the patients' IDs; no two alike. The result
            depends on these values and not on the order of the rows.

    Returns:
        (n_patients, n_repeats) int8: 0 … n_folds − 1, where labelled; −1 elsewhere. Every fold has both classes.

    Raises:
        InputError: known records of one person lie in different folds, or a fold ends without one of the classes.
    """
    labels, persons, known = (np.asarray(values) for values in (labels, persons, known))
    names, rank = np.unique(np.asarray(order), return_inverse=True)
    if len(names) != len(labels):
        raise ValueError("order: no two patients may be alike in it")
    if known.size and known.max() >= n_folds:
        raise ValueError(f"known: fold {known.max()} is not one of {n_folds}")
    by_rank = np.argsort(rank)
    labels, persons, known = labels[by_rank], persons[by_rank], known[by_rank]
    extended = np.full(known.shape, -1, dtype=np.int8)
    for repeat in range(known.shape[1]):
        before = _settled(labels, persons, known[:, repeat], names)
        extended[:, repeat] = _dealt(labels, before, persons, n_folds, (seed, repeat))
        _check_classes(labels, extended[:, repeat], n_folds, names)
    return extended[rank]


def _settled(labels: Integers, persons: Integers, known: Integers, names: NDArray[Any]) -> NDArray[np.int8]:
    """(n,) folds of the labelled records of persons with a known one; −1 elsewhere.

    Raises:
        InputError: a labelled person has known records in different folds.
    """
    first: dict[int, int] = {}  # person → the row whose fold holds
    labelled = set(persons[labels >= 0].tolist())
    for row in np.flatnonzero(known >= 0).tolist():
        person = int(persons[row])
        other = first.setdefault(person, row)
        if person in labelled and known[row] != known[other]:
            raise InputError(
                f"Patients {names[other]} and {names[row]} may be one person and lie in different folds: an "
                "encoder that learnt from one would be scored on the other; correct the table, or let --force draw "
                "new folds and train all encoders again."
            )
    settled = np.full(len(labels), -1, dtype=np.int8)
    for row in np.flatnonzero(labels >= 0).tolist():
        if (holds := first.get(int(persons[row]))) is not None:
            settled[row] = known[holds]
    return settled


def _dealt(
    labels: Integers, settled: NDArray[np.int8], persons: Integers, n_folds: int, seed: tuple[int, int]
) -> NDArray[np.int8]:
    """(n,) folds of all labelled records: the settled ones, and the other persons dealt one after another."""
    folds = settled.copy()
    counts = np.zeros((n_folds, 2))  # records of a class in a fold
    np.add.at(counts, (settled[settled >= 0], labels[settled >= 0]), 1)
    # Σ_c Σ_f (n_fc / N_c)² grows by Σ_c k_c (2 n_fc + k_c) / N_c² when k records go to fold f: least with this cost.
    scale = np.maximum(np.bincount(labels[labels >= 0], minlength=2), 1) ** 2
    rows: dict[int, list[int]] = {}
    for row in np.flatnonzero((labels >= 0) & (settled < 0)).tolist():
        rows.setdefault(int(persons[row]), []).append(row)
    # A cohort that grows again and again has other draws each time.
    draws = np.random.default_rng((*seed, int(counts.sum())))
    for records in sorted(rows.values(), key=len, reverse=True):
        more = np.bincount(labels[records], minlength=2)
        cost = (counts * (more / scale)).sum(
            axis=1
        )  # without BLAS: equal counts cost the same to the last bit
        best = np.flatnonzero(cost == cost.min())
        sizes = counts[best].sum(axis=1)
        fold = draws.choice(best[sizes == sizes.min()])
        folds[records] = fold
        counts[fold] += more
    return folds


def _check_classes(labels: Integers, folds: NDArray[np.int8], n_folds: int, names: NDArray[Any]) -> None:
    """Refuse folds of which one lacks a class.

    Raises:
        InputError: with patients that the fold has.
    """
    for fold in range(n_folds):
        for label, name in CLASSES.items():
            if np.any((folds == fold) & (labels == label)):
                continue
            inside = names[folds == fold].tolist()
            has = f"only {listed(inside)}" if inside else "nobody"
            raise InputError(
                f"Fold {fold} has no {name} patient left ({has}), since patients were removed or their labels "
                f"changed; add {name} patients, or let --force draw new folds and train all encoders again."
            )
