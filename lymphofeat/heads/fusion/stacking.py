"""Stacking: what several heads say of held-out patients is weighed by a logistic regression (Wolpert 1992)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from ...cache.bags import Bags
from ..base import FitCache, Split, fit_predict
from ..checks import Legal, check_both_classes, is_above, is_whole
from ..contributions import Contributions
from ..inner import inner_splits
from ..regression import exact_regression
from .parts import log_odds, sum_of_parts

__all__ = ["INNER_FOLDS", "Stacking"]

Floats = NDArray[np.float64]

INNER_FOLDS = 5


class Stacking:
    """What makes one head of several by a logistic regression on their log odds.

    The regression learns from patients that the heads behind their log odds did not see: inner folds of the training
    patients, one person in one fold. Then all heads are fitted on all training patients.

    Args:
        C: inverse strength of the regression's L2 penalty, > 0.
        inner_folds: ≥ 2.
        random_state: of the inner folds.
        class_weight: None, or "balanced", of the regression.

    Attributes:
        parts_: the fitted heads.
        link_: the regression.
    """

    C: float
    inner_folds: int
    random_state: int
    class_weight: str | None

    if TYPE_CHECKING:  # whoever stacks has them

        def _parts(self) -> Sequence[Any]:
            """The heads, not fitted."""

        def _check_params(self) -> None:
            """Refuse bad arguments."""

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> Self:
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
        return sum_of_parts(
            self.parts_, self.link_.coef_[0].tolist(), float(self.link_.intercept_[0]), bags, clinical
        )

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

    def _constraints_of_stacking(self) -> Legal:
        return {
            "C": (is_above(self.C), "a finite number above 0"),
            "inner_folds": (is_whole(self.inner_folds, 2), "a whole number, 2 or more"),
            "random_state": (is_whole(self.random_state, 0), "a whole number, 0 or more"),
        }
