"""Whom scores are of: what a study keeps of its patients, so that it can tell later whether and how these changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.reader import Cache
from .plan import labels_of

__all__ = ["FEATURES", "ScoredPatients", "bag_digests", "feature_digests"]

# Keys beside those of the patients in a study's file; `features` is read and written by who knows the encodings.
FEATURES = "features"
_CLINICAL, _IMAGES, _PERSONS = "clinical", "images", "persons"


@dataclass(frozen=True)
class ScoredPatients:
    """The labelled patients behind scores, and all of theirs that a score depends on beside the features.

    Attributes:
        ids: (n,) in the order in which scores are kept.
        labels: (n,) 0 and 1.
        folds: (n, repeats).
        persons: (n,) equal where two records may be of one person, numbered from 0 by first appearance; None where a
            version did not keep it.
        columns: the clinical columns, with what of their declaration decides; None likewise.
        values: (n,) digest of each patient's clinical values; None likewise.
        images: (n,) digest of the files of each patient's images; of imported features, of their names; None likewise.
    """

    ids: tuple[str, ...]
    labels: tuple[int, ...]
    folds: tuple[tuple[int, ...], ...]
    persons: tuple[int, ...] | None = None
    columns: tuple[str, ...] | None = None
    values: tuple[str, ...] | None = None
    images: tuple[str, ...] | None = None

    @classmethod
    def of(cls, cache: Cache, repeats: int | None = None, without: Sequence[int] | None = None) -> Self:
        """The patients that a score on a cache is of, in the cache's order.

        Args:
            cache: a cache with labelled patients.
            repeats: the first so many of the folds; all if None.
            without: as of `ScoringPlan.of`.

        Raises:
            InputError: the labelled part lacks a class.
        """
        labels, folds = labels_of(cache), cache.folds
        if without is not None:
            column, fold = without
            labels[folds[:, column] == fold] = -1
            folds = folds[:, [column]]
        elif repeats is not None:
            folds = folds[:, :repeats]
        rows = np.flatnonzero(labels >= 0)
        clinical = cache.clinical.iloc[rows]
        declared = cache.tables.declared
        return cls(
            ids=tuple(str(i) for i in cache.ids[rows]),
            labels=tuple(labels[rows].tolist()),
            folds=tuple(tuple(row) for row in folds[rows].tolist()),
            persons=_by_appearance(cache.groups[rows]),
            columns=tuple(
                f"{name} ({declared[name].decides})" if name in declared else name
                for name in map(str, clinical)
            ),
            values=_value_digests(clinical),
            images=_image_digests(cache, rows),
        )

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """What a study's file keeps, of whatever version.

        Raises:
            KeyError, ValueError, TypeError: not what a study keeps.
        """
        ids = tuple(str(i) for i in kept["ids"])
        clinical, whole = kept.get(_CLINICAL), _CLINICAL in kept
        persons = kept.get(_PERSONS) or range(len(ids))  # left out where each record is a person of its own
        return cls(
            ids,
            tuple(int(label) for label in kept["labels"]),
            tuple(tuple(int(fold) for fold in row) for row in kept["folds"]),
            _by_appearance(np.asarray(persons)) if whole else None,
            tuple(clinical["columns"]) if clinical else None,
            tuple(clinical["digests"]) if clinical else None,
            tuple(kept[_IMAGES]) if whole else None,
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values; persons only where one has several records."""
        several = self.persons is not None and len(set(self.persons)) < len(self.persons)
        return ({_PERSONS: list(self.persons or ())} if several else {}) | {
            "ids": list(self.ids),
            "labels": list(self.labels),
            "folds": [list(row) for row in self.folds],
            _CLINICAL: {"columns": list(self.columns or ()), "digests": list(self.values or ())},
            _IMAGES: list(self.images or ()),
        }

    @property
    def is_whole(self) -> bool:
        """Whether everything is known; a study of an earlier version kept IDs, labels and folds only."""
        return self.columns is not None

    def ordered(self, ids: Sequence[str]) -> Self:
        """Those of the patients that `ids` names, in its order."""
        row_of = {name: row for row, name in enumerate(self.ids)}
        rows = [row_of[name] for name in ids if name in row_of]
        persons = (
            None if self.persons is None else np.array([self.persons[row] for row in rows], dtype=np.int64)
        )
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            labels=tuple(self.labels[row] for row in rows),
            folds=tuple(self.folds[row] for row in rows),
            persons=None if persons is None else _by_appearance(persons),
            values=None if self.values is None else tuple(self.values[row] for row in rows),
            images=None if self.images is None else tuple(self.images[row] for row in rows),
        )

    def digest(self, *, ordered: bool = True) -> str:
        """Hex digest of all of it.

        Args:
            ordered: whether the order of the patients is part of it, as it is of kept arrays.
        """
        each = self if ordered else self.ordered(sorted(self.ids))
        return blake2b(json.dumps(vars(each)).encode(), digest_size=16).hexdigest()


def feature_digests(cache: Cache, encoder_family: str, ids: Sequence[str]) -> list[str]:
    """A hex digest of each patient's features under all encodings of an encoder family, its shape among them.

    Args:
        cache: any.
        encoder_family: an encoder family, or several with `JOINT` between their names.
        ids: of the patients.

    Raises:
        CacheError: no such encoder family.
    """
    return bag_digests(cache, [encoding.name for encoding in cache.members(encoder_family)], ids)


def bag_digests(cache: Cache, encodings: Sequence[str], ids: Sequence[str]) -> list[str]:
    """A hex digest of each patient's features under the encodings of these names.

    Bag by bag from the mapped features: each is read once in a process.
    """
    rows = cache.ids.get_indexer(pd.Index(ids)).tolist()
    each = [_of_encoding(cache, name, rows) for name in encodings]
    return [
        blake2b("".join(of_bag).encode(), digest_size=8).hexdigest() for of_bag in zip(*each, strict=True)
    ]


def _of_encoding(cache: Cache, name: str, rows: Sequence[int]) -> list[str]:
    encoding, bags = cache.encodings[name], cache.bags(name)
    blind = "all" if encoding.blind_to is None else sorted(encoding.blind_to)
    lengths = cache.tables.patients["n_images"].tolist()
    order = blake2b(json.dumps([list(cache.ids), lengths]).encode(), digest_size=16).hexdigest()
    known = _known(name, encoding.digest, order)
    for row in rows:
        if row not in known:
            bag = np.ascontiguousarray(bags[row])
            state = blake2b(f"{name} {blind} {bag.shape}\n".encode(), digest_size=8)
            state.update(bag.data)
            known[row] = state.hexdigest()
    return [known[row] for row in rows]


@lru_cache(maxsize=64)
def _known(name: str, digest: str, order: str) -> dict[int, str]:
    """The digests of one encoding's bags, or of the images of one cache, that this process knows, by row."""
    return {}


def _by_appearance(numbers: NDArray[np.integer]) -> tuple[int, ...]:
    return tuple(pd.factorize(np.asarray(numbers))[0].tolist())


def _value_digests(clinical: pd.DataFrame) -> tuple[str, ...]:
    columns = [
        clinical[name].astype(np.float64).tolist()
        if pd.api.types.is_numeric_dtype(clinical[name])
        else clinical[name].fillna("").astype(str).tolist()
        for name in clinical
    ]
    return tuple(
        blake2b(json.dumps(values).encode(), digest_size=8).hexdigest()
        for values in zip(*columns, strict=True)
    )


def _image_digests(cache: Cache, rows: NDArray[np.int64]) -> tuple[str, ...]:
    tables, known = cache.tables, _known("images", cache.fingerprint, "")
    lengths, starts = tables.patients["n_images"].tolist(), tables.offsets.tolist()
    unknown = [row for row in rows.tolist() if row not in known]
    if unknown:
        names, _, digests = tables.images_at()
        for row in unknown:
            bag = slice(starts[row], starts[row] + lengths[row])
            each = digests[bag]
            each = each if all(each) else names[bag]
            known[row] = blake2b("\n".join(each).encode(), digest_size=8).hexdigest()
    return tuple(known[row] for row in rows.tolist())
