"""Cells on a plane: which of them, and where, so that like cells lie beside each other."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler

__all__ = ["MOST_AXES", "Positions", "cell_positions", "sample_evenly"]

Floats = NDArray[np.float64]

MOST_AXES = 50
PERPLEXITY = 30.0
ITERATIONS = 500  # half of scikit-learn's default: 5,000 cells take 12 s on two cores, and look the same
_ANGLE = (
    0.7  # of Barnes and Hut's approximation; a fifth quicker than the default 0.5, the same map to the eye
)
_FEWEST = 10  # cells; with fewer there are no neighbourhoods to keep, and the first two axes are drawn


@dataclass(frozen=True)
class Positions:
    """Where cells lie.

    Attributes:
        plane: (n_cells, 2) float64.
        reduced: (n_cells, q) float64, the features standardised and reduced to q axes, in which neighbours are sought.
        kept: share of the features' variance in those axes; NaN where nothing varies.
        perplexity: of t-SNE; None where the first two principal axes are drawn, for want of cells.
    """

    plane: Floats
    reduced: Floats
    kept: float
    perplexity: float | None


def sample_evenly(lengths: NDArray[np.int64], most: int, seed: int = 0) -> NDArray[np.int64]:
    """Rows of at most `most` images, as many of each patient as can be, in random order.

    Args:
        lengths: (n_patients,) images of each, contiguous and in order.
        most: rows at most. With more patients than that, some patients have none.
        seed: the same seed gives the same rows in the same order.

    Returns:
        (n,) int64; all rows where there are no more.
    """
    rng = np.random.default_rng(seed)
    total, starts = int(lengths.sum()), np.cumsum(lengths) - lengths
    if total <= most:
        return rng.permutation(total)
    quota = np.zeros_like(lengths)
    while (left := most - int(quota.sum())) > 0:  # the same for all who have more
        open_ones = np.flatnonzero(quota < lengths)
        if left < len(open_ones):
            quota[rng.choice(open_ones, left, replace=False)] += 1
        else:
            quota[open_ones] = np.minimum(lengths[open_ones], quota[open_ones] + left // len(open_ones))
    rows = [
        start + rng.choice(length, n, replace=False)
        for start, length, n in zip(starts.tolist(), lengths.tolist(), quota.tolist(), strict=True)
    ]
    return rng.permutation(np.concatenate(rows).astype(np.int64))


def cell_positions(features: NDArray[Any], seed: int = 0) -> Positions:
    """Place cells so that those with like features lie beside each other.

    Standardised features, principal component analysis to at most 50 axes, then t-SNE (van der Maaten & Hinton,
    *Visualizing data using t-SNE*, JMLR 9, 2008; Barnes–Hut, begun from the principal axes as Kobak & Berens advise,
    Nature Communications 10, 2019). Neighbourhoods are kept; distances between groups and their sizes mean nothing.

    Args:
        features: (n_cells, D), n_cells ≥ 1.
        seed: of both.
    """
    x = StandardScaler().fit_transform(np.asarray(features, dtype=np.float64))
    kept, reduced = np.nan, np.zeros((len(x), 1))
    if len(x) > 1 and x.any():
        found = PCA(min(MOST_AXES, *x.shape), random_state=seed).fit(x)
        reduced, kept = found.transform(x), float(found.explained_variance_ratio_.sum())
    two = np.pad(reduced[:, :2], ((0, 0), (0, max(0, 2 - reduced.shape[1]))))
    if len(x) < _FEWEST or not x.any():
        return Positions(two, reduced, kept, None)
    perplexity = min(PERPLEXITY, (len(x) - 1) / 3)
    if reduced.shape[1] < 2:
        reduced = two
    with warnings.catch_warnings():
        # Cells that are alike to the last bit have no spread to divide by; t-SNE puts them in one place.
        warnings.simplefilter("ignore", RuntimeWarning)
        plane = TSNE(
            2, perplexity=perplexity, init="pca", max_iter=ITERATIONS, angle=_ANGLE, random_state=seed
        ).fit_transform(reduced)
    return Positions(np.asarray(plane, dtype=np.float64), reduced, kept, perplexity)
