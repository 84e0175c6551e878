"""Linear discriminant analysis with a shrunken covariance on pooled features."""

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from ..errors import InputError
from .design import INPUTS
from .pooled import Legal, PooledHead, PooledOptions, suggest_pooled
from .registry import HeadType, TrialLike

__all__ = ["HEAD_TYPE", "PooledLDA"]


class PooledLDA(PooledHead):
    """Linear discriminant analysis; other arguments as `PooledHead`. Nothing is random.

    Args:
        shrinkage: "auto" (Ledoit & Wolf, J. Multivariate Anal. 88, 2004), or the share of the equal variances in the
            covariance, in (0, 1].
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(self, *, shrinkage: float | str = "auto", **options: Unpack[PooledOptions]) -> None:
        super().__init__(**options)
        self.shrinkage = shrinkage

    def _classifier(self) -> Any:
        priors = None if self.class_weight is None else [0.5, 0.5]
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=self.shrinkage, priors=priors)

    def _train(self, table: NDArray[np.float64], y: NDArray[np.int8], clinical: pd.DataFrame) -> Any:
        check_two_of_each(clinical, y)
        return self._classifier().fit(table, y)

    def _parameter_constraints(self) -> Legal:
        number = isinstance(self.shrinkage, float | int) and not isinstance(self.shrinkage, bool)
        legal = self.shrinkage == "auto" or (number and 0 < float(self.shrinkage) <= 1)
        return super()._parameter_constraints() | {
            "shrinkage": (legal, "'auto' or a number above 0 and up to 1")
        }


def check_two_of_each(clinical: pd.DataFrame, y: NDArray[np.int8]) -> None:
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
    """Arguments of `PooledLDA` to try."""
    params: dict[str, Any] = {**suggest_pooled(draws)}
    if draws.suggest_categorical("auto", (True, False)):
        return params | {"shrinkage": "auto"}
    return params | {"shrinkage": draws.suggest_float("shrinkage", 1e-3, 1.0, log=True)}


def build(params: Mapping[str, Any]) -> PooledLDA:
    """The head of a point of `suggest`."""
    return PooledLDA(**params)


HEAD_TYPE = HeadType(
    name="lda",
    summary="Linear discriminant analysis with a shrunken covariance, on pooled features and clinical values.",
    source="Fisher, Ann. Eugenics 7, 1936; Ledoit & Wolf, J. Multivariate Anal. 88, 2004",
    cost="cheap",
    space=suggest,
    build=build,
    default_params=(
        {
            "inputs": "both", "class_weight": None, "pooling": "mean", "scale": True, "reduce": False,
            "interaction": False, "spline": None, "cross": False, "auto": True,
        },
    ),
    inputs=INPUTS,
    check=check_two_of_each,
)  # fmt: skip
