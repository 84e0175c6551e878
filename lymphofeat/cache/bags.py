"""Bags of features: what the heads see of the images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
        return self.features[start : start + self.lengths[i]]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return (self[i] for i in range(len(self)))

    @property
    def dim(self) -> int:
        """D, the number of features of an instance."""
        return int(self.features.shape[1])

    def select(self, which: NDArray[np.integer] | NDArray[np.bool_]) -> "Bags":
        """The bags at `which` (indices or a mask), over the same feature array."""
        return Bags(self.features, self.starts[which], self.lengths[which])
