"""A split of the patients: who is learnt from, who is predicted, and under which encoding."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import LeakageError
from .bags import Bags, JoinedBags

__all__ = ["JOINT", "Split"]

JOINT = ","  # between the names of encodings that stand side by side; no name holds it

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """One fit that a score asks for: learn from `train`, predict `test`.

    Splits of a cache come from `Cache.split`, which checks that the encoder behind `bags` never saw a label of `test`.

    Attributes:
        bags: all patients of the cohort under one encoding.
        features_digest: of that encoding; equal ones mean equal features. Of several, theirs with `JOINT` between.
        train, test: (n_train,), (n_test,) int64 rows of the cohort, disjoint.
        encoding: its name in the cache; "" for features from elsewhere, or none. Of several, with `JOINT` between.
    """

    bags: Bags
    features_digest: str
    train: Indices
    test: Indices
    encoding: str = ""

    def __repr__(self) -> str:
        return f"<Split {self.encoding or 'no encoding'}: {len(self.train)} to learn from, {len(self.test)} to predict>"

    @property
    def encodings(self) -> tuple[str, ...]:
        """Names of the encodings behind `bags`; none for features from elsewhere."""
        return tuple(name for name in self.encoding.split(JOINT) if name)

    @property
    def parts(self) -> tuple["Split", ...]:
        """The split under each of its encodings by itself, in their order; the split itself where it has one."""
        if not isinstance(self.bags, JoinedBags):
            return (self,)
        return tuple(self.only([name]) for name in self.bags.parts)

    def only(self, names: Collection[str], weights: Mapping[str, float] | None = None) -> "Split":
        """The split under some of its encodings; see `JoinedBags.only`.

        Args:
            names: encoder families, at least one.
            weights: as of `JoinedBags`.

        Raises:
            KeyError: an encoder family that is not among them.
        """
        if not isinstance(self.bags, JoinedBags):
            raise KeyError(f"a split of one encoding, not of {', '.join(names)}")
        digests, found = (self._of_parts(text) for text in (self.features_digest, self.encoding))
        return replace(
            self,
            bags=self.bags.only(names, weights),
            features_digest=JOINT.join(digests[name] for name in names),
            encoding=JOINT.join(found[name] for name in names) if self.encoding else "",
        )

    def _of_parts(self, text: str) -> dict[str, str]:
        """Per encoder family, its part of a text; of one that was not put together of parts, distinct ones."""
        assert isinstance(self.bags, JoinedBags)
        texts, names = text.split(JOINT), list(self.bags.parts)
        return dict(
            zip(names, texts if len(texts) == len(names) else [f"{text}#{n}" for n in names], strict=True)
        )

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
