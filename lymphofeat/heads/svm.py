"""Support vector machines on pooled features, linear and with a Gaussian kernel."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_sample_weight

from .checks import Legal, is_above, is_whole
from .design import INPUTS
from .inner import grouped_folds, inner_folds
from .kernels import median_distance, squared_distances
from .pooled_head import pooled, suggest_pooled
from .registry import HeadType, TrialLike
from .regression import exact_regression
from .table_classifier import TableClassifier

__all__ = ["HEAD_TYPE", "SupportVectorMachine"]

Floats = NDArray[np.float64]

KERNELS = ("linear", "rbf")
_INNER_FOLDS = 5
# Of decision values, whose unit is the margin: with less, the machine tells patients apart by rounding.
_LEAST_SPREAD = 1e-2


class SupportVectorMachine(TableClassifier):
    """A support vector machine with probabilities.

    Probabilities are a logistic function of the decision value (Platt, Advances in Large Margin Classifiers, 1999),
    fitted on inner folds of the training patients that keep one person together; the machine itself is then fitted
    on all of them.

    Args:
        kernel: "linear" or "rbf".
        C: cost of a patient on the wrong side, > 0.
        width: of the Gaussian kernel, in median distances of two training patients, > 0; for "rbf".
        class_weight: None, or "balanced": both classes weigh the same, also in each inner fold.
        random_state: of the inner folds.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(
        self,
        *,
        kernel: str = "rbf",
        C: float = 1.0,
        width: float = 1.0,
        class_weight: str | None = None,
        random_state: int = 0,
    ) -> None:
        self.kernel = kernel
        self.C = C
        self.width = width
        self.class_weight = class_weight
        self.random_state = random_state

    def fit(self, table: Floats, y: NDArray[np.int8], groups: NDArray[np.int64] | None = None) -> Self:
        """Learn from the (n, p) table of the training patients.

        Args:
            groups: (n,), equal where two patients may be one person; None: each is a person of their own.

        Raises:
            InputError: too few patients of a class for inner folds.
        """
        if self.kernel == "rbf":
            squares = squared_distances(table)
            gamma = 1 / (2 * (self.width * median_distance(squares)) ** 2)
            kernel = np.exp(-gamma * squares)
        else:
            kernel = table @ table.T
        held_out = np.empty(len(y))
        who = np.arange(len(y)) if groups is None else groups
        for train, test in grouped_folds(who, y, _INNER_FOLDS, self.random_state):
            inner = self._machine().fit(kernel[np.ix_(train, train)], y[train])
            held_out[test] = inner.decision_function(kernel[np.ix_(test, train)])
        found = self._machine().fit(kernel, y)
        rows, shares = table[found.support_], found.dual_coef_[0]
        start = float(found.intercept_[0])
        machine: _Machine = (
            _Gaussian(rows, shares, start, gamma) if self.kernel == "rbf" else _Linear(shares @ rows, start)
        )
        return self._fitted(_Sigmoid.fit(machine, held_out, y, self.class_weight))

    def _machine(self) -> SVC:
        return SVC(C=self.C, kernel="precomputed", class_weight=self.class_weight)

    def _parameter_constraints(self) -> Legal:
        return {
            "kernel": (self.kernel in KERNELS, "'linear' or 'rbf'"),
            "C": (is_above(self.C), "a finite number above 0"),
            "width": (is_above(self.width), "a finite number above 0"),
            "random_state": (is_whole(self.random_state, 0), "a whole number, 0 or more"),
        }


@dataclass(frozen=True)
class _Linear:
    """Decisions linear in the table: (p,) weights, and where they start."""

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    weights: Floats
    start: float

    def decisions(self, table: Floats) -> Floats:
        """(n,) float64 in units of the margin."""
        return np.asarray(table @ self.weights + self.start)


@dataclass(frozen=True)
class _Gaussian:
    """Decisions of a Gaussian kernel: (k, p) support vectors, their (k,) coefficients, the kernel's gamma."""

    keeps = "rows"  # of the training patients: see bundle/classes.py

    rows: Floats
    shares: Floats
    start: float
    gamma: float

    def decisions(self, table: Floats) -> Floats:
        """(n,) float64 in units of the margin."""
        return np.asarray(rbf_kernel(table, self.rows, gamma=self.gamma) @ self.shares + self.start)


_Machine = _Linear | _Gaussian


class _Sigmoid:
    """A machine and the logistic function of its standardised decision values."""

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(self, machine: _Machine, link: LogisticRegression, mean: float, spread: float) -> None:
        self.machine, self.link, self.mean, self.spread = machine, link, mean, spread

    @classmethod
    def fit(
        cls, machine: _Machine, held_out: Floats, y: NDArray[np.int8], class_weight: str | None
    ) -> "_Sigmoid":
        """Learn the function from decision values (n,) of patients that the machine behind them did not see."""
        mean, spread = float(np.mean(held_out)), max(float(np.std(held_out)), _LEAST_SPREAD)
        link = exact_regression(100.0).fit(
            (held_out[:, None] - mean) / spread, y, sample_weight=compute_sample_weight(class_weight, y)
        )
        return cls(machine, link, mean, spread)

    @property
    def coef_(self) -> Floats:
        """(1, p) weights of the log-odds; as scikit-learn's `SVC`, for the linear kernel only."""
        if not isinstance(self.machine, _Linear):
            raise AttributeError("coef_ is there for the linear kernel only")
        return self._slope * self.machine.weights[None, :]

    @property
    def intercept_(self) -> Floats:
        """(1,) where the log-odds start."""
        return np.asarray(self.link.intercept_ + self._slope * (self.machine.start - self.mean))

    @property
    def _slope(self) -> float:
        return float(self.link.coef_[0, 0]) / self.spread

    def predict_proba(self, table: Floats) -> Floats:
        """(n, 2) float64."""
        values = self.machine.decisions(table)[:, None]
        return np.asarray(self.link.predict_proba((values - self.mean) / self.spread))


def suggest(draws: TrialLike) -> dict[str, Any]:
    """A point of support vector machines to try."""
    params: dict[str, Any] = {**suggest_pooled(draws)}
    params["kernel"] = draws.suggest_categorical("kernel", KERNELS)
    if params["kernel"] == "rbf":
        params["width"] = draws.suggest_float("width", 0.3, 10.0, log=True)
    return params | {"C": draws.suggest_float("C", 1e-3, 1e2, log=True)}


_FIRST = {
    "inputs": "both", "class_weight": None, "pooling": "mean", "scale": True, "reduce": False, "interaction": False,
    "spline": None, "cross": False, "kernel": "rbf", "width": 1.0, "C": 1.0,
}  # fmt: skip

HEAD_TYPE = HeadType(
    name="svm",
    summary="Support vector machine on pooled features and clinical values, linear or with a Gaussian kernel.",
    source="Cortes & Vapnik, Machine Learning 20, 1995; Platt, 1999",
    cost="cheap",
    space=suggest,
    build=partial(pooled, SupportVectorMachine),
    default_params=(_FIRST, _FIRST | {"pooling": "mean+std"}),
    inputs=INPUTS,
    check=lambda clinical, y: inner_folds(clinical, y, _INNER_FOLDS, 0),
    weighs_encodings=True,
    declared_values=True,
)
