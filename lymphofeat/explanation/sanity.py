"""Do the contributions follow what the head has learnt? They must change when it learns nothing.

The data randomisation test of Adebayo et al., *Sanity checks for saliency maps*, NeurIPS 2018: the head is fitted
again on shuffled labels, and its map of a patient's images is held against that of the head fitted on the true ones. A
map that stays the same shows the images, not the head.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.base import clone

from ..cache.bags import Bags
from ..errors import InputError
from .images import image_contributions

__all__ = ["Sanity", "randomisation_test"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sanity:
    """Rank correlation of maps.

    Attributes:
        shuffled: (draws, patients) Spearman's ρ of the map under shuffled labels with the true one; NaN where a
            patient's images are all alike to a head.
        refitted: (draws, patients) ρ of a head fitted on a resample of the training patients with their true labels:
            how alike maps are that should be.
    """

    shuffled: Floats
    refitted: Floats

    @property
    def correlation(self) -> float:
        """Mean ρ under shuffled labels; near 0 for maps that follow the head."""
        return float(np.nanmean(self.shuffled))

    @property
    def repeatability(self) -> float:
        """Mean ρ under true labels; what `correlation` is to be read beside."""
        return float(np.nanmean(self.refitted))


def randomisation_test(
    head: Any,
    bags: Bags,
    clinical: pd.DataFrame,
    y: NDArray[np.int8],
    patients: NDArray[np.int64],
    *,
    draws: int = 10,
    seed: int = 0,
) -> Sanity:
    """Fit the head on true, on shuffled and on resampled patients and correlate their maps.

    Args:
        head: unfitted; stays so.
        bags, clinical, y: n training patients.
        patients: positions of those whose maps are compared, each of three images or more.
        draws: of shuffles and of resamples, ≥ 1.
        seed: of the resampling.

    Raises:
        InputError: no draws, or a patient with fewer than three images.
    """
    if draws < 1 or bags.lengths[patients].min(initial=3) < 3:
        raise InputError(
            "The randomisation test needs one draw or more, and patients of three images or more."
        )
    rng = np.random.default_rng(seed)
    everyone = np.arange(len(y))

    def maps(rows: NDArray[np.int64], labels: NDArray[np.int8]) -> list[Floats]:
        fitted = clone(head).fit(bags.select(rows), clinical.iloc[rows], labels)
        found = image_contributions(fitted, bags.select(patients), clinical.iloc[patients])
        return [one.values for one in found]

    true = maps(everyone, y)
    shuffled, refitted = [], []
    for _ in range(draws):
        shuffled.append(_correlations(true, maps(everyone, rng.permutation(y))))
        drawn = np.concatenate([rng.choice(np.flatnonzero(y == c), int((y == c).sum())) for c in (0, 1)])
        refitted.append(_correlations(true, maps(drawn, y[drawn])))
    return Sanity(np.array(shuffled), np.array(refitted))


def _correlations(one: list[Floats], other: list[Floats]) -> list[float]:
    """Spearman's ρ of each patient's two maps; NaN where one of them is constant."""
    found = []
    for a, b in zip(one, other, strict=True):
        constant = np.ptp(a) == 0 or np.ptp(b) == 0
        found.append(float("nan") if constant else float(spearmanr(a, b).statistic))
    return found
