"""scikit-learn's logistic regression as the heads use it."""

import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

__all__ = ["exact_regression", "sparse_regression"]

# A sparse solution is found to four digits or so; more passes change no decision.
_SPARSE_PASSES, _SPARSE_TOLERANCE = 2000, 1e-4


class _Regression(LogisticRegression):  # type: ignore[misc]
    """Takes what the solver has reached.

    Newton's line search has nothing to gain where the start is the optimum (all patients alike, both classes even), and
    warns; the sparse solver warns after its last pass.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "_Regression":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            super().fit(X, y, sample_weight)
        return self


def exact_regression(C: float, class_weight: str | None = None) -> LogisticRegression:
    """With an L2 penalty, by Newton's steps: few, and without a tolerance that the probabilities would depend on."""
    return _Regression(C=C, class_weight=class_weight, solver="newton-cholesky", tol=1e-8)


def sparse_regression(C: float, l1_ratio: float) -> LogisticRegression:
    """With an L1 penalty or an elastic net (l1_ratio in (0, 1])."""
    return _Regression(
        C=C,
        l1_ratio=l1_ratio,
        solver="saga",
        tol=_SPARSE_TOLERANCE,
        max_iter=_SPARSE_PASSES,
        random_state=0,  # of the order of the steps towards the one optimum
    )
