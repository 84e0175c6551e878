"""Pooled features, principal components, clinical values, logistic regression: the head to beat."""

from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .checks import Legal, is_above
from .design import INPUTS
from .pooled_head import pooled, suggest_pooled
from .registry import HeadType, TrialLike
from .regression import exact_regression, sparse_regression
from .table_classifier import TableClassifier

__all__ = ["HEAD_TYPE", "Logistic"]

Floats = NDArray[np.float64]


class Logistic(TableClassifier):
    """Logistic regression with an L2, L1 or elastic-net penalty.

    An L1 penalty is one on the principal axes (and the clinical values), so that it picks axes, not features.
    With `l1_ratio` = 0 nothing is random and the solution is exact.

    Args:
        C: inverse strength of the penalty, > 0.
        l1_ratio: share of the L1 penalty (Zou & Hastie, J. R. Stat. Soc. B 67, 2005), in [0, 1]; 0: L2 alone.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(self, *, C: float = 1.0, l1_ratio: float = 0.0) -> None:
        self.C = C
        self.l1_ratio = l1_ratio

    def fit(self, table: Floats, y: NDArray[np.int8], sample_weight: Floats | None = None) -> Self:
        """Learn from the (n, p) table of the training patients."""
        exact = self.l1_ratio == 0
        model = exact_regression(self.C) if exact else sparse_regression(self.C, self.l1_ratio)
        return self._fitted(model.fit(table, y, sample_weight=sample_weight))

    def _parameter_constraints(self) -> Legal:
        ratio = is_above(self.l1_ratio, -1) and 0 <= self.l1_ratio <= 1
        return {
            "C": (is_above(self.C), "a finite number above 0"),
            "l1_ratio": (ratio, "a number from 0 to 1"),
        }


def suggest(draws: TrialLike) -> dict[str, Any]:
    """A point of logistic regression to try."""
    penalty = draws.suggest_categorical("penalty", ("l2", "l1", "elasticnet"))
    params: dict[str, Any] = {**suggest_pooled(draws, reduced=penalty != "l2")}
    if penalty == "l2":
        params["C"] = draws.suggest_float("C", 1e-3, 1e3, log=True)
        return params
    params["C"] = draws.suggest_float("C_sparse", 1e-2, 10.0, log=True)
    params["l1_ratio"] = 1.0 if penalty == "l1" else draws.suggest_float("l1_ratio", 0.1, 0.9)
    return params


_PLAIN = {"penalty": "l2", "C": 1.0, "class_weight": None}
_IMAGE = {"pooling": "mean", "scale": True, "reduce": False}
_CLINICAL = {"interaction": False, "spline": None}
_BOTH = {"inputs": "both", **_PLAIN, **_IMAGE, **_CLINICAL, "cross": False}

HEAD_TYPE = HeadType(
    name="logistic",
    summary="Logistic regression on pooled features and clinical values; penalty L2, L1 or both.",
    source="Cox, J. R. Stat. Soc. B 20, 1958; Zou & Hastie, J. R. Stat. Soc. B 67, 2005",
    cost="cheap",
    space=suggest,
    build=partial(pooled, Logistic),
    default_params=(
        {"inputs": "clinical", **_PLAIN, **_CLINICAL},
        {"inputs": "image", **_PLAIN, **_IMAGE},
        _BOTH,
        _BOTH | {"reduce": True, "pca": 32},
        _BOTH | {"class_weight": "balanced", "pooling": "mean+std"},
    ),
    inputs=INPUTS,
    weighs_encodings=True,
    declared_values=True,
)
