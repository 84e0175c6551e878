"""A cache with its patients in another order: a table may be sorted anew while scores are kept in the old order."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import blake2b

import numpy as np
import pandas as pd

from .bags import Bags, JoinedBags
from .contents import Indices
from .reader import Cache
from .split import JOINT, Split

__all__ = ["in_order"]


def in_order(cache: Cache, ids: Sequence[str]) -> Cache:
    """The cache in memory with some patients first, in the order of `ids`; the others follow in their own.

    Folds stay with the patients. What is fitted on it is the same to the last bit as on a cache that was made in this
    order, since rows of patients are summed in the same order.

    Args:
        cache: any.
        ids: IDs of patients of the cache, each once.
    """
    first = cache.ids.get_indexer(pd.Index(ids))
    order = np.concatenate([first, np.setdiff1d(np.arange(len(cache.ids)), first)])
    if np.array_equal(order, np.arange(len(order))):
        return cache
    tables = cache.tables
    lengths = tables.patients["n_images"].to_numpy(np.int64)
    starts = tables.offsets
    names, sizes, digests = tables.images_at(
        np.concatenate([np.arange(starts[row], starts[row] + lengths[row]) for row in order])
    )
    own = {
        name: e if e.end_to_end is None else replace(e, end_to_end=e.end_to_end[order])
        for name, e in cache.encodings.items()
    }
    moved = replace(
        tables,
        patients=tables.patients.iloc[order].reset_index(drop=True),
        folds=tables.folds[order],
        names=names,
        sizes=sizes,
        digests=digests,
    )
    found = {f.name: getattr(cache, f.name) for f in fields(cache)}
    return _Reordered(**(found | {"tables": moved, "encodings": own, "original": cache, "order": order}))


@dataclass(frozen=True)
class _Reordered(Cache):
    """A cache whose `encodings` hold their features in the order of another one; bags are found by `original`."""

    original: Cache | None = None
    order: Indices | None = None

    def bags(self, name: str) -> Bags:
        """As of `Cache`."""
        assert self.original is not None
        assert self.order is not None
        return self.original.bags(name).select(self.order)

    def split(
        self,
        encoder_family: str | None,
        held_out: Collection[int],
        *,
        repeat: int = 0,
        without: Collection[int] = (),
    ) -> Split:
        """As of `Cache`."""
        found = super().split(encoder_family, held_out, repeat=repeat, without=without)
        if not found.encodings:
            return found
        bags = {self.encodings[name].encoder_family: self.bags(name) for name in found.encodings}
        # Arrays of all patients are kept by this digest, and here these are in another order.
        suffix = blake2b(np.ascontiguousarray(self.order).data, digest_size=8).hexdigest()
        digests = JOINT.join(f"{digest}/{suffix}" for digest in found.features_digest.split(JOINT))
        joined = JoinedBags(bags) if len(bags) > 1 else next(iter(bags.values()))
        return replace(found, bags=joined, features_digest=digests)
