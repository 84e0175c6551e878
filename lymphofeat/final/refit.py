"""A study's heads fitted once more, for patients that cross-validation did not know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..cache.encoding import Encoding
from ..cache.reader import Cache
from ..cache.split import Split
from ..parallel import one_thread
from ..scoring.failures import head_errors
from ..scoring.plan import labels_of
from ..studies.space import HEAD_TYPE, build_head

if TYPE_CHECKING:
    from ..heads.base import Head

__all__ = ["FinalFit", "Member", "final_fits", "fit_final", "predict_final"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FinalFit:
    """One fit of every head that is to leave the study.

    Attributes:
        encodings: what the heads see, in the order of the split's bags.
        split: whom they learn from.
    """

    encodings: tuple[Encoding, ...]
    split: Split

    @property
    def train(self) -> NDArray[np.int64]:
        """(n_train,) int64 rows of the cache that they learn from."""
        return self.split.train


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
    heads: "tuple[Head, ...]"


def final_fits(cache: Cache, encoder_family: str) -> list[FinalFit]:
    """What is fitted on what; see `Cache.final_splits`.

    Raises:
        LeakageError: a fold has no encoding that is blind to it.
    """
    return [FinalFit(cache.behind(split), split) for split in cache.final_splits(encoder_family)]


def fit_final(
    cache: Cache, fits: Sequence[FinalFit], points: Sequence[tuple[Mapping[str, Any], float]]
) -> list[Member]:
    """Fit the head of each (parameters, weight) on every fit.

    Raises:
        StudyError: a head cannot be fitted on these patients, although it could on fewer.
    """
    labels, members = labels_of(cache), []

    def fitted(head: "Head", fit: FinalFit) -> "Head":
        bags, clinical = fit.split.bags.select(fit.train), cache.clinical.iloc[fit.train]
        return head.fit(bags, clinical, labels[fit.train])

    for params, weight in points:
        with head_errors(str(params[HEAD_TYPE])):
            unfitted = [
                build_head(params) for _ in fits
            ]  # which imports the libraries that are held to one thread
            with one_thread():
                heads = tuple(fitted(head, fit) for head, fit in zip(unfitted, fits, strict=True))
        members.append(Member(dict(params), weight, heads))
    return members


def predict_final(
    cache: Cache, fits: Sequence[FinalFit], members: Sequence[Member], rows: NDArray[np.int64]
) -> Floats:
    """(n_rows,) float64 of malignant: averaged over the fits, weighted over the members.

    Raises:
        LeakageError: one of the patients is not new to an encoder or a fit, see `Cache.predicting`.
        StudyError: a head gives no probabilities.
    """
    from ..heads.base import check_probabilities

    splits = [cache.predicting(fit.split, rows) for fit in fits]
    total = np.zeros(len(rows))
    with one_thread():
        for member in members:
            for split, head in zip(splits, member.heads, strict=True):
                with head_errors(str(member.params[HEAD_TYPE])):
                    p = head.predict_proba(split.bags.select(rows), cache.clinical.iloc[rows])[:, 1]
                    check_probabilities(head, p)
                total += member.weight * np.asarray(p, dtype=np.float64) / len(fits)
    return total
