"""How a single cell differs from the cohort's cells, where the features have names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ..cache.encoding import Encoding

__all__ = ["CellsOfCohort", "Unlike", "most_unlike"]

Floats = NDArray[np.float64]

_MOST_CELLS = 20_000  # that others are compared with
_BEYOND = 0.9  # share of the cells, from which a value is worth a word
_ALIKE = 0.7  # rank correlation of two features, from which they say the same


class Unlike(NamedTuple):
    """One value of a cell that few cells have.

    Attributes:
        feature: its name.
        larger: than those of most cells; else smaller.
        share: of the cells whose value is beyond, in (0.5, 1].
    """

    feature: str
    larger: bool
    share: float

    @property
    def in_words(self) -> str:
        """As "nucleus area larger than in 97 % of all cells"."""
        percent = f"{100 * self.share:.0f}"
        whom = f"{percent} % of all cells" if percent != "100" else "more than 99 % of all cells"
        return f"{self.feature.replace('_', ' ')} {'larger' if self.larger else 'smaller'} than in {whom}"


@dataclass(frozen=True)
class CellsOfCohort:
    """The values of a cohort's cells, sorted.

    Attributes:
        names: (D,) of the features.
        ordered: (n, D) float64, each column ascending.
        alike: (D, D) bool, which features go along with one another, by rank correlation.
    """

    names: Sequence[str]
    ordered: Floats
    alike: NDArray[np.bool_]

    @classmethod
    def of(cls, encoding: Encoding) -> "CellsOfCohort":
        """Of an encoding with named features; of large cohorts 20,000 cells, evenly.

        Raises:
            ValueError: the features have no names.
        """
        if encoding.names is None:
            raise ValueError(f"the features of {encoding.name} have no names")
        n = len(encoding.features)
        rows = np.unique(np.linspace(0, max(n - 1, 0), min(n, _MOST_CELLS)).astype(np.int64))
        values = np.asarray(encoding.features[rows], dtype=np.float64)
        ranks = rankdata(values, axis=0)
        ranks -= ranks.mean(axis=0)
        scale = np.sqrt((ranks**2).sum(axis=0))
        ranks = np.divide(ranks, scale, out=np.zeros_like(ranks), where=scale > 0)
        return cls(tuple(encoding.names), np.sort(values, axis=0), np.abs(ranks.T @ ranks) >= _ALIKE)

    def shares(self, values: Floats) -> Floats:
        """(m, D): which share of the cells has a smaller value, ties counted half.

        Args:
            values: (m, D) of some cells.
        """
        found = np.empty(values.shape)
        for k, column in enumerate(self.ordered.T):
            below, upto = (np.searchsorted(column, values[:, k], side) for side in ("left", "right"))
            found[:, k] = (below + upto) / 2 / len(column)
        return found


def most_unlike(cells: CellsOfCohort, values: Floats, most: int = 3) -> list[list[Unlike]]:
    """Per cell, the values that are beyond those of 90 % of the cells, the rarest first.

    Of features that say the same (area and perimeter of a nucleus) the rarest value stands for all.

    Args:
        cells: of the cohort.
        values: (m, D) features of some of its cells.
        most: values for a cell.
    """
    found = []
    for shares in cells.shares(np.asarray(values, dtype=np.float64)):
        beyond = np.maximum(shares, 1 - shares)
        chosen: list[int] = []
        for k in np.argsort(-beyond, kind="stable").tolist():
            if beyond[k] < _BEYOND or len(chosen) == most:
                break
            if not cells.alike[k, chosen].any():
                chosen.append(k)
        found.append([Unlike(cells.names[k], bool(shares[k] >= 0.5), float(beyond[k])) for k in chosen])
    return found
