"""The two parts of a fused head, one for the images and one for the clinical values."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.base import BaseEstimator, clone

from ...cache.bags import Bags
from ..base import ExplainsImages, FitCache, Head, HeadMixin, Split
from ..checks import check_params
from ..contributions import Contributions
from ..linear import Logistic
from ..linear import suggest as suggest_logistic
from ..pooled_head import pooled
from ..registry import HeadType, PrefixedTrial, TrialLike

__all__ = ["FIRST_PARTS", "FusedHead", "build_fused", "log_odds", "suggest_parts", "sum_of_parts"]

Floats = NDArray[np.float64]

# Logarithms of odds of at most e^16 : 1; a part that is surer than that is not so for a reason.
_LARGEST_LOG_ODDS = 1e-7


class FusedHead(HeadMixin, BaseEstimator):  # type: ignore[misc]
    """A head made of two.

    Args:
        image: the head that sees the images; by default mean pooling and logistic regression.
        clinical: the one that sees the clinical values; by default logistic regression.
        class_weight: None, or "balanced": given to both parts, which must have an argument of that name.

    Attributes:
        classes_: (2,) the labels 0 and 1.
    """

    def __init__(
        self, *, image: Head | None = None, clinical: Head | None = None, class_weight: str | None = None
    ) -> None:
        self.image = image
        self.clinical = clinical
        self.class_weight = class_weight

    @abstractmethod
    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> Self:
        """As `Head`."""

    @abstractmethod
    def fit_predict_splits(
        self, splits: Sequence[Split], clinical: pd.DataFrame, y: NDArray[np.int8], fit_cache: FitCache
    ) -> list[Floats]:
        """As `BatchFit`."""

    def _parts(self) -> Sequence[Any]:
        """Unfitted: the image head and the clinical head."""
        image = pooled(Logistic, inputs="image") if self.image is None else self.image
        values = pooled(Logistic, inputs="clinical") if self.clinical is None else self.clinical
        image, values = clone(image), clone(values)
        return tuple(part.set_params(class_weight=self.class_weight) for part in (image, values))

    def _parameter_constraints(self) -> dict[str, tuple[bool, str]]:
        heads = {
            name: (
                getattr(self, name) is None or hasattr(getattr(self, name), "predict_proba"),
                "a head or None",
            )
            for name in ("image", "clinical")
        }
        return heads | {"class_weight": (self.class_weight in (None, "balanced"), "None or 'balanced'")}

    def _check_params(self) -> None:
        check_params(self, self._parameter_constraints())


def log_odds(p: Floats) -> Floats:
    """(n,) finite log odds of probabilities."""
    return np.asarray(logit(np.clip(p, _LARGEST_LOG_ODDS, 1 - _LARGEST_LOG_ODDS)))


def sum_of_parts(
    parts: Sequence[Any], weights: Sequence[float], intercept: float, bags: Bags, clinical: pd.DataFrame
) -> Contributions | None:
    """The contributions of a weighted sum of fitted heads' log odds.

    Returns:
        None where a head cannot tell its own exactly, or where `log_odds` clips them, so that the sum is none.
    """
    total: Contributions | None = None
    for part, weight in zip(parts, weights, strict=True):
        own = part.image_contributions(bags, clinical) if isinstance(part, ExplainsImages) else None
        if own is None or own.method != "exact":
            return None
        if np.abs(own.logits).max(initial=0) > logit(1 - _LARGEST_LOG_ODDS):
            return None
        total = own * weight if total is None else total + own * weight
    return None if total is None else replace(total, intercept=total.intercept + intercept)


FIRST_PARTS: Mapping[str, Any] = {
    "class_weight": None,
    "image": "logistic",
    "logistic.penalty": "l2",
    "logistic.pooling": "mean",
    "logistic.scale": True,
    "logistic.reduce": True,
    "logistic.pca": 32,
    "logistic.C": 1.0,
    "clinical.C": 1.0,
    "clinical.interaction": False,
    "clinical.spline": None,
}


def suggest_parts(
    draws: TrialLike, head_types: Sequence[HeadType], among: Mapping[str, Sequence[Any]] | None = None
) -> dict[str, Any]:
    """Draw both parts: an image head of one of the head types, and a logistic regression of the clinical values.

    Args:
        draws: the trial.
        head types: of the image head.
        among: choices of the image head's parameters instead of their own.

    Returns:
        class_weight; image: the head type's name; image_point: the point of its space; clinical_point: arguments of
        `pooled(Logistic, …)`.
    """
    weight = draws.suggest_categorical("class_weight", (None, "balanced"))
    by_name = {head_type.name: head_type for head_type in head_types}
    name = draws.suggest_categorical("image", tuple(by_name))
    fixed = {"inputs": "image", "class_weight": weight}
    values = PrefixedTrial(draws, "clinical", {"inputs": "clinical", "class_weight": weight, "penalty": "l2"})
    return {
        "class_weight": weight,
        "image": name,
        "image_point": by_name[name].space(PrefixedTrial(draws, name, fixed, among)),
        "clinical_point": suggest_logistic(values),
    }


def build_fused(
    fused: type[FusedHead],
    head_types: Sequence[HeadType],
    /,
    *,
    image: str,
    image_point: Mapping[str, Any],
    clinical_point: Mapping[str, Any],
    **arguments: Any,
) -> FusedHead:
    """The head of a point of `suggest_parts`, and of other arguments of `fused`."""
    (head_type,) = (f for f in head_types if f.name == image)
    return fused(
        image=head_type.build(**image_point), clinical=pooled(Logistic, **clinical_point), **arguments
    )  # fmt: skip
