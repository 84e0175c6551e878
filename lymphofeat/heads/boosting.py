"""Boosted trees on pooled features, held tight: the cohort is small."""

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_sample_weight

from .checks import is_above, is_whole
from .design import INPUTS
from .pooled import Legal, PooledHead, PooledOptions, suggest_pooled
from .registry import HeadType, PrefixedTrial, TrialLike

__all__ = ["HEAD_TYPE", "PooledXGBoost"]

Floats = NDArray[np.float64]

_RISING = ("age", "log_count")


class PooledXGBoost(PooledHead):
    """XGBoost with the logistic loss on one thread; other arguments as `PooledHead`.

    Trees see the pooled features as they are, unless `pca` asks for axes.

    Args:
        trees: ≥ 1.
        depth: of a tree, 1 to 4.
        learning_rate: in (0, 1].
        reg_lambda: L2 penalty of the leaves, ≥ 0.
        min_child_weight: least sum of p(1 − p) in a leaf, ≥ 0.
        subsample: share of the patients that a tree sees, in (0, 1].
        colsample: share of the columns that a tree sees, in (0, 1].
        monotone: the probability may only rise with age and with the count, all else equal.
        random_state: of the shares.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    _rotate = False

    def __init__(
        self,
        *,
        trees: int = 100,
        depth: int = 2,
        learning_rate: float = 0.1,
        reg_lambda: float = 5.0,
        min_child_weight: float = 1.0,
        subsample: float = 0.8,
        colsample: float = 0.5,
        monotone: bool = False,
        random_state: int = 0,
        **options: Unpack[PooledOptions],
    ) -> None:
        super().__init__(**options)
        self.trees = trees
        self.depth = depth
        self.learning_rate = learning_rate
        self.reg_lambda = reg_lambda
        self.min_child_weight = min_child_weight
        self.subsample = subsample
        self.colsample = colsample
        self.monotone = monotone
        self.random_state = random_state

    def _classifier(self) -> Any:
        from xgboost import XGBClassifier  # half a second to import

        return XGBClassifier(
            n_estimators=self.trees,
            max_depth=self.depth,
            learning_rate=self.learning_rate,
            reg_lambda=self.reg_lambda,
            min_child_weight=self.min_child_weight,
            subsample=self.subsample,
            colsample_bytree=self.colsample,
            random_state=self.random_state,
            tree_method="hist",
            n_jobs=1,
        )

    def _train(self, table: Floats, y: NDArray[np.int8], clinical: pd.DataFrame) -> Any:
        classifier = self._classifier()
        if self.monotone:
            classifier.set_params(monotone_constraints=self._constraints(table.shape[1]))
        return classifier.fit(table, y, sample_weight=compute_sample_weight(self.class_weight, y))

    def _constraints(self, width: int) -> tuple[int, ...]:
        """Per column of the table, 1 where the probability may only rise, else 0."""
        names = self._design().clinical_names
        rising = {width - len(names) + names.index(name) for name in _RISING if name in names}
        return tuple(int(column in rising) for column in range(width))

    def _parameter_constraints(self) -> Legal:
        shares = {
            name: (is_above(getattr(self, name)) and getattr(self, name) <= 1, "a number above 0 and up to 1")
            for name in ("learning_rate", "subsample", "colsample")
        }
        bounds = {
            name: (is_above(getattr(self, name), -1) and getattr(self, name) >= 0, "a number, 0 or more")
            for name in ("reg_lambda", "min_child_weight")
        }
        return {
            **super()._parameter_constraints(),
            **shares,
            **bounds,
            "trees": (is_whole(self.trees), "a whole number, 1 or more"),
            "depth": (is_whole(self.depth) and self.depth <= 4, "a whole number from 1 to 4"),
            "monotone": (isinstance(self.monotone, bool), "True or False"),
            "random_state": (is_whole(self.random_state, 0), "a whole number, 0 or more"),
        }


def suggest(draws: TrialLike) -> dict[str, Any]:
    """Arguments of `PooledXGBoost` to try."""
    params: dict[str, Any] = {**suggest_pooled(PrefixedTrial(draws, "", {"cross": False}), reduced=True)}
    if params["inputs"] != "image":
        params["monotone"] = draws.suggest_categorical("monotone", (False, True))
    return params | {
        "trees": draws.suggest_int("trees", 20, 300, log=True),
        "depth": draws.suggest_int("depth", 1, 4),
        "learning_rate": draws.suggest_float("learning_rate", 0.02, 0.3, log=True),
        "reg_lambda": draws.suggest_float("reg_lambda", 0.5, 100.0, log=True),
        "min_child_weight": draws.suggest_float("min_child_weight", 0.3, 10.0, log=True),
        "subsample": draws.suggest_float("subsample", 0.4, 1.0),
        "colsample": draws.suggest_float("colsample", 0.1, 1.0),
    }


def build(params: Mapping[str, Any]) -> PooledXGBoost:
    """The head of a point of `suggest`."""
    return PooledXGBoost(**params)


_FIRST = {
    "inputs": "both", "class_weight": None, "pooling": "mean", "scale": True, "pca": 32, "interaction": False,
    "spline": None, "monotone": True, "trees": 100, "depth": 2, "learning_rate": 0.1, "reg_lambda": 5.0,
    "min_child_weight": 1.0, "subsample": 0.8, "colsample": 0.5,
}  # fmt: skip

HEAD_TYPE = HeadType(
    name="xgboost",
    summary="Boosted trees on pooled features and clinical values, at will rising with age and count.",
    source="Chen & Guestrin, XGBoost, KDD 2016",
    cost="moderate",
    space=suggest,
    build=build,
    default_params=(
        _FIRST,
        {n: v for n, v in _FIRST.items() if n not in ("pooling", "scale", "pca")} | {"inputs": "clinical"},
    ),
    inputs=INPUTS,
)
