"""Stacked fusion: what the two heads say of held-out patients is weighed by a logistic regression."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from ...cache.bags import Bags
from ...cache.pooling import POOLINGS
from ..base import FitCache, Head, Split, fit_predict
from ..checks import check_both_classes, is_above, is_whole
from ..contributions import Contributions
from ..gaussian_process import HEAD_TYPE as GP
from ..inner import inner_folds, inner_splits
from ..linear import HEAD_TYPE as LOGISTIC
from ..registry import HeadType, TrialLike
from ..regression import exact_regression
from .parts import FIRST_PARTS, FusedHead, build_fused, log_odds, suggest_parts, sum_of_parts

__all__ = ["HEAD_TYPE", "StackedFusion"]

Floats = NDArray[np.float64]

_INNER_FOLDS = 5


class StackedFusion(FusedHead):
    """Logistic regression on the log odds of two heads (Wolpert 1992); other arguments as `FusedHead`.

    The regression learns from patients that the heads behind their log odds did not see: inner folds of the training
    patients, one person in one fold. Then both heads are fitted on all training patients.

    Args:
        C: inverse strength of the regression's L2 penalty, > 0.
        inner_folds: ≥ 2.
        random_state: of the inner folds.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(
        self,
        *,
        image: Head | None = None,
        clinical: Head | None = None,
        class_weight: str | None = None,
        C: float = 1.0,
        inner_folds: int = _INNER_FOLDS,
        random_state: int = 0,
    ) -> None:
        super().__init__(image=image, clinical=clinical, class_weight=class_weight)
        self.C = C
        self.inner_folds = inner_folds
        self.random_state = random_state

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> "StackedFusion":
        """Fit the heads and the regression; see `Head`.

        Raises:
            InputError: bad arguments (all are listed), too few patients of a class, or as a part.
        """
        self._check_params()
        check_both_classes(y)
        everyone = np.arange(len(bags))
        whole = Split(bags, "", everyone, np.empty(0, dtype=np.int64))
        fit_cache = FitCache()
        inner = self._inner(whole, clinical, y)
        held_out = [fit_predict(part, inner, clinical, y, fit_cache) for part in self._parts()]
        self.link_ = self._link(everyone, inner, held_out, y)
        self.parts_ = [part.fit(bags, clinical, y) for part in self._parts()]
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant."""
        check_is_fitted(self, "link_")
        said = [log_odds(part.predict_proba(bags, clinical)[:, 1]) for part in self.parts_]
        return np.asarray(self.link_.predict_proba(np.stack(said, axis=1)))

    def image_contributions(self, bags: Bags, clinical: pd.DataFrame) -> Contributions | None:
        """What each image adds to the log-odds; see `ExplainsImages`.

        Returns:
            None where a part cannot tell exactly, or where one is surer than e^16 : 1.
        """
        check_is_fitted(self, "link_")
        image, values = self.link_.coef_[0].tolist()
        return sum_of_parts(self.parts_, (image, values), float(self.link_.intercept_[0]), bags, clinical)

    def fit_predict_splits(
        self, splits: Sequence[Split], clinical: pd.DataFrame, y: NDArray[np.int8], fit_cache: FitCache
    ) -> list[Floats]:
        """As `fit` and `predict_proba` on each split; the parts see all inner and outer splits at once."""
        self._check_params()
        for split in splits:
            check_both_classes(y[split.train])
        inner = [self._inner(split, clinical, y) for split in splits]
        asked = [*splits, *(one for some in inner for one in some)]
        said = [fit_predict(part, asked, clinical, y, fit_cache) for part in self._parts()]
        probabilities, first = [], len(splits)
        for number, (split, some) in enumerate(zip(splits, inner, strict=True)):
            held_out = [of_part[first : first + len(some)] for of_part in said]
            first += len(some)
            link = self._link(split.train, some, held_out, y)
            table = np.stack([log_odds(of_part[number]) for of_part in said], axis=1)
            probabilities.append(np.asarray(link.predict_proba(table)[:, 1]))
        return probabilities

    def _inner(self, split: Split, clinical: pd.DataFrame, y: NDArray[np.int8]) -> Sequence[Split]:
        return inner_splits(split, clinical, y, self.inner_folds, self.random_state)

    def _link(
        self,
        train: NDArray[np.int64],
        inner: Sequence[Split],
        held_out: Sequence[Sequence[Floats]],
        y: NDArray[np.int8],
    ) -> LogisticRegression:
        """The regression, from each part's probabilities on the inner splits' held-out patients."""
        table = np.full((len(y), len(held_out)), np.nan)
        for column, of_part in enumerate(held_out):
            for split, p in zip(inner, of_part, strict=True):
                table[split.test, column] = log_odds(p)
        link = exact_regression(self.C, self.class_weight)
        return link.fit(table[train], y[train])

    def _parameter_constraints(self) -> dict[str, tuple[bool, str]]:
        return super()._parameter_constraints() | {
            "C": (is_above(self.C), "a finite number above 0"),
            "inner_folds": (is_whole(self.inner_folds, 2), "a whole number, 2 or more"),
            "random_state": (is_whole(self.random_state, 0), "a whole number, 0 or more"),
        }


_PARTS = (LOGISTIC, GP)
# Those that need no axes of instances, which would be found anew in every inner fold.
_POOLINGS = tuple(sorted(POOLINGS))


def suggest(draws: TrialLike) -> dict[str, Any]:
    """A point of stacked fusion to try."""
    return suggest_parts(draws, _PARTS, {"pooling": _POOLINGS}) | {
        "C": draws.suggest_float("C", 1e-2, 1e2, log=True)
    }


HEAD_TYPE = HeadType(
    name="stacked",
    summary="An image head and a clinical head, weighed by a logistic regression on inner held-out patients.",
    source="Wolpert, Stacked generalization, Neural Networks 5, 1992",
    cost="moderate",
    space=suggest,
    build=partial(build_fused, StackedFusion, _PARTS),
    default_params=({**FIRST_PARTS, "C": 1.0},),
    inputs=("both",),
    check=lambda clinical, y: inner_folds(clinical, y, _INNER_FOLDS, 0),
)
