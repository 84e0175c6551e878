"""A split of the patients: who is learnt from, who is predicted, and under which encoding."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import LeakageError
from .bags import Bags

__all__ = ["Split"]

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """One fit that a score asks for: learn from `train`, predict `test`.

    Splits of a cache come from `Cache.split`, which checks that the encoder behind `bags` never saw a label of `test`.

    Attributes:
        bags: all patients of the cohort under one encoding.
        features_digest: of that encoding; equal ones mean equal features.
        train, test: (n_train,), (n_test,) int64 rows of the cohort, disjoint.
        encoding: its name in the cache; "" for features from elsewhere, or none.
    """

    bags: Bags
    features_digest: str
    train: Indices
    test: Indices
    encoding: str = ""

    def __repr__(self) -> str:
        return f"<Split {self.encoding or 'no encoding'}: {len(self.train)} to learn from, {len(self.test)} to predict>"

    def learning_from(self, rows: Indices) -> "Split":
        """The same split with fewer patients to learn from.

        Args:
            rows: some of `train`.

        Raises:
            LeakageError: one of them is not.
        """
        if not np.isin(rows, self.train).all():
            raise LeakageError("A split can be narrowed to some of its training patients, not given others.")
        return replace(self, train=rows)
