"""Late fusion: an image head and a clinical head, fitted apart; their answers are averaged."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.utils.validation import check_is_fitted

from ...cache.bags import Bags
from ..base import FitCache, Head, Split, fit_predict
from ..boosting import HEAD_TYPE as XGBOOST
from ..contributions import Contributions
from ..gaussian_process import HEAD_TYPE as GP
from ..instance_level import HEAD_TYPE as INSTANCES
from ..linear import HEAD_TYPE as LOGISTIC
from ..registry import HeadType, TrialLike
from ..svm import HEAD_TYPE as SVM
from .parts import FIRST_PARTS, FusedHead, build_fused, log_odds, suggest_parts, sum_of_parts

__all__ = ["HEAD_TYPE", "LateFusion"]

Floats = NDArray[np.float64]

WAYS = ("probabilities", "logits")


class LateFusion(FusedHead):
    """The weighted average of two heads' probabilities or log odds; other arguments as `FusedHead`.

    Args:
        average: "probabilities" or "logits".
        weight: of the image head, in [0, 1].
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(
        self,
        *,
        image: Head | None = None,
        clinical: Head | None = None,
        class_weight: str | None = None,
        average: str = "probabilities",
        weight: float = 0.5,
    ) -> None:
        super().__init__(image=image, clinical=clinical, class_weight=class_weight)
        self.average = average
        self.weight = weight

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> "LateFusion":
        """Fit both parts on the same patients; see `Head`.

        Raises:
            InputError: bad arguments (all are listed), or as a part.
        """
        self._check_params()
        self.parts_ = [part.fit(bags, clinical, y) for part in self._parts()]
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant."""
        check_is_fitted(self, "parts_")
        p = self._averaged(*(part.predict_proba(bags, clinical)[:, 1] for part in self.parts_))
        return np.stack([1 - p, p], axis=1)

    def image_contributions(self, bags: Bags, clinical: pd.DataFrame) -> Contributions | None:
        """What each image adds to the log-odds; see `ExplainsImages`.

        Returns:
            None for average="probabilities", where a part cannot tell exactly, or where one is surer than e^16 : 1.
        """
        check_is_fitted(self, "parts_")
        if self.average != "logits":
            return None
        return sum_of_parts(self.parts_, (self.weight, 1 - self.weight), 0.0, bags, clinical)

    def fit_predict_splits(
        self, splits: Sequence[Split], clinical: pd.DataFrame, y: NDArray[np.int8], fit_cache: FitCache
    ) -> list[Floats]:
        """As `fit` and `predict_proba` on each split, as quick as the parts are."""
        self._check_params()
        image, values = (fit_predict(part, splits, clinical, y, fit_cache) for part in self._parts())
        return [self._averaged(p, q) for p, q in zip(image, values, strict=True)]

    def _averaged(self, image: Floats, values: Floats) -> Floats:
        if self.average == "probabilities":
            return self.weight * image + (1 - self.weight) * values
        return np.asarray(expit(self.weight * log_odds(image) + (1 - self.weight) * log_odds(values)))

    def _parameter_constraints(self) -> dict[str, tuple[bool, str]]:
        number = isinstance(self.weight, int | float) and not isinstance(self.weight, bool)
        return super()._parameter_constraints() | {
            "average": (self.average in WAYS, "'probabilities' or 'logits'"),
            "weight": (number and 0 <= self.weight <= 1, "a number from 0 to 1"),
        }


_PARTS = (LOGISTIC, SVM, GP, XGBOOST, INSTANCES)


def suggest(draws: TrialLike) -> dict[str, Any]:
    """A point of late fusion to try."""
    params = suggest_parts(draws, _PARTS)
    params["average"] = draws.suggest_categorical("average", WAYS)
    even = draws.suggest_categorical("even", (True, False))
    return params | {"weight": 0.5 if even else draws.suggest_float("weight", 0.1, 0.9)}


HEAD_TYPE = HeadType(
    name="late",
    summary="An image head and a clinical head, fitted separately; their probabilities or log-odds are averaged.",
    source="Kittler et al., On combining classifiers, IEEE PAMI 20, 1998",
    cost="moderate",
    space=suggest,
    build=partial(build_fused, LateFusion, _PARTS),
    default_params=(
        {**FIRST_PARTS, "average": "probabilities", "even": True},
        {**FIRST_PARTS, "average": "logits", "even": True, "logistic.pooling": "std"},
    ),
    inputs=("both",),
    weighs_encodings=True,
    declared_values=True,
)
