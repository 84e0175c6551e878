"""What more patients would bring: heads of fixed parameters, fitted on fewer and fewer of them.

Inside every outer fold of the first repeat the head, or the average of several, learns from subsets of the fold's
training patients, drawn several times, nested in one another and with the classes' shares kept; it predicts the fold
under an encoding that is blind to it. Scores, not predictions, are averaged over the repeats. An inverse power law
goes through them (`estimates.learning_curve`), with an interval from resamples of the patients.

The parameters are held fixed at all sizes, for each fold those that were chosen without it (nested cross-validation),
so that the last score is the nested one of the probabilities as they are (for the AUC not on one scale, as `evaluate`
prints it: that takes inner predictions at every size). One head for all folds was selected on these very predictions:
its last score is optimistic and the curve too steep. Either way the parameters were chosen with all training patients:
a search on few of them would do worse, and its curve would rise more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.reader import Cache
from ..errors import InputError
from ..estimates import LearningCurve, fit_learning_curve, resample
from ..estimates.scores import Interval
from ..heads.base import FitCache, Head, Split, fit_predict
from ..parallel import one_thread
from ..progress import Progress, Silent
from ..scoring.plan import labels_of
from ..scoring.score import weighs_equally
from ..scoring.threshold import prevalence_threshold
from ..studies.space import build_head
from .runs import Runs

__all__ = ["LEARNING_METRICS", "Learning", "Members", "Params", "learning_curve"]

Indices = NDArray[np.int64]
Params = Mapping[str, Any]
Members = Sequence[tuple[Params, float]]

LEARNING_METRICS = ("auc", "balanced_accuracy")
_SMALLEST_SHARE = 0.25
_FEWEST_OF_CLASS = 6  # heads with inner folds need a few
_FIT_CACHE_BYTES = 1 << 28
_BEYOND = (1.5, 2.0)  # times the training patients that there are


@dataclass(frozen=True)
class Learning:
    """A measured and extrapolated learning curve.

    Attributes:
        metric: "auc" or "balanced_accuracy" (threshold at the share of malignant among the patients learnt from).
        head_types: of the heads, by fold and member; their parameters are held fixed.
        n_heads: that are averaged in a fold, the largest number.
        n_draws: subsets of each size but the largest.
        n_now: training patients of an outer fold, on average.
        gain: what twice as many would add, with its 95 % interval, which takes the law on trust.
        table: one row per size, ascending: n (training patients), score with 95 % percentile bounds by patient (NaN
            beyond `n_now`), fitted with bounds, measured.
    """

    metric: str
    head_types: tuple[str, ...]
    n_heads: int
    n_draws: int
    n_now: float
    gain: Interval
    table: pd.DataFrame


_Heads = Sequence[tuple[Head, float]]


@dataclass(frozen=True)
class _Fold:
    """A fold's whole split, and its patients to learn from, by class."""

    split: Split
    of_class: tuple[Indices, Indices]


def learning_curve(
    cache: Cache,
    encoder_family: str,
    params: Params | Sequence[Members],
    *,
    metric: str = "auc",
    n_sizes: int = 8,
    n_draws: int = 5,
    n_resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Learning:
    """Measure the head on `n_sizes` numbers of training patients, from a quarter to all of them, and extrapolate.

    Args:
        cache: a cache with labelled patients.
        encoder_family: whose encodings the head sees.
        params: a head's, as a trial has them; or for each fold, by the folds' numbers, (params, weight) of the heads
            that are averaged, as `NestedFold.members` has them.
        metric: one of `LEARNING_METRICS`.
        n_sizes: ≥ 3, spaced evenly in their logarithm.
        n_draws: subsets of each size, ≥ 1. It takes 1 + n_draws (n_sizes − 1) fits of every head of a fold.
        n_resamples, seed: of the bootstrap; the seed also draws the subsets.
        progress: told of every size and draw.

    Raises:
        InputError: bad arguments, too few patients of a class, or a score that does not vary over resamples (a flawless
            one).
        CacheError, LeakageError: no such encoder family, or a fold that no encoding of it is blind to.
    """
    _check(metric, n_sizes, n_draws)
    labels = labels_of(cache)
    labelled, groups = np.flatnonzero(labels >= 0), cache.groups
    folds = _folds(cache, encoder_family, labels)
    shares = _shares(folds, n_sizes)
    chosen: list[Members] = [[(params, 1.0)]] if isinstance(params, Mapping) else list(params)
    if len(chosen) != len(folds) and not isinstance(params, Mapping):
        raise InputError(f"There are {len(folds)} folds, and parameters for {len(chosen)}.")
    heads = [[(build_head(one), weight) for one, weight in members] for members in chosen]
    fit_cache, progress = FitCache(_FIT_CACHE_BYTES), progress or Silent()
    orders = [_orders(folds, groups, seed, draw) for draw in range(n_draws)]
    sizes, values, resampled, bounds = [], [], [], []
    progress.start("learning curve", 1 + n_draws * (n_sizes - 1), "fit")
    try:
        for share in shares:
            runs, size = [], 0.0
            for order in orders[: 1 if share == 1 else n_draws]:
                splits = [_split(fold, parts, share) for fold, parts in zip(folds, order, strict=True)]
                runs.append(_predicted(heads, splits, cache, labels, fit_cache))
                size = float(np.mean([len(split.train) for split in splits]))
                progress.advance()
            weighted = _runs(labels, labelled, runs).weighted(metric)
            found = resample(
                weighted, labels[labelled], groups=groups[labelled], n_resamples=n_resamples, seed=seed
            )
            sizes.append(size)
            values.append(found.value)
            resampled.append(found.resampled)
            bounds.append(found.percentile())
    finally:
        progress.stop()
    curve = fit_learning_curve(sizes, values, np.column_stack(resampled))
    now, head_types = sizes[-1], tuple(str(one["family"]) for members in chosen for one, _ in members)
    table = _table(curve, sizes, bounds)
    n_heads = max(len(members) for members in chosen)
    return Learning(metric, head_types, n_heads, n_draws, now, curve.gain(now, 2 * now), table)


def _table(curve: LearningCurve, sizes: list[float], scores: list[Interval]) -> pd.DataFrame:
    unknown = Interval(*[float("nan")] * 3)
    measured = [(n, score, True) for n, score in zip(sizes, scores, strict=True)]
    beyond = [(factor * sizes[-1], unknown, False) for factor in _BEYOND]
    rows = [
        {"n": n, **_named("score", score), **_named("fitted", curve.at(n)), "measured": seen}
        for n, score, seen in [*measured, *beyond]
    ]
    return pd.DataFrame(rows)


def _folds(cache: Cache, encoder_family: str, labels: NDArray[np.int8]) -> list[_Fold]:
    found = []
    for split in cache.splits(encoder_family).values():
        reactive, malignant = (split.train[labels[split.train] == label] for label in (0, 1))
        found.append(_Fold(split, (reactive, malignant)))
    return found


def _shares(folds: list[_Fold], n_sizes: int) -> list[float]:
    """Shares of the training patients, the last 1; the least leaves every fold some patients of either class."""
    fewest = min(len(rows) for fold in folds for rows in fold.of_class)
    least = max(_SMALLEST_SHARE, _FEWEST_OF_CLASS / max(fewest, 1))
    if least > 0.6:
        raise InputError(
            f"A fold leaves {fewest} patients of one class to train on; a learning curve needs at least "
            f"{int(np.ceil(_FEWEST_OF_CLASS / 0.6))}."
        )
    return [*np.geomspace(least, 1.0, n_sizes)[:-1].tolist(), 1.0]


def _orders(folds: list[_Fold], groups: Indices, seed: int, draw: int) -> list[tuple[Indices, Indices]]:
    """Per fold, its training patients of each class in a random order; subsets are beginnings of these.

    Records of one person stand together, so that a subset has fewer persons, not fewer records of each.
    """
    rng = np.random.default_rng([seed, draw])

    def ordered(rows: Indices) -> Indices:
        mixed = rng.permutation(rows)
        _, first, person = np.unique(groups[mixed], return_index=True, return_inverse=True)
        return mixed[np.argsort(first[person], kind="stable")]

    return [(ordered(fold.of_class[0]), ordered(fold.of_class[1])) for fold in folds]


def _split(fold: _Fold, order: tuple[Indices, Indices], share: float) -> Split:
    train = np.sort(np.concatenate([rows[: max(1, round(share * len(rows)))] for rows in order]))
    return fold.split.learning_from(train)


def _predicted(
    heads: Sequence[_Heads], splits: list[Split], cache: Cache, labels: NDArray[np.int8], fit_cache: FitCache
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n_patients,) probabilities and decisions, of all folds; those without a label stay NaN and false.

    Args:
        heads: those that are averaged, for each split, or for all of them.
    """
    p, decided = np.full(len(labels), np.nan), np.zeros(len(labels), dtype=bool)
    one_for_all = len(heads) == 1  # which shares work between the folds
    each = [(heads[0], splits)] if one_for_all else [(h, [s]) for h, s in zip(heads, splits, strict=True)]
    for members, some in each:
        means, thresholds = [np.zeros(len(split.test)) for split in some], np.zeros(len(some))
        for head, weight in members:
            with one_thread():
                predicted = fit_predict(head, some, cache.clinical, labels, fit_cache)
            for number, (split, values) in enumerate(zip(some, predicted, strict=True)):
                means[number] += weight * values
                thresholds[number] += weight * prevalence_threshold(
                    labels[split.train], balanced=weighs_equally(head)
                )
        for split, values, threshold in zip(some, means, thresholds, strict=True):
            p[split.test] = values
            decided[split.test] = values >= threshold
    return p, decided


def _runs(
    labels: NDArray[np.int8],
    labelled: Indices,
    runs: list[tuple[NDArray[np.float64], NDArray[np.bool_]]],
) -> Runs:
    return Runs(
        labels[labelled],
        np.column_stack([p[labelled] for p, _ in runs]),
        np.column_stack([decided[labelled] for _, decided in runs]),
    )


def _named(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _check(metric: str, n_sizes: int, n_draws: int) -> None:
    if metric not in LEARNING_METRICS:
        raise InputError(
            f"A learning curve needs the metric {' or '.join(LEARNING_METRICS)}, not {metric!r}."
        )
    if n_sizes < 3 or n_draws < 1:
        raise InputError(
            f"A learning curve needs three sizes or more and one draw or more, not {n_sizes} and {n_draws}."
        )
