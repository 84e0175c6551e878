"""The clinical row as numbers: age, logarithm of the lymphocyte count, sex, what is missing, and terms made of them."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import SplineTransformer
from sklearn.utils.validation import check_is_fitted

from ..cohort.clinical import CLINICAL_COLUMNS
from ..cohort.clinical_values import clinical_numbers
from ..errors import InputError

__all__ = ["CLINICAL_COLUMNS", "SPLINES", "ClinicalFeatures"]

_VALUES = ("age", "log_count", "male")
SPLINES = (None, "age", "log_count")
_KNOTS, _DEGREE = 4, 3
_SPLINE_COLUMNS = _KNOTS + _DEGREE - 2  # all B-splines but the last, which is 1 minus the others


class ClinicalFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Clinical columns → (n, 6 or more) float64: age, ln(count), male (0/1), whether each was missing, and terms.

    Missing values become the median of the patients that it was fitted on (0 where all are missing), so fit
    it inside the fold. The number of images, the date of birth and its spelling are never looked at.

    Args:
        interaction: also the products of each two of the three values, each taken from its median first.
        spline: None, or "age" or "log_count": also cubic B-splines of that value, with knots at the
            quantiles 0, 1/3, 2/3 and 1 and straight lines beyond; zeros where these are not four values.

    Attributes:
        imputer_: the fitted medians.
        spline_: the fitted `SplineTransformer`; None without, or without four knots.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(self, *, interaction: bool = False, spline: str | None = None) -> None:
        self.interaction = interaction
        self.spline = spline

    def fit(self, X: pd.DataFrame, y: Any = None) -> "ClinicalFeatures":
        """Learn from `X`, a table with the columns age (years), sex ("M", "F", ""), count (10⁹/l).

        Raises:
            InputError: a column is not there.
        """
        raw = _values(X)
        self.imputer_ = SimpleImputer(strategy="median", keep_empty_features=True).fit(raw)
        self.spline_ = None
        if self.spline is not None:
            value = self.imputer_.transform(raw)[:, [_VALUES.index(self.spline)]]
            knots = np.unique(np.quantile(value, np.linspace(0, 1, _KNOTS), axis=0), axis=0)
            if len(knots) == _KNOTS:
                self.spline_ = SplineTransformer(
                    knots=knots, degree=_DEGREE, extrapolation="linear", include_bias=False
                ).fit(value)
        return self

    def transform(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """(n, 6 or more) float64, without NaN; see the class."""
        check_is_fitted(self, "imputer_")
        raw = _values(X)
        values = self.imputer_.transform(raw)
        blocks = [values, np.isnan(raw)]
        if self.interaction:
            centred = values - self.imputer_.transform(np.full((1, len(_VALUES)), np.nan))
            blocks += [centred[:, [i]] * centred[:, [j]] for i, j in combinations(range(len(_VALUES)), 2)]
        if self.spline_ is not None:
            blocks.append(self.spline_.transform(values[:, [_VALUES.index(str(self.spline))]]))
        elif self.spline is not None:
            blocks.append(np.zeros((len(values), _SPLINE_COLUMNS)))
        return np.hstack(blocks)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the columns."""
        names = [*_VALUES, *(f"{name}_missing" for name in _VALUES)]
        if self.interaction:
            names += [f"{a}*{b}" for a, b in combinations(_VALUES, 2)]
        if self.spline is not None:
            names += [f"{self.spline}_spline_{k}" for k in range(_SPLINE_COLUMNS)]
        return np.array(names, dtype=object)


def _values(table: pd.DataFrame) -> NDArray[np.float64]:
    """(n, 3) float64 with NaN where the value is missing or infinite."""
    absent = [name for name in CLINICAL_COLUMNS if name not in table.columns]
    if absent:
        raise InputError(
            f"The clinical table has no column {absent[0]!r}; it needs age, sex and lymphocyte_count."
        )
    values = clinical_numbers(table, _VALUES)
    return np.where(np.isfinite(values), values, np.nan)
