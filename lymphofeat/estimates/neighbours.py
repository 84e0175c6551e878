"""Who lies beside whom in a space of features: the same patient's cells, or the same class's?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import pairwise_distances_chunked

from ..errors import InputError
from ._checks import Floats

__all__ = ["NeighbourShares", "neighbour_shares"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class NeighbourShares:
    """Shares of nearest neighbours, means over cells, and what chance gives.

    Attributes:
        n: neighbours of each cell that were looked at for `same_patient`.
        same_patient: share of a cell's neighbours that are of its own patient; NaN with a single cell.
        same_patient_chance: that of neighbours taken at random.
        n_others: neighbours of each labelled cell that were looked at for `same_class`.
        same_class: share of the neighbours among *other* patients' labelled cells that are of the cell's class; NaN
            unless there are two labelled patients.
        same_class_chance: that of other patients' cells taken at random; and bounds around it within which `same_class`
            lies in 95 % of permutations of the classes over the patients.
        by_class: label (−1 where not known) → over the cells with it, same_patient, same_class, and what cells of other
            patients taken at random have in place of the latter.
    """

    n: int
    same_patient: float
    same_patient_chance: float
    n_others: int
    same_class: float
    same_class_chance: tuple[float, float, float]
    by_class: dict[int, tuple[float, float, float]]


def neighbour_shares(
    x: Floats,
    patient: ArrayLike,
    label: ArrayLike,
    *,
    n: int = 15,
    n_permutations: int = 500,
    seed: int = 0,
) -> NeighbourShares:
    """How cells mix with those of other patients and of the other class.

    Cells of one patient share slide, stain and camera. Where a cell's nearest neighbours are mostly of its own patient,
    a separation of classes may be one of slides; so classes are compared among other patients' cells only. Classes
    belong to patients, so chance permutes them over patients, not over cells; and since a class whose patients have
    more cells has more neighbours anywhere, what is compared is the excess over cells taken at random.

    Args:
        x: (n_cells, D) features; nearness is Euclidean distance. Cells at equal distance count in their order, so give
            them in a random one.
        patient: (n_cells,) whose.
        label: (n_cells,) 0, 1, or −1 where not known.
        n: neighbours; fewer where there are not as many cells.
        n_permutations: of the classes.
        seed: of the permutations.

    Raises:
        InputError: arrays of several lengths, or no cell.
    """
    owner, y = np.unique(np.asarray(patient), return_inverse=True)[1], np.asarray(label, dtype=np.int64)
    if x.ndim != 2 or not len(x) or not len(x) == len(owner) == len(y):
        raise InputError(
            f"Features {x.shape}, patients {owner.shape} and labels {y.shape} are a row per cell each."
        )
    own_n = min(n, len(x) - 1)
    nearest = owner[_nearest(x, own_n, np.arange(len(x)))]
    same = (nearest == owner[:, None]).mean(axis=1) if own_n else np.full(len(x), np.nan)
    counts = np.bincount(owner)
    chance = float(((counts[owner] - 1) / (len(x) - 1)).mean()) if own_n else np.nan
    known = np.flatnonzero(y >= 0)
    whose, own_class = owner[known], y[known]
    others = len(known) - np.bincount(whose).max(initial=0)  # of the patient with the fewest others
    other_n = int(min(n, others))
    agree, random, excess = np.full(len(known), np.nan), np.full(len(known), np.nan), np.full(1, np.nan)
    if other_n:
        beside = _nearest(x[known], other_n, whose)
        agree, random = _agreement(beside, own_class), _random_agreement(whose, own_class)
        excess = _permuted_excess(beside, whose, own_class, n_permutations, seed)
    by_class = {
        k: (float(same[y == k].mean()), _mean(agree[own_class == k]), _mean(random[own_class == k]))
        for k in (0, 1, -1)
        if (y == k).any()
    }
    low, high = _mean(random) + np.quantile(excess, (0.025, 0.975))
    return NeighbourShares(
        own_n,
        float(same.mean()),
        chance,
        other_n,
        _mean(agree),
        (_mean(random), float(low), float(high)),
        by_class,
    )


def _permuted_excess(beside: Ints, whose: Ints, y: Ints, n_permutations: int, seed: int) -> Floats:
    """(n_permutations,) mean `_agreement` less mean `_random_agreement` under permuted classes of patients."""
    _, first, patient = np.unique(whose, return_index=True, return_inverse=True)
    rng, found = np.random.default_rng(seed), []
    for _ in range(n_permutations):
        permuted = rng.permutation(y[first])[patient]
        found.append(_agreement(beside, permuted).mean() - _random_agreement(whose, permuted).mean())
    return np.array(found)


def _agreement(beside: Ints, y: Ints) -> Floats:
    """(n_cells,) share of the neighbours that are of the cell's class."""
    return np.asarray((y[beside] == y[:, None]).mean(axis=1))


def _random_agreement(whose: Ints, y: Ints) -> Floats:
    """(n_cells,) share of all other patients' cells that are of the cell's class."""
    alike = np.bincount(y, minlength=2)[y] - (own := np.bincount(whose)[whose])
    return np.asarray(alike / (len(y) - own))


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else np.nan


def _nearest(x: Floats, n: int, apart: Ints) -> Ints:
    """(n_cells, n) positions of the nearest cells whose `apart` is another than the cell's own."""

    def smallest(distances: Any, start: int) -> Ints:
        rows = apart[start : start + len(distances)]
        distances[rows[:, None] == apart[None, :]] = np.inf
        return np.argpartition(distances, n - 1, axis=1)[:, :n]

    if not n:
        return np.empty((len(x), 0), dtype=np.int64)
    parts = pairwise_distances_chunked(x, reduce_func=smallest, metric="sqeuclidean", working_memory=64)
    return np.concatenate(list(parts))
