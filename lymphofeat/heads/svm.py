"""Support vector machines on pooled features, linear and with a Gaussian kernel."""

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_sample_weight

from .checks import is_above, is_whole
from .design import INPUTS
from .inner import inner_folds
from .pooled import Legal, PooledHead, PooledOptions, suggest_pooled
from .registry import Draws, HeadFamily
from .regression import exact_regression

__all__ = ["FAMILY", "PooledSVM"]

Floats = NDArray[np.float64]

KERNELS = ("linear", "rbf")
_INNER_FOLDS = 5
# Of decision values, whose unit is the margin: with less, the machine tells patients apart by rounding.
_LEAST_SPREAD = 1e-2


class PooledSVM(PooledHead):
    """A support vector machine; other arguments as `PooledHead`.

    Probabilities are a logistic function of the decision value (Platt, Advances in Large Margin Classifiers, 1999),
    fitted on inner folds of the training patients that keep one person together; the machine itself is then fitted
    on all of them.

    Args:
        kernel: "linear" or "rbf".
        C: cost of a patient on the wrong side, > 0.
        width: of the Gaussian kernel, in median distances of two training patients, > 0; for "rbf".
        random_state: of the inner folds.
    """

    def __init__(
        self,
        *,
        kernel: str = "rbf",
        C: float = 1.0,
        width: float = 1.0,
        random_state: int = 0,
        **options: Unpack[PooledOptions],
    ) -> None:
        super().__init__(**options)
        self.kernel = kernel
        self.C = C
        self.width = width
        self.random_state = random_state

    def _classifier(self) -> Any:
        return SVC(C=self.C, kernel=self.kernel, class_weight=self.class_weight)

    def _train(self, table: Floats, y: NDArray[np.int8], clinical: pd.DataFrame) -> "_Sigmoid":
        machine = self._classifier().set_params(gamma=1 / (2 * (self.width * median_distance(table)) ** 2))
        held_out = np.empty(len(y))
        for train, test in inner_folds(clinical, y, _INNER_FOLDS, self.random_state):
            held_out[test] = machine.fit(table[train], y[train]).decision_function(table[test])
        return _Sigmoid.fit(machine.fit(table, y), held_out, y, self.class_weight)

    def _legal(self) -> Legal:
        return super()._legal() | {
            "kernel": (self.kernel in KERNELS, "'linear' or 'rbf'"),
            "C": (is_above(self.C), "a finite number above 0"),
            "width": (is_above(self.width), "a finite number above 0"),
            "random_state": (is_whole(self.random_state, 0), "a whole number, 0 or more"),
        }


class _Sigmoid:
    """A machine and the logistic function of its standardised decision values."""

    def __init__(self, machine: SVC, link: LogisticRegression, mean: float, spread: float) -> None:
        self.machine, self.link, self.mean, self.spread = machine, link, mean, spread

    @classmethod
    def fit(cls, machine: SVC, held_out: Floats, y: NDArray[np.int8], class_weight: str | None) -> "_Sigmoid":
        """Learn the function from decision values (n,) of patients that the machine behind them did not see."""
        mean, spread = float(np.mean(held_out)), max(float(np.std(held_out)), _LEAST_SPREAD)
        link = exact_regression(100.0).fit(
            (held_out[:, None] - mean) / spread, y, sample_weight=compute_sample_weight(class_weight, y)
        )
        return cls(machine, link, mean, spread)

    def predict_proba(self, table: Floats) -> Floats:
        """(n, 2) float64."""
        values = self.machine.decision_function(table)[:, None]
        return np.asarray(self.link.predict_proba((values - self.mean) / self.spread))


def median_distance(table: Floats) -> float:
    """The median distance of two rows of an (n, p) table; 1 where most are alike."""
    return float(np.median(pdist(table))) or 1.0


def suggest(draws: Draws) -> dict[str, Any]:
    """Arguments of `PooledSVM` to try."""
    params: dict[str, Any] = {**suggest_pooled(draws)}
    params["kernel"] = draws.suggest_categorical("kernel", KERNELS)
    if params["kernel"] == "rbf":
        params["width"] = draws.suggest_float("width", 0.3, 10.0, log=True)
    return params | {"C": draws.suggest_float("C", 1e-3, 1e2, log=True)}


def build(params: Mapping[str, Any]) -> PooledSVM:
    """The head of a point of `suggest`."""
    return PooledSVM(**params)


_FIRST = {
    "inputs": "both", "class_weight": None, "pooling": "mean", "scale": True, "reduce": False, "interaction": False,
    "spline": None, "cross": False, "kernel": "rbf", "width": 1.0, "C": 1.0,
}  # fmt: skip

FAMILY = HeadFamily(
    name="svm",
    summary="Support vector machine on pooled features and clinical values, linear or with a Gaussian kernel.",
    source="Cortes & Vapnik, Machine Learning 20, 1995; Platt, 1999",
    cost="cheap",
    space=suggest,
    build=build,
    first=(_FIRST, _FIRST | {"pooling": "mean+std"}),
    inputs=INPUTS,
)
