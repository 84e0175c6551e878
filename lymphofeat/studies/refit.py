"""A study's heads fitted once more, for patients that cross-validation did not know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from ..cache.reader import Cache, Encoding
from ..heads.base import Head
from .objective import one_thread
from .plan import labels_of
from .space import build_head

__all__ = ["FinalFit", "Member", "final_fits", "fit_final", "predict_final"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FinalFit:
    """One fit of every head that is to leave the study.

    Attributes:
        encoding: what the heads see.
        train: (n_train,) int64 rows of the cache that they learn from.
    """

    encoding: Encoding
    train: NDArray[np.int64]


@dataclass(frozen=True)
class Member:
    """One head of the final model, fitted on every `FinalFit`.

    Attributes:
        params: its point of the search space.
        weight: its share of the final probability; those of a model add up to 1.
        heads: fitted, one per `FinalFit`; their probabilities are averaged.
    """

    params: dict[str, Any]
    weight: float
    heads: tuple[Head, ...]


def final_fits(cache: Cache, family: str) -> list[FinalFit]:
    """What is fitted on what.

    Under encoders that saw no labels, one fit on all labelled patients. Under encoders trained per fold, each
    encoder has its own fit on the encoder's training folds, as in cross-validation.

    Raises:
        LeakageError: a fold has no encoding that is blind to it.
        InputError: the labelled part lacks a class.
    """
    labelled = np.flatnonzero(labels_of(cache) >= 0)
    fold_of = cache.folds[labelled, 0]
    blind = {int(k): cache.blind_encoding(family, {int(k)}) for k in np.unique(fold_of)}
    if all(encoding.blind_to is None for encoding in blind.values()):
        return [FinalFit(encoding, labelled) for encoding in {e.digest: e for e in blind.values()}.values()]
    return [FinalFit(encoding, labelled[fold_of != k]) for k, encoding in blind.items()]


def fit_final(
    cache: Cache, fits: Sequence[FinalFit], points: Sequence[tuple[Mapping[str, Any], float]]
) -> list[Member]:
    """Fit the head of each (parameters, weight) on every fit."""
    labels, members = labels_of(cache), []
    with one_thread():
        for params, weight in points:
            head = build_head(params)
            heads = tuple(
                clone(head).fit(
                    cache.bags(fit.encoding.name).select(fit.train),
                    cache.patients.iloc[fit.train],
                    labels[fit.train],
                )
                for fit in fits
            )
            members.append(Member(dict(params), weight, heads))
    return members


def predict_final(
    cache: Cache, fits: Sequence[FinalFit], members: Sequence[Member], rows: NDArray[np.int64]
) -> Floats:
    """(n_rows,) float64 of malignant: averaged over the fits, weighted over the members."""
    total = np.zeros(len(rows))
    with one_thread():
        for member in members:
            for fit, head in zip(fits, member.heads, strict=True):
                bags = cache.bags(fit.encoding.name).select(rows)
                p = head.predict_proba(bags, cache.patients.iloc[rows])[:, 1]
                total += member.weight * np.asarray(p, dtype=np.float64) / len(fits)
    return total
