"""From a bag to one vector: every pooling that needs nothing but the bag, by its name.

All of them are invariant to the order of the images and to repeating the bag, so the number of images, which
follows the lymphocyte count, cannot slip in as a feature.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..storage.mapped import announce
from .bags import Bags, JoinedBags

__all__ = [
    "POOLINGS", "QUANTILES", "TOP_SHARE", "Pooling", "bag_means", "pool", "pooled_names", "runs_of_bags"
]  # fmt: skip

Floats = NDArray[np.float64]
# Rows in work at a time: 8192 × 512 float64 = 32 MiB, whatever the size of the cohort.
_CHUNK_ROWS = 8192
# Eighths, so that positions in a bag are exact in floating point.
QUANTILES = (0.125, 0.5, 0.875)
TOP_SHARE = 0.125


@dataclass(frozen=True)
class Pooling:
    """One way from an (n, D) bag to a vector.

    Attributes:
        name: what the search space and the reports call it.
        about: one sentence for `lymphofeat heads`.
        widths: the vector has `widths` × D elements.
        reduce: (rows (n, D) float32, offsets (b,), lengths (b,)) → (b, widths × D) float64, for bags that lie
            one behind the other in `rows`.
    """

    name: str
    about: str
    widths: int
    reduce: Callable[[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]], Floats]


def pool(bags: Bags, name: str) -> Floats:
    """Pool every bag.

    Args:
        bags: n_bags bags of D-wide instances; they may lie anywhere in the features, overlap or repeat.
        name: a key of `POOLINGS`.

    Returns:
        (n_bags, widths × D) float64, sums accumulated in float64.

    Raises:
        InputError: no pooling of that name, an empty bag, or a feature that is not finite (which a maximum or a
            quantile would hide).
    """
    if name not in POOLINGS:
        raise InputError(f"There is no pooling {name!r}; choose one of {', '.join(sorted(POOLINGS))}.")
    if len(bags) and int(bags.lengths.min()) < 1:
        raise InputError(
            f"Bag {int(np.argmin(bags.lengths))} holds no image; remove the patient or add images."
        )
    if isinstance(bags, JoinedBags):  # the blocks one behind the other; nothing is joined image by image
        return np.hstack([pool(part, name) for part in bags.parts.values()])
    if len(np.unique(bags.starts)) < len(
        bags
    ):  # some may repeat, as where each patient's is asked about again
        places = np.stack([bags.starts, bags.lengths], axis=1)
        _, first, again = np.unique(places, axis=0, return_index=True, return_inverse=True)
        if len(first) < len(bags):
            return np.asarray(pool(bags.select(first), name)[again.reshape(-1)])
    pooling = POOLINGS[name]
    pooled = np.empty((len(bags), pooling.widths * bags.dim))
    for chunk in runs_of_bags(bags.lengths):
        part = bags.select(chunk)
        lengths = part.lengths
        rows = _rows(part)
        if not np.isfinite(rows).all():
            raise InputError("The features hold NaN or infinite values; extract the features again.")
        pooled[chunk] = pooling.reduce(rows, np.cumsum(lengths) - lengths, lengths)
    return pooled


def pooled_names(features: Sequence[str], name: str) -> list[str]:
    """Names of the columns that `pool` gives of named features: `nucleus_area_mean`, `nucleus_area_std`, …

    Args:
        features: (D,) names.
        name: a key of `POOLINGS`.
    """
    suffixes = {
        "mean+std": ("mean", "std"), "quantiles": tuple(f"q{quantile:g}" for quantile in QUANTILES),
        "top-mean": ("top_mean",),
    }.get(name, (name,))  # fmt: skip
    return [f"{feature}_{suffix}" for suffix in suffixes for feature in features]


def runs_of_bags(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Runs of bags of at most `_CHUNK_ROWS` rows together (a larger bag is a run of its own)."""
    first, rows = 0, 0
    for i, length in enumerate(lengths):
        if rows and rows + length > _CHUNK_ROWS:
            yield np.arange(first, i)
            first, rows = i, 0
        rows += int(length)
    if first < len(lengths):
        yield np.arange(first, len(lengths))


def _rows(bags: Bags) -> NDArray[np.float32]:
    """The bags' rows one behind the other; a slice where they lie so already."""
    stops = bags.starts + bags.lengths
    if np.array_equal(bags.starts[1:], stops[:-1]):
        return announce(bags.features[bags.starts[0] : stops[-1]])
    return np.concatenate(list(bags))


def bag_means(rows: NDArray[Any], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
    """(b, D) float64 mean of each bag's rows, summed in float64, for bags that lie one behind the other in `rows`."""
    sums: Floats = np.add.reduceat(rows, offsets, axis=0, dtype=np.float64)
    return sums / lengths[:, None]


def _max(rows: NDArray[np.float32], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
    return np.maximum.reduceat(rows, offsets, axis=0).astype(np.float64)


def _std(rows: NDArray[np.float32], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
    return _mean_std(rows, offsets, lengths)[:, rows.shape[1] :]


def _mean_std(rows: NDArray[np.float32], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
    # In two passes: squares minus squared mean loses everything where the spread is small against the mean.
    mean = bag_means(rows, offsets, lengths)
    variance = bag_means((rows - np.repeat(mean, lengths, axis=0)) ** 2, offsets, lengths)
    return np.concatenate([mean, np.sqrt(variance)], axis=1)


def _quantiles(rows: NDArray[np.float32], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
    pooled = np.empty((len(offsets), len(QUANTILES), rows.shape[1]))
    for i, ordered in enumerate(_ordered(rows, offsets, lengths)):
        # Of the step function, not interpolated: interpolation would tell a bag from the same bag twice.
        positions = np.array(QUANTILES) * len(ordered)
        below, above = np.ceil(positions) - 1, np.floor(positions)
        pooled[i] = (ordered[below.astype(int)].astype(np.float64) + ordered[above.astype(int)]) / 2
    return pooled.reshape(len(offsets), -1)


def _top_mean(rows: NDArray[np.float32], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
    pooled = np.empty((len(offsets), rows.shape[1]))
    for i, ordered in enumerate(_ordered(rows, offsets, lengths)):
        k = TOP_SHARE * len(ordered)  # the image at the border counts with the share of it that is inside
        weights = np.clip(k - np.arange(np.ceil(k)), 0, 1)
        top = ordered[::-1][: len(weights)].astype(np.float64)
        pooled[i] = weights @ top / k
    return pooled


def _ordered(
    rows: NDArray[np.float32], offsets: NDArray[np.int64], lengths: NDArray[np.int64]
) -> Iterator[NDArray[np.float32]]:
    """Each bag's (n, D) rows with every feature sorted by itself, smallest first."""
    for offset, length in zip(offsets, lengths, strict=True):
        yield np.sort(rows[offset : offset + length], axis=0)


POOLINGS = {
    pooling.name: pooling
    for pooling in (
        Pooling("mean", "the mean of each feature over the images", 1, bag_means),
        Pooling("max", "the largest value of each feature over the images", 1, _max),
        Pooling("std", "the standard deviation of each feature over the images", 1, _std),
        Pooling(
            "mean+std", "mean and standard deviation (of the bag, not its estimate) of each", 2, _mean_std
        ),
        Pooling("quantiles", "the 1/8, 1/2 and 7/8 quantile of each feature", len(QUANTILES), _quantiles),
        Pooling("top-mean", "the mean of each feature's largest eighth", 1, _top_mean),
    )
}
