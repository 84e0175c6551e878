"""The clinical row as numbers: age, logarithm of the lymphocyte count, sex, and what is missing."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.utils.validation import check_is_fitted

from ..errors import InputError

__all__ = ["CLINICAL_COLUMNS", "ClinicalFeatures"]

CLINICAL_COLUMNS = ("age", "sex", "count")
_VALUES = ("age", "log_count", "male")
# A counter's zero has no logarithm; a tenth of 10⁹/l lies below every count of a lymphocytosis.
_LEAST_COUNT = 0.1


class ClinicalFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Clinical columns → (n, 6) float64: age, ln(count), male (0/1), and whether each of them was missing.

    Missing values become the median of the patients that it was fitted on (0 where all are missing), so fit
    it inside the fold. The number of images, the date of birth and its spelling are never looked at.

    Attributes:
        imputer_: the fitted medians.
    """

    def fit(self, X: pd.DataFrame, y: Any = None) -> "ClinicalFeatures":
        """Learn the medians of `X`, a table with the columns age (years), sex ("M", "F", ""), count (10⁹/l).

        Raises:
            InputError: a column is not there.
        """
        self.imputer_ = SimpleImputer(strategy="median", keep_empty_features=True).fit(_values(X))
        return self

    def transform(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """(n, 6) float64, without NaN; see the class."""
        check_is_fitted(self, "imputer_")
        values = _values(X)
        return np.hstack([self.imputer_.transform(values), np.isnan(values)])

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the 6 columns."""
        return np.array([*_VALUES, *(f"{name}_missing" for name in _VALUES)], dtype=object)


def _values(table: pd.DataFrame) -> NDArray[np.float64]:
    """(n, 3) float64 with NaN where the value is missing or infinite."""
    absent = [name for name in CLINICAL_COLUMNS if name not in table.columns]
    if absent:
        raise InputError(f"The clinical table has no column {absent[0]!r}; it needs age, sex and count.")
    age = table["age"].to_numpy(np.float64)
    count = table["count"].to_numpy(np.float64)
    sex = table["sex"].map({"M": 1.0, "F": 0.0}).to_numpy(np.float64)
    # np.maximum hands NaN on.
    values = np.column_stack([age, np.log(np.maximum(count, _LEAST_COUNT)), sex])
    return np.where(np.isfinite(values), values, np.nan)
