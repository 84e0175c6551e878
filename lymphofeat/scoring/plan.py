"""Which models a cross-validated score needs, and which encoding each of them may see."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.reader import Cache
from ..cache.split import Split
from ..cohort.folds import DEFAULT_FOLDS, fewest_of_a_class
from ..errors import InputError, LeakageError

__all__ = ["FoldPlan", "ScoringPlan"]

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class FoldPlan:
    """How one fold of one repeat is scored.

    Attributes:
        repeat, fold: column and value of `ScoringPlan.folds`.
        outer: number of the split that is trained without the fold and predicts it.
        train: rows of the training patients.
        inner: numbers of the splits trained without this fold and one other, which together predict every
            training patient once by a model that saw neither it nor this fold; None where an encoding
            or a class is lacking for one of them.
    """

    repeat: int
    fold: int
    outer: int
    train: Indices
    inner: tuple[int, ...] | None


@dataclass(frozen=True)
class ScoringPlan:
    """All fits behind a score, the same for every head on one encoder family.

    A fold's threshold is chosen on predictions of its training patients only. For K folds, a model trained
    without two folds serves both, so this takes K + K(K−1)/2 fits a repeat.

    For nested cross-validation the plan may leave an outer fold out altogether: its patients then have no label here,
    are neither learnt from nor predicted, and every encoding is blind to them too.

    Attributes:
        ids: of all patients, in the cache's order.
        clinical: their clinical values, what heads may know of them beside the images.
        labels: (n_patients,) int8, −1 for every patient outside the labelled part and in the fold that is left out,
            whatever the table says.
        labelled: (n,) rows of the labelled patients.
        folds: (n_patients, repeats) int8.
        splits: what to fit and to predict.
        scored: one plan per fold and repeat.
    """

    ids: tuple[str, ...]
    clinical: pd.DataFrame
    labels: NDArray[np.int8]
    labelled: Indices
    folds: NDArray[np.int8]
    splits: tuple[Split, ...]
    scored: tuple[FoldPlan, ...]

    @classmethod
    def of(
        cls, cache: Cache, encoder_family: str, repeats: int = 1, without: tuple[int, int] | None = None
    ) -> "ScoringPlan":
        """Plan the score of heads on `encoder_family`, averaged over the first `repeats` of the folds.

        Args:
            cache: a cache with labelled patients.
            encoder_family: an encoder family.
            repeats: how many repeats; 1 with `without`.
            without: a repeat (column of `Cache.folds`) and one of its folds: the score of its other folds, as if the
                patients of this one were not there.

        Raises:
            InputError: more repeats than the cache has, no such fold, or a fold without which one class is left.
            CacheError: no such encoder family.
            LeakageError: no encoding of the encoder family is blind to one of the folds, and to the one left out.
        """
        labels = labels_of(cache)
        columns = _columns(cache, repeats, without)
        left_out = None if without is None else without[1]
        if without is not None:
            labels[cache.folds[:, without[0]] == left_out] = -1
        labelled = np.flatnonzero(labels >= 0)
        splits: list[Split] = []
        scored: list[FoldPlan] = []
        for repeat, column in enumerate(columns):
            draft = _RepeatDraft(cache, encoder_family, repeat, column, left_out, labels, labelled, splits)
            scored.extend(draft.folds())
        folds = cache.folds[:, columns]
        ids = tuple(str(i) for i in cache.patients["id"])
        return cls(ids, cache.clinical, labels, labelled, folds, tuple(splits), tuple(scored))

    @property
    def y(self) -> NDArray[np.int8]:
        """(n,) labels of the labelled patients."""
        return self.labels[self.labelled]

    @property
    def repeats(self) -> int:
        return int(self.folds.shape[1])


def labels_of(cache: Cache) -> NDArray[np.int8]:
    """(n_patients,) int8 labels of the labelled part; −1 elsewhere, so that no test label can be used.

    Raises:
        InputError: the labelled part lacks one of the classes.
    """
    labels = np.full(len(cache.labels), -1, dtype=np.int8)
    labels[cache.labelled] = cache.labels[cache.labelled]
    for value, name in enumerate(("reactive", "malignant")):
        if not (labels == value).any():
            raise InputError(f"{cache.path} holds no labelled {name} patient; tuning needs both classes.")
    return labels


def _columns(cache: Cache, repeats: int, without: tuple[int, int] | None) -> list[int]:
    """The columns of `cache.folds` that a plan scores."""
    n_repeats = cache.folds.shape[1]
    if not 1 <= repeats <= n_repeats:
        raise InputError(
            f"{cache.path} holds {n_repeats} repeats of the folds, so between 1 and that many "
            f"repeats can be scored, not {repeats}."
        )
    if without is None:
        return list(range(repeats))
    column, fold = without
    if repeats != 1 or not 0 <= column < n_repeats or fold < 0 or fold not in cache.folds[:, column]:
        raise InputError(f"{cache.path} has no fold {fold} of repeat {column} to leave out of one repeat.")
    if len(np.unique(cache.folds[labels_of(cache) >= 0, column])) < 3:
        name, fewest = fewest_of_a_class(labels_of(cache), cache.groups)
        way = (
            f"make a cache with more: `lymphofeat extract --folds {min(fewest, DEFAULT_FOLDS)}`"
            if fewest > 2
            else f"the cohort has {fewest} {name} persons, which allows no more"
        )
        raise InputError(
            f"Without one of the folds, {cache.path} has a single one left, and nested cross-validation needs three "
            f"folds or more; {way}."
        )
    return [column]


@dataclass
class _RepeatDraft:
    """The splits of one repeat of folds, appended to `splits`."""

    cache: Cache
    encoder_family: str
    repeat: int
    column: int
    left_out: int | None
    labels: NDArray[np.int8]
    labelled: Indices
    splits: list[Split]

    def folds(self) -> Iterator[FoldPlan]:
        fold_of = self.cache.folds[self.labelled, self.column]
        names = [int(k) for k in np.unique(fold_of)]
        outer = {k: self._outer(k, fold_of != k) for k in names}
        pairs = {pair: self._pair(pair, ~np.isin(fold_of, pair)) for pair in combinations(names, 2)}
        for k in names:
            numbers = [number for pair, number in pairs.items() if k in pair]
            whole = tuple(number for number in numbers if number is not None)
            inner = whole if len(whole) == len(numbers) > 0 else None
            yield FoldPlan(self.repeat, k, outer[k], self.labelled[fold_of != k], inner)

    def _outer(self, fold: int, kept: NDArray[np.bool_]) -> int:
        if not self._both_classes(kept):
            raise InputError(
                f"Without fold {fold} of repeat {self.column}, the patients left to train on lack a class; "
                f"{self.cache.path} needs fewer folds or more patients of the rarer class."
            )
        return self._append((fold,))

    def _pair(self, pair: tuple[int, int], kept: NDArray[np.bool_]) -> int | None:
        if not self._both_classes(kept):
            return None
        try:
            return self._append(pair)
        except (
            LeakageError
        ):  # fine-tuned without encoders blind to two folds: the fold's threshold is its prior
            return None

    def _both_classes(self, kept: NDArray[np.bool_]) -> bool:
        return len(np.unique(self.labels[self.labelled[kept]])) == 2

    def _append(self, held_out: tuple[int, ...]) -> int:
        without = () if self.left_out is None else (self.left_out,)
        self.splits.append(
            self.cache.split(self.encoder_family, held_out, repeat=self.column, without=without)
        )
        return len(self.splits) - 1
