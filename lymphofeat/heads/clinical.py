"""The clinical row as numbers: age, logarithm of the lymphocyte count, sex, declared values, and terms made of them."""

from collections import Counter
from collections.abc import Sequence
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
from ..cohort.values import column_of
from ..errors import InputError
from .checks import Legal

__all__ = ["CLINICAL_COLUMNS", "SPLINES", "ClinicalFeatures", "clinical_constraints"]

_VALUES = ("age", "log_count", "male")
SPLINES = (None, "age", "log_count")
_KNOTS, _DEGREE = 4, 3
_SPLINE_COLUMNS = _KNOTS + _DEGREE - 2  # all B-splines but the last, which is 1 minus the others


class ClinicalFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Clinical columns → (n, 3 or more) float64: age, ln(count), male (0/1), declared values, and terms.

    A missing number becomes the median of the patients that it was fitted on (0 where all are missing), a missing
    category the commonest one, so fit it inside the fold. A category is a column for each that was fitted on; another
    one later is 0 in all of them. That a value is missing is not looked at unless asked for: it may say more of the
    laboratory than of the patient. The number of images, the date of birth and its spelling are never looked at.

    Args:
        interaction: also the products of each two of age, ln(count) and male, each taken from its median first.
        spline: None, or "age" or "log_count": also cubic B-splines of that value, with knots at the
            quantiles 0, 1/3, 2/3 and 1 and straight lines beyond; zeros where these are not four values.
        clinical_values: declared columns beside the three, as `Cache.clinical_values` names them: "haemoglobin", and
            "log ldh" for the natural logarithm.
        missing_indicator: also whether each value is missing (0/1).

    Attributes:
        imputer_: the fitted medians.
        categories_: per declared column of texts, those that it was fitted on, the commonest first.
        spline_: the fitted `SplineTransformer`; None without, or without four knots.
    """

    keeps = "values"  # of the training patients: see bundle/classes.py

    # Of objects stored before there were these arguments: no declared columns, and always the indicators.
    clinical_values: Sequence[str] = ()
    missing_indicator: bool = True

    def __init__(
        self,
        *,
        interaction: bool = False,
        spline: str | None = None,
        clinical_values: Sequence[str] = (),
        missing_indicator: bool = False,
    ) -> None:
        self.interaction = interaction
        self.spline = spline
        self.clinical_values = clinical_values
        self.missing_indicator = missing_indicator

    def fit(self, X: pd.DataFrame, y: Any = None) -> "ClinicalFeatures":
        """Learn from `X`, rows as `cohort.clinical.clinical_frame` gives them: age (years), sex ("M", "F", ""),
        lymphocyte_count (10⁹/l), declared columns (numbers, or texts).

        Raises:
            InputError: a column is not there.
        """
        self.categories_ = {
            value: _by_frequency(_texts(X, value))
            for value in self.clinical_values
            if not pd.api.types.is_numeric_dtype(_column(X, value))
        }
        raw = self._numbers(X)
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
        """(n, 3 or more) float64, without NaN; see the class."""
        check_is_fitted(self, "imputer_")
        raw = self._numbers(X)
        texts = {value: _texts(X, value) for value in self._categories}
        values = self.imputer_.transform(raw)
        blocks = [values, *(self._answers(value, found) for value, found in texts.items())]
        if self.missing_indicator:
            blocks += [np.isnan(raw), *(found[:, None] == "" for found in texts.values())]
        if self.interaction:
            centred = values - self.imputer_.transform(np.full((1, raw.shape[1]), np.nan))
            blocks += [centred[:, [i]] * centred[:, [j]] for i, j in combinations(range(len(_VALUES)), 2)]
        if self.spline_ is not None:
            blocks.append(self.spline_.transform(values[:, [_VALUES.index(str(self.spline))]]))
        elif self.spline is not None:
            blocks.append(np.zeros((len(values), _SPLINE_COLUMNS)))
        return np.hstack(blocks)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the columns; with `clinical_values`, once it is fitted."""
        if self.clinical_values:
            check_is_fitted(self, "imputer_")
        texts = self._categories
        numbers = [*_VALUES, *(value for value in self.clinical_values if value not in texts)]
        names = [*numbers, *(f"{value} {one}" for value, found in texts.items() for one in found)]
        if self.missing_indicator:
            names += [f"{name}_missing" for name in (*numbers, *texts)]
        if self.interaction:
            names += [f"{a}*{b}" for a, b in combinations(_VALUES, 2)]
        if self.spline is not None:
            names += [f"{self.spline}_spline_{k}" for k in range(_SPLINE_COLUMNS)]
        return np.array(names, dtype=object)

    @property
    def _categories(self) -> dict[str, tuple[str, ...]]:
        """`categories_`, which objects stored before there were declared columns lack."""
        found: dict[str, tuple[str, ...]] = getattr(self, "categories_", {})
        return found

    def _numbers(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """(n, 3 and the declared numbers) float64, NaN where a value is missing, infinite, or has no logarithm."""
        for name in CLINICAL_COLUMNS:
            _column(table, name)
        numbers = tuple(value for value in self.clinical_values if value not in self._categories)
        for value in numbers:
            _column(table, value)
        values = clinical_numbers(table, (*_VALUES, *numbers))
        return np.where(np.isfinite(values), values, np.nan)

    def _answers(self, value: str, found: NDArray[np.object_]) -> NDArray[np.float64]:
        """(n, categories) float64 0 or 1."""
        known = self._categories[value]
        texts = np.where(found == "", known[0], found) if known else found
        return np.asarray(texts[:, None] == np.array(known, dtype=object)[None, :], dtype=np.float64)


def clinical_constraints(head: Any) -> Legal:
    """Whether the arguments of a head are legal that it hands on to `ClinicalFeatures`."""
    values = head.clinical_values
    names = isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)
    return {
        "clinical_values": (names and len(set(values)) == len(values), "different names of declared columns"),
        "missing_indicator": (isinstance(head.missing_indicator, bool), "True or False"),
    }


def _column(table: pd.DataFrame, value: str) -> "pd.Series[Any]":
    name, _ = column_of(value)
    if name not in table.columns:
        needed = (
            "it needs age, sex and lymphocyte_count"
            if name in CLINICAL_COLUMNS
            else "which this head was made with"
        )
        raise InputError(f"The clinical table has no column {name!r}; {needed}.")
    return table[name]


def _texts(table: pd.DataFrame, value: str) -> NDArray[np.object_]:
    """(n,) texts, "" where missing."""
    return np.array([text if isinstance(text, str) else "" for text in _column(table, value)], dtype=object)


def _by_frequency(texts: NDArray[np.object_]) -> tuple[str, ...]:
    counts = Counter(text for text in texts.tolist() if text)
    return tuple(sorted(counts, key=lambda text: (-counts[text], text)))
