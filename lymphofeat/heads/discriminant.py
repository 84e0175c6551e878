"""Linear discriminant analysis with a shrunken covariance on pooled features."""

from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from ..errors import InputError
from .checks import Legal
from .design import INPUTS
from .pooled_head import pooled, suggest_pooled
from .registry import HeadType, TrialLike
from .table_classifier import TableClassifier

__all__ = ["HEAD_TYPE", "ShrunkenLDA"]


class ShrunkenLDA(TableClassifier):
    """Linear discriminant analysis with a shrunken covariance. Nothing is random.

    Args:
        shrinkage: "auto" (Ledoit & Wolf, J. Multivariate Anal. 88, 2004), or the share of the equal variances in the
            covariance, in (0, 1].
        class_weight: None, or "balanced": both classes are as frequent beforehand.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(self, *, shrinkage: float | str = "auto", class_weight: str | None = None) -> None:
        self.shrinkage = shrinkage
        self.class_weight = class_weight

    def fit(self, table: NDArray[np.float64], y: NDArray[np.int8]) -> Self:
        """Learn from the (n, p) table of the training patients.

        Raises:
            InputError: a class has one patient only.
        """
        check_two_of_each(None, y)
        priors = None if self.class_weight is None else [0.5, 0.5]
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=self.shrinkage, priors=priors)
        return self._fitted(model.fit(table, y))

    def _parameter_constraints(self) -> Legal:
        number = isinstance(self.shrinkage, float | int) and not isinstance(self.shrinkage, bool)
        legal = self.shrinkage == "auto" or (number and 0 < float(self.shrinkage) <= 1)
        return {"shrinkage": (legal, "'auto' or a number above 0 and up to 1")}


def check_two_of_each(clinical: pd.DataFrame | None, y: NDArray[np.int8]) -> None:
    """Refuse training patients that have no covariance within their classes.

    Raises:
        InputError: a class has one patient only.
    """
    if np.bincount(y, minlength=2).min() < 2:
        raise InputError(
            "One class has a single training patient, and lda needs two of each for a covariance; add patients, or use "
            "another head, such as logistic."
        )


def suggest(draws: TrialLike) -> dict[str, Any]:
    """A point of linear discriminant analysis to try."""
    params: dict[str, Any] = {**suggest_pooled(draws)}
    if draws.suggest_categorical("auto", (True, False)):
        return params | {"shrinkage": "auto"}
    return params | {"shrinkage": draws.suggest_float("shrinkage", 1e-3, 1.0, log=True)}


HEAD_TYPE = HeadType(
    name="lda",
    summary="Linear discriminant analysis with a shrunken covariance, on pooled features and clinical values.",
    source="Fisher, Ann. Eugenics 7, 1936; Ledoit & Wolf, J. Multivariate Anal. 88, 2004",
    cost="cheap",
    space=suggest,
    build=partial(pooled, ShrunkenLDA),
    default_params=(
        {
            "inputs": "both", "class_weight": None, "pooling": "mean", "scale": True, "reduce": False,
            "interaction": False, "spline": None, "cross": False, "auto": True,
        },
    ),
    inputs=INPUTS,
    check=check_two_of_each,
    weighs_encodings=True,
    declared_values=True,
)  # fmt: skip
