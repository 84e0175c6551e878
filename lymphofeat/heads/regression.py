"""scikit-learn's logistic regression as the heads use it."""

import warnings
from contextlib import ExitStack
from threading import Lock
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

__all__ = ["exact_regression", "sparse_regression"]

# A sparse solution is found to four digits or so; more passes change no decision.
_SPARSE_PASSES, _SPARSE_TOLERANCE = 2000, 1e-4
# Of a table with so many columns, each of Newton's steps is more expensive than all of L-BFGS's together.
_WIDE, _NEAR = 256, 1e-6


class _Regression(LogisticRegression):  # type: ignore[misc]
    """Takes what the solver has reached.

    Newton's line search has nothing to gain where the start is the optimum (all patients alike, both classes even), and
    warns; the sparse solver warns after its last pass.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "_Regression":
        with _QUIET:
            super().fit(X, y, sample_weight)
        return self


class _Quiet:
    """No `ConvergenceWarning` as long as any thread is inside: Python's filters are those of all threads."""

    def __init__(self) -> None:
        self._lock, self._inside, self._filters = Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters.enter_context(
                    warnings.catch_warnings(action="ignore", category=ConvergenceWarning)
                )
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.close()


_QUIET = _Quiet()


class _Exact(_Regression):
    """Newton's steps, from near the optimum where the table is wide."""

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "_Exact":
        self.warm_start = X.shape[1] > _WIDE  # begin at coef_
        if self.warm_start:
            near = _Regression(C=self.C, class_weight=self.class_weight, tol=_NEAR, max_iter=1000)
            near.fit(X, y, sample_weight)
            self.classes_, self.coef_, self.intercept_ = near.classes_, near.coef_, near.intercept_
        super().fit(X, y, sample_weight)
        return self


def exact_regression(C: float, class_weight: str | None = None) -> LogisticRegression:
    """With an L2 penalty, by Newton's steps: few, and without a tolerance that the probabilities would depend on."""
    return _Exact(C=C, class_weight=class_weight, solver="newton-cholesky", tol=1e-8)


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
