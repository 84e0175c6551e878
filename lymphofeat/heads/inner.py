"""Folds inside the training patients, for what a head must learn on predictions of patients it did not see."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from ..cohort.clinical import person_numbers
from ..cohort.folds import fewest_of_a_class
from ..errors import InputError
from .base import Split

__all__ = ["grouped_folds", "inner_folds", "inner_splits"]

Indices = NDArray[np.int64]


def inner_folds(
    clinical: pd.DataFrame, y: NDArray[np.int8], n_folds: int, random_state: int
) -> list[tuple[Indices, Indices]]:
    """Folds of the training patients, the classes spread evenly, each person in one fold.

    Args:
        clinical: (n,) rows of the training patients; who may be one person is read from their index, see
            `cohort.clinical.clinical_frame`.
        y, n_folds, random_state, Returns, Raises: as `grouped_folds`.
    """
    return grouped_folds(person_numbers(clinical), y, n_folds, random_state)


def grouped_folds(
    who: Indices, y: NDArray[np.int8], n_folds: int, random_state: int
) -> list[tuple[Indices, Indices]]:
    """Folds of the training patients, the classes spread evenly, each person in one fold.

    With fewer persons of a class than `n_folds`, there are as many folds as those.

    Args:
        who: (n,) int64, equal where two patients may be one person.
        y: (n,) labels 0 and 1.
        n_folds: ≥ 2.
        random_state: of the shuffle.

    Returns:
        Per fold, positions of those to train on and of those held out, among the n.

    Raises:
        InputError: a class has one person only, or a fold would leave one class to train on.
    """
    _, fewest = fewest_of_a_class(y, who)
    if fewest < 2:
        raise InputError(
            "One class has a single training patient, and this head needs two of each to learn on held-out patients; "
            "add patients, or use a head without inner folds, such as logistic."
        )
    folds = _folds(who.tobytes(), y.astype(np.int8).tobytes(), min(n_folds, fewest), random_state)
    if any(len(np.unique(y[train])) < 2 for train, _ in folds):
        raise InputError(
            "Held-out patients of this head would leave one class to train on, since some persons have several "
            "records; add patients, or use a head without inner folds, such as logistic."
        )
    return folds


@lru_cache(maxsize=1024)  # scikit-learn takes milliseconds, and every trial asks for the same ones
def _folds(who: bytes, y: bytes, n_folds: int, random_state: int) -> list[tuple[Indices, Indices]]:
    labels = np.frombuffer(y, dtype=np.int8)
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=random_state)
    found = splitter.split(labels, labels, np.frombuffer(who, dtype=np.int64))
    return [(train, test) for train, test in found if len(test)]


def inner_splits(
    split: Split, clinical: pd.DataFrame, y: NDArray[np.int8], n_folds: int, random_state: int
) -> Sequence[Split]:
    """The inner folds of a split as splits of the whole cohort; none of them touches `split.test`.

    Args:
        split: the outer split.
        clinical, y: rows and labels of the whole cohort.
        n_folds, random_state, Raises: as `inner_folds`.
    """
    rows = split.train
    return [
        replace(split, train=rows[train], test=rows[test])
        for train, test in inner_folds(clinical.iloc[rows], y[rows], n_folds, random_state)
    ]
