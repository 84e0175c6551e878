"""What classifies the table of a `PooledHead`: the classifiers of this package, in scikit-learn's manner."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from .checks import Constrained

__all__ = ["TableClassifier"]

Floats = NDArray[np.float64]


class TableClassifier(Constrained, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of a table that trains a model of its own in `fit`, and asks it.

    A subclass has arguments, says which of their values are legal, and calls `_fitted` in `fit`, whose keywords are
    those that `PooledHead` knows.

    Attributes:
        model_: what was trained; has `predict_proba`, and `coef_` and `intercept_` if its log-odds are linear.
        classes_: (2,) the labels 0 and 1.
    """

    def predict_proba(self, table: Floats) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant."""
        check_is_fitted(self, "model_")
        return np.asarray(self.model_.predict_proba(table), dtype=np.float64)

    @property
    def coef_(self) -> Floats:
        """(1, p) weights of the log-odds; an `AttributeError` where they are not linear."""
        return np.asarray(self.model_.coef_, dtype=np.float64)

    @property
    def intercept_(self) -> Floats:
        """(1,) the log-odds at 0; an `AttributeError` where they are not linear."""
        return np.asarray(self.model_.intercept_, dtype=np.float64)

    def _fitted(self, model: Any) -> Self:
        """Itself, with this model."""
        self.model_ = model
        self.classes_ = np.array([0, 1])
        return self
