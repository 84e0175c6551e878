"""Heads that know nothing of cells: what a comparison shows beside every pipeline.

They stand here and not among the heads, so that no search can choose one.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from ..cache.bags import Bags

__all__ = ["BagSize", "MajorityClass"]

Floats = NDArray[np.float64]


class MajorityClass(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Every patient alike: the probability is the share of malignant among the training patients.

    Attributes:
        share_: that share.
    """

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> "MajorityClass":
        """Learn from n patients; see `Head`."""
        self.share_ = float(np.mean(y == 1))
        self.classes_ = np.array([0, 1], dtype=np.int8)
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant."""
        check_is_fitted(self, "share_")
        return np.tile([1 - self.share_, self.share_], (len(bags), 1))


class BagSize(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression on the logarithm of a patient's number of images, and on nothing else.

    The number of images follows the lymphocyte count; it says how a smear was photographed, not what is on it.

    Attributes:
        model_: the fitted scaler and regression.
    """

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> "BagSize":
        """Learn from n patients; see `Head`."""
        self.model_ = make_pipeline(StandardScaler(), LogisticRegression()).fit(_log_size(bags), y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant."""
        check_is_fitted(self, "model_")
        return np.asarray(self.model_.predict_proba(_log_size(bags)))


def _log_size(bags: Bags) -> Floats:
    return np.log(bags.lengths.astype(np.float64))[:, None]
