"""Boosted trees on pooled features, held tight: the cohort is small."""

from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .checks import Legal, is_above, is_whole
from .design import INPUTS, Design
from .pooled_head import pooled, suggest_pooled
from .registry import HeadType, PrefixedTrial, TrialLike
from .table_classifier import TableClassifier

__all__ = ["HEAD_TYPE", "BoostedTrees"]

Floats = NDArray[np.float64]

_RISING = ("age", "log_count")


class BoostedTrees(TableClassifier):
    """XGBoost with the logistic loss on one thread.

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
    ) -> None:
        self.trees = trees
        self.depth = depth
        self.learning_rate = learning_rate
        self.reg_lambda = reg_lambda
        self.min_child_weight = min_child_weight
        self.subsample = subsample
        self.colsample = colsample
        self.monotone = monotone
        self.random_state = random_state

    def fit(
        self,
        table: Floats,
        y: NDArray[np.int8],
        sample_weight: Floats | None = None,
        design: Design | None = None,
    ) -> Self:
        """Learn from the (n, p) table of the training patients.

        Args:
            design: says which columns are age and count, for `monotone`.
        """
        from xgboost import XGBClassifier  # half a second to import

        model = XGBClassifier(
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
        if self.monotone and design is not None:
            model.set_params(monotone_constraints=_rising(table.shape[1], design.clinical_names))
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        return self._fitted(model.fit(table, y, sample_weight=weights))

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
            **shares,
            **bounds,
            "trees": (is_whole(self.trees), "a whole number, 1 or more"),
            "depth": (is_whole(self.depth) and self.depth <= 4, "a whole number from 1 to 4"),
            "monotone": (isinstance(self.monotone, bool), "True or False"),
            "random_state": (is_whole(self.random_state, 0), "a whole number, 0 or more"),
        }


def _rising(width: int, names: tuple[str, ...]) -> tuple[int, ...]:
    """Per column of the table, 1 where the probability may only rise, else 0; `names` are the last columns'."""
    rising = {width - len(names) + names.index(name) for name in _RISING if name in names}
    return tuple(int(column in rising) for column in range(width))


def suggest(draws: TrialLike) -> dict[str, Any]:
    """A point of boosted trees to try."""
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


_FIRST = {
    "inputs": "both", "class_weight": None, "pooling": "mean", "scale": True, "pca": 32, "interaction": False,
    "spline": None, "monotone": True, "trees": 100, "depth": 2, "learning_rate": 0.1, "reg_lambda": 5.0,
    "min_child_weight": 1.0, "subsample": 0.8, "colsample": 0.5,
}  # fmt: skip

HEAD_TYPE = HeadType(
    name="xgboost",
    summary="Boosted trees on pooled features and clinical values, optionally increasing with age and count.",
    source="Chen & Guestrin, XGBoost, KDD 2016",
    cost="moderate",
    space=suggest,
    # Trees see the pooled features as they are, unless `pca` asks for axes.
    build=partial(pooled, BoostedTrees, rotate=False),
    default_params=(
        _FIRST,
        {n: v for n, v in _FIRST.items() if n not in ("pooling", "scale", "pca")} | {"inputs": "clinical"},
    ),
    inputs=INPUTS,
    declared_values=True,
)
