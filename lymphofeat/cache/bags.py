"""Bags of features: what the heads see of the images."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ..storage.mapped import announce

__all__ = ["Bags", "JoinedBags"]


@dataclass(frozen=True)
class Bags:
    """Instances of many patients in one array; a bag is one slice of it, never a copy.

    Attributes:
        features: (n_images, D) float32, possibly mapped from a file.
        starts: (n_bags,) int64, first row of each bag.
        lengths: (n_bags,) int64, rows of each bag, all ≥ 1.

    Example:
        >>> import numpy as np
        >>> bags = Bags.from_list([np.zeros((3, 4), np.float32), np.ones((2, 4), np.float32)])
        >>> bags
        <Bags 2 patients, 5 images × 4 features>
        >>> bags[1].shape
        (2, 4)
    """

    features: NDArray[np.float32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def from_list(cls, bags: Sequence[NDArray[np.float32]]) -> "Bags":
        """Bags from one (n_i, D) array per patient (copied together)."""
        lengths = np.array([len(b) for b in bags], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        return cls(np.concatenate(bags).astype(np.float32, copy=False), starts, lengths)

    def __repr__(self) -> str:
        return f"<Bags {len(self)} patients, {int(self.lengths.sum()):,} images × {self.dim} features>"

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, i: int) -> NDArray[np.float32]:
        start = self.starts[i]
        return announce(self.features[start : start + self.lengths[i]])

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return (self[i] for i in range(len(self)))

    @property
    def dim(self) -> int:
        """D, the number of features of an instance."""
        return int(self.features.shape[1])

    def select(self, which: NDArray[np.integer] | NDArray[np.bool_]) -> "Bags":
        """The bags at `which` (indices or a mask), over the same feature array."""
        return Bags(self.features, self.starts[which], self.lengths[which])

    def of_rows(
        self, rows: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> "Bags":
        """Other bags of the instances at `rows` (copied): `starts` and `lengths` count in them."""
        return Bags(np.ascontiguousarray(self.features[rows]), starts, lengths)


class JoinedBags(Bags):
    """The same patients' images under several encodings, side by side; no feature is copied until it is asked for.

    Args:
        parts: by encoder family, the bags under its encoding; the same bags in each, in the same order.
        weights: by encoder family, what its block of a table is multiplied by, see `heads.design`; 1 if left out.

    Attributes:
        parts, weights: as given.

    Raises:
        ValueError: no part, or parts with other bags.

    Example:
        >>> import numpy as np
        >>> of_cells = Bags.from_list([np.zeros((3, 4), np.float32), np.ones((2, 4), np.float32)])
        >>> of_colour = Bags.from_list([np.zeros((3, 6), np.float32), np.ones((2, 6), np.float32)])
        >>> both = JoinedBags({"cells": of_cells, "colour": of_colour})
        >>> both
        <JoinedBags 2 patients, 5 images × 10 features of cells, colour>
        >>> both.only(["colour"])
        <Bags 2 patients, 5 images × 6 features>
    """

    parts: Mapping[str, Bags]
    weights: Mapping[str, float]

    def __init__(self, parts: Mapping[str, Bags], weights: Mapping[str, float] | None = None) -> None:
        first, *others = parts.values()
        if any(not np.array_equal(first.lengths, other.lengths) for other in others):
            raise ValueError("the encodings hold other bags than one another")
        given = weights or {}
        values = {
            "parts": MappingProxyType(dict(parts)),
            "weights": MappingProxyType({name: float(given.get(name, 1.0)) for name in parts}),
            "starts": first.starts,
            "lengths": first.lengths,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"{super().__repr__().replace('<Bags', '<JoinedBags')[:-1]} of {', '.join(self.parts)}>"

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """(n_images, ΣD) float32, a copy of all of them; a bag alone is had by its index."""
        return np.hstack([part.features for part in self.parts.values()])

    @property
    def dim(self) -> int:
        """ΣD, the number of features of an instance under all encodings together."""
        return sum(part.dim for part in self.parts.values())

    def __getitem__(self, i: int) -> NDArray[np.float32]:
        return np.hstack([part[i] for part in self.parts.values()])

    def select(self, which: NDArray[np.integer] | NDArray[np.bool_]) -> "JoinedBags":
        """The bags at `which` (indices or a mask), over the same feature arrays."""
        return JoinedBags({name: part.select(which) for name, part in self.parts.items()}, self.weights)

    def of_rows(
        self, rows: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> "JoinedBags":
        """As of `Bags`."""
        parts = {name: part.of_rows(rows, starts, lengths) for name, part in self.parts.items()}
        return JoinedBags(parts, self.weights)

    def only(self, names: Collection[str], weights: Mapping[str, float] | None = None) -> Bags:
        """The bags under some of the encodings: one as they are, several joined in the order of `names`.

        Args:
            names: encoder families, at least one.
            weights: as of the class.

        Raises:
            KeyError: an encoder family that is not among the parts.
        """
        if len(names) == 1:
            return self.parts[next(iter(names))]
        return JoinedBags({name: self.parts[name] for name in names}, weights)
