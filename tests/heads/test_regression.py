"""Logistic regressions of wide tables: the exact optimum, wherever Newton's steps begin."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone

from lymphofeat.heads.regression import _WIDE, exact_regression, sparse_regression


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("C", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("columns", [5, _WIDE + 10])
def test_the_gradient_is_nought(columns: int, C: float, class_weight: str | None) -> None:
    rng = np.random.default_rng(columns)
    x = rng.normal(size=(400, columns)) * np.geomspace(1, 1e-2, columns)
    y = (x[:, 0] + rng.normal(size=400) > 0.5).astype(np.int8)
    extra = rng.uniform(0.5, 2, size=400)
    found = exact_regression(C, class_weight).fit(x, y, sample_weight=extra)
    weight = extra if class_weight is None else extra * (extra.sum() / (2 * np.bincount(y, extra)))[y]
    residual = weight * (expit(found.decision_function(x)) - y)
    gradient = np.r_[x.T @ residual + found.coef_[0] / C, residual.sum()]
    assert np.abs(gradient).max() < 1e-5
    again = clone(found).fit(x[::-1], y[::-1], sample_weight=extra[::-1])
    np.testing.assert_allclose(again.predict_proba(x), found.predict_proba(x), atol=1e-9)


def test_a_second_fit_forgets_the_first() -> None:
    rng = np.random.default_rng(0)
    model = exact_regression(1.0)
    for columns in (_WIDE + 1, 4, _WIDE + 5):
        x, y = rng.normal(size=(60, columns)), np.arange(60) % 2
        p = model.fit(x, y).predict_proba(x)
        np.testing.assert_allclose(exact_regression(1.0).fit(x, y).predict_proba(x), p, atol=1e-12)


def test_solvers_that_give_up_are_silent_in_threads_and_leave_no_filter() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), np.arange(60) % 2

    def fit(number: int) -> None:
        model = sparse_regression(100.0, 1.0).set_params(max_iter=1 + number % 5, tol=1e-12)
        model.fit(x, y)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(fit, range(200)))
        assert warnings.filters == before
    assert not said
