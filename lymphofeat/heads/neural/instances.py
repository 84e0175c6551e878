"""Instances in the coordinates of a split: standardised, and rotated onto principal axes if asked to.

Mean and covariance are those of the training patients, each patient weighing the same however many images it has, so
that the number of images plays no part. Every image is read once for many splits: patients that always train
together are summed together (float64), and a split adds up the sums of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache as once

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...cache.bags import Bags
from ...errors import InputError
from ..base import FitCache, Split

__all__ = ["MOST_AXES", "Coordinates", "coordinates_of", "coordinates_of_splits"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

# So many axes are kept between trials, whatever number a trial asks for.
MOST_AXES = 128
# Splits whose sums are held at a time: 2 MiB for each class of patients at 512 features.
_SPLITS_AT_ONCE = 16
_CHUNK_ROWS = 2048
_NOT_FINITE = "The features hold NaN or infinite values; extract the features again."


@dataclass(frozen=True)
class Coordinates:
    """Features → coordinates of instances.

    Attributes:
        mean, scale: (D,) float64; a constant feature has scale 1.
        loadings: (q, D) float64, √variance × axis in rows, widest first, of the standardised features; None: no
            rotation.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    mean: Floats
    scale: Floats
    loadings: Floats | None

    def transform(self, bags: Bags, dtype: torch.dtype = torch.float32) -> Tensor:
        """(n_rows, D) or (n_rows, q), bags one behind the other; unit variance, with axes so on average.

        Raises:
            InputError: a feature is not finite.
        """
        rotation = self._rotation()
        width = bags.dim if rotation is None else rotation.shape[1]
        rows = torch.empty((int(bags.lengths.sum()), width), dtype=dtype)
        # torch's own assignment wakes its threads for every bag: a hundred times as long where they must wait.
        target = rows.numpy() if dtype is torch.float32 else None
        mean, inverse = self.mean.astype(np.float32), (1 / self.scale).astype(np.float32)
        first, total = 0, 0.0
        for bag in bags:
            x = bag - mean
            x *= inverse
            x = x if rotation is None else x @ rotation
            if target is None:
                rows[first : first + len(bag)] = torch.from_numpy(x)
            else:
                target[first : first + len(bag)] = x
            with np.errstate(invalid="ignore", over="ignore"):
                total += float(x.sum())
            first += len(bag)
        if not np.isfinite(total):  # NaN and infinity survive every sum
            raise InputError(_NOT_FINITE)
        return rows

    def _rotation(self) -> NDArray[np.float32] | None:
        if self.loadings is None:
            return None
        lengths = np.linalg.norm(self.loadings, axis=1)
        typical = np.sqrt(np.mean(lengths**2)) or 1.0
        axes = self.loadings / np.where(lengths > 0, lengths, 1)[:, None]
        return np.asarray(axes.T / typical, dtype=np.float32)


def coordinates_of(bags: Bags, pca: int | None) -> Coordinates:
    """The coordinates that these training patients give.

    Args:
        pca: axes kept, at most `MOST_AXES` and D; None: standardised features as they are.

    Raises:
        InputError: a feature is not finite.
    """
    split = Split(bags, "", np.arange(len(bags)), np.empty(0, dtype=np.int64))
    return coordinates_of_splits([split], pca, FitCache())[0]


def coordinates_of_splits(splits: Sequence[Split], pca: int | None, fit_cache: FitCache) -> list[Coordinates]:
    """As `coordinates_of` the training patients of each split; kept in `fit_cache` between trials."""
    found: list[Coordinates] = []
    for first in range(0, len(splits), _SPLITS_AT_ONCE):
        some = splits[first : first + _SPLITS_AT_ONCE]
        found.extend(_some_coordinates(some, pca, fit_cache))
    return found


def _some_coordinates(splits: Sequence[Split], pca: int | None, fit_cache: FitCache) -> list[Coordinates]:
    @once
    def moments(digest: str) -> _Moments:
        alike = [s for s in splits if s.features_digest == digest]
        return _Moments.of(alike[0].bags, [s.train for s in alike], full=pca is not None)

    found = []
    for split in splits:
        number = [s.train is split.train for s in splits if s.features_digest == split.features_digest].index(
            True
        )

        def mean_and_scale(split: Split = split, number: int = number) -> Floats:
            return moments(split.features_digest).mean_and_scale(number)

        def loadings(split: Split = split, number: int = number) -> Floats:
            return moments(split.features_digest).loadings(number)

        trained_on = split.train.tobytes()
        mean, scale = fit_cache.get(
            ("instance scale", split.features_digest, trained_on, pca is None), mean_and_scale
        )
        kept = (
            fit_cache.get(("instance axes", split.features_digest, trained_on), loadings)[:pca]
            if pca
            else None
        )
        found.append(Coordinates(mean, scale, kept))
    return found


@dataclass(frozen=True)
class _Moments:
    """Sums over classes of patients that are in the training part of the same splits.

    Attributes:
        shift: (D,) float64, taken off every row first, so that a constant feature has variance 0 exactly.
        members: (n_classes, n_splits) bool, which class trains in which split.
        counts: (n_classes,) patients.
        first: (n_classes, D) sums of the patients' means.
        second: (n_classes, D, D) sums of the patients' mean outer products; (n_classes, D) of squares if not full.
    """

    shift: Floats
    members: NDArray[np.bool_]
    counts: Floats
    first: Floats
    second: Floats

    @classmethod
    def of(cls, bags: Bags, trains: Sequence[Indices], *, full: bool) -> "_Moments":
        member = np.zeros((len(bags), len(trains)), dtype=bool)
        for number, train in enumerate(trains):
            member[train, number] = True
        used = np.flatnonzero(member.any(axis=1))
        members, class_of = np.unique(member[used], axis=0, return_inverse=True)
        shift = bags[int(used[0])][0].astype(np.float64)
        first = np.zeros((len(members), bags.dim))
        second = np.zeros((len(members), bags.dim, bags.dim) if full else first.shape)
        for c in range(len(members)):
            for some in _chunks(used[class_of == c], bags.lengths):
                lengths = bags.lengths[some]
                x = np.concatenate(list(bags.select(some))) - shift
                weights = np.repeat(1 / lengths, lengths)
                first[c] += weights @ x
                if full:
                    x *= np.sqrt(weights)[:, None]
                    second[c] += x.T @ x
                else:
                    second[c] += weights @ (x * x)
        if not np.isfinite(first).all():
            raise InputError(_NOT_FINITE)
        return cls(shift, members, np.bincount(class_of).astype(np.float64), first, second)

    def mean_and_scale(self, split: int) -> Floats:
        mean, second = self._of_split(split)
        square = second if second.ndim == 1 else np.diag(second)
        scale = np.sqrt(np.maximum(square - mean**2, 0))
        return np.stack([self.shift + mean, np.where(scale > 0, scale, 1.0)])

    def loadings(self, split: int) -> Floats:
        mean, second = self._of_split(split)
        _, scale = self.mean_and_scale(split)
        correlation = (second - np.outer(mean, mean)) / np.outer(scale, scale)
        dim = len(mean)
        values, axes = scipy.linalg.eigh(correlation, subset_by_index=[max(0, dim - MOST_AXES), dim - 1])
        # An axis has no direction by itself; its largest element is made positive.
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
        return np.asarray((axes * np.sqrt(np.maximum(values, 0))).T[::-1])

    def _of_split(self, split: int) -> tuple[Floats, Floats]:
        chosen = self.members[:, split]
        count = self.counts[chosen].sum()
        return self.first[chosen].sum(axis=0) / count, self.second[chosen].sum(axis=0) / count


def _chunks(patients: Indices, lengths: Indices) -> Iterator[Indices]:
    """Runs of patients of about `_CHUNK_ROWS` rows; a larger bag may be a run of its own."""
    rows = np.cumsum(lengths[patients])
    runs = np.split(patients, np.searchsorted(rows, np.arange(_CHUNK_ROWS, rows[-1], _CHUNK_ROWS)))
    # A bag that reaches over several multiples leaves nothing between them.
    yield from (run for run in runs if len(run))
