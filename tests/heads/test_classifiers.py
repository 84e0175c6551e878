"""Pooled classifiers against the plain steps that their docstrings name."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.svm import SVC

from lymphofeat.cache.bags import Bags
from lymphofeat.heads import FitCache, Logistic, Split, fit_predict, pool, pooled
from lymphofeat.heads.boosting import BoostedTrees
from lymphofeat.heads.discriminant import ShrunkenLDA
from lymphofeat.heads.gaussian_process import GaussianProcess
from lymphofeat.heads.inner import inner_folds
from lymphofeat.heads.pooled_head import PooledHead
from lymphofeat.heads.svm import SupportVectorMachine
from lymphofeat.synthetic.features import simulate_features

N = 60
Patients = tuple[Bags, pd.DataFrame, np.ndarray]


@pytest.fixture(scope="module")
def patients() -> Patients:
    cohort = simulate_features(N, (3, 9), 6, signal="mean", strength=2.0, seed=1)
    return Bags.from_list(cohort.bags), cohort.table, cohort.y


def table_of(head: PooledHead, patients: Patients) -> np.ndarray:
    bags, clinical, _ = patients
    return head.design_.transform(bags, clinical)


def test_l1_minimises_its_own_objective(patients: Patients) -> None:
    """And leaves some axes out, where L2 leaves none."""
    bags, clinical, y = patients
    for ratio in (1.0, 0.5):
        head = pooled(Logistic, l1_ratio=ratio, C=0.3, pca=5).fit(bags, clinical, y)
        x, sign = table_of(head, patients), 2.0 * y - 1

        def objective(
            w: np.ndarray, x: np.ndarray = x, sign: np.ndarray = sign, ratio: float = ratio
        ) -> float:
            penalty = ratio * np.abs(w[1:]).sum() + (1 - ratio) * (w[1:] ** 2).sum() / 2
            return float(0.3 * np.logaddexp(0, -sign * (x @ w[1:] + w[0])).sum() + penalty)

        found = np.r_[head.classifier_.intercept_, head.classifier_.coef_[0]]
        best = min(
            minimize(objective, start, method="Powell", options={"maxiter": 20_000, "ftol": 1e-12}).fun
            for start in (found, np.zeros(len(found)))
        )
        assert objective(found) == pytest.approx(best, rel=1e-4)
    sparse = pooled(Logistic, l1_ratio=1.0, C=0.1).fit(bags, clinical, y).classifier_.coef_
    assert (sparse == 0).sum() >= 3
    assert (pooled(Logistic, C=0.1).fit(bags, clinical, y).classifier_.coef_ != 0).sum() > (sparse != 0).sum()


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_svm_is_platts_way_step_by_step(kernel: str, patients: Patients) -> None:
    bags, clinical, y = patients
    head = pooled(SupportVectorMachine, kernel=kernel, C=0.5, width=2.0).fit(bags, clinical, y)
    x = table_of(head, patients)
    distances = [np.linalg.norm(x[i] - x[j]) for i in range(N) for j in range(i)]
    gamma = 1 / (2 * (2.0 * np.median(distances)) ** 2)
    held_out = np.empty(N)
    for train, test in inner_folds(clinical, y, 5, 0):
        held_out[test] = (
            SVC(C=0.5, kernel=kernel, gamma=gamma).fit(x[train], y[train]).decision_function(x[test])
        )
    values = held_out / held_out.std()

    def loss(w: np.ndarray) -> float:
        return float(np.logaddexp(0, (1 - 2 * y) * (w[0] + w[1] * values)).sum() + w[1] ** 2 / 200)

    intercept, slope = minimize(
        loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}
    ).x
    machine = SVC(C=0.5, kernel=kernel, gamma=gamma).fit(x, y)
    expected = expit(intercept + slope * machine.decision_function(x) / held_out.std())
    np.testing.assert_allclose(head.predict_proba(bags, clinical)[:, 1], expected, atol=1e-4)


def test_lda_is_scikit_learns_on_the_features_themselves(patients: Patients) -> None:
    """With a fixed shrinkage and one scale, the axes' rotation changes nothing."""
    bags, clinical, y = patients
    for weight, priors in ((None, None), ("balanced", [0.5, 0.5])):
        head = pooled(ShrunkenLDA, shrinkage=0.3, inputs="image", scale=False, class_weight=weight).fit(
            bags, clinical, y
        )
        means = np.array([bag.astype(np.float64).mean(axis=0) for bag in bags])
        plain = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3, priors=priors).fit(means, y)
        np.testing.assert_allclose(head.predict_proba(bags, clinical), plain.predict_proba(means), atol=1e-6)


def test_gaussian_process_balances_by_the_odds(patients: Patients) -> None:
    bags, clinical, y = patients
    few = np.r_[np.flatnonzero(y == 0)[:10], np.flatnonzero(y == 1)]
    part = bags.select(few), clinical.iloc[few], y[few]
    plain = pooled(GaussianProcess).fit(*part).predict_proba(bags, clinical)[:, 1]
    balanced = pooled(GaussianProcess, class_weight="balanced").fit(*part).predict_proba(bags, clinical)[:, 1]
    np.testing.assert_allclose(logit(balanced), logit(plain) - np.log((y[few] == 1).sum() / 10))
    flat = pooled(GaussianProcess, amplitude=1e-3).fit(*part).predict_proba(bags, clinical)
    np.testing.assert_allclose(flat, 0.5, atol=1e-3)


@pytest.mark.parametrize("inputs", ["clinical", "both"])
@pytest.mark.parametrize("terms", [{}, {"interaction": True, "spline": "age"}], ids=["plain", "terms"])
def test_monotone_trees_rise_with_age_and_count(inputs: str, terms: dict[str, Any]) -> None:
    # Labels at random: without the constraint, trees go up and down.
    cohort = simulate_features(120, 3, 4, signal="none", seed=2)
    bags, table, y = Bags.from_list(cohort.bags), cohort.table, cohort.y
    falls = {}
    for monotone in (False, True):
        head = pooled(
            BoostedTrees,
            rotate=False,
            inputs=inputs,
            monotone=monotone,
            trees=60,
            depth=3,
            reg_lambda=0.5,
            **terms,
        )
        head.fit(bags, table, y)
        x = head.design_.transform(bags, table)
        names = list(head.design.clinical_names)
        falls[monotone] = 0.0
        for name in ("age", "log_count"):
            column = x.shape[1] - len(names) + names.index(name)
            moved = np.repeat(x, 40, axis=0)
            moved[:, column] = np.tile(np.linspace(-3, 3, 40), len(x))
            p = head.classifier_.predict_proba(moved)[:, 1].reshape(len(x), 40)
            falls[monotone] = max(falls[monotone], float(-np.diff(p, axis=1).min()))
    assert falls[True] <= 1e-6
    assert falls[False] > 0.01


def test_crossed_columns_are_products(patients: Patients) -> None:
    bags, clinical, y = patients
    plain = pooled(Logistic, cross=False, pca=3).fit(bags, clinical, y)
    crossed = pooled(Logistic, cross=True, pca=3).fit(bags, clinical, y)
    x, z = table_of(plain, patients), table_of(crossed, patients)
    np.testing.assert_array_equal(z[:, :3], x[:, :3])
    np.testing.assert_array_equal(z[:, -3:], x[:, -3:])
    axes = plain.design_.axes_.transform(pool(bags, "mean"))  # all six, pca or not
    products = [axes[:, i] * x[:, 3 + j] for i in range(6) for j in range(2)]
    np.testing.assert_allclose(z[:, 3:-3], np.transpose(products))


def test_the_bag_size_is_seen_only_when_asked_for() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(40) % 2).astype(np.int8)
    bags = Bags.from_list([rng.normal(size=(4 + 6 * label, 3)).astype(np.float32) for label in y])
    clinical = pd.DataFrame({"age": 60.0, "sex": "F", "lymphocyte_count": 5.0}, index=range(40))
    split = Split(bags, "drawn", np.arange(0, 30), np.arange(30, 40))
    for inputs in ("image", "clinical", "both"):
        (p,) = fit_predict(pooled(Logistic, inputs=inputs, bag_size=True), [split], clinical, y, FitCache())
        assert ((p > 0.5) == y[30:]).all()
        plain = pooled(Logistic, inputs=inputs, bag_size=True).fit(
            bags.select(split.train), clinical[:30], y[:30]
        )
        np.testing.assert_allclose(plain.predict_proba(bags.select(split.test), clinical[30:])[:, 1], p)
    (p,) = fit_predict(pooled(Logistic, inputs="clinical"), [split], clinical, y, FitCache())
    np.testing.assert_allclose(p, 0.5, atol=1e-9)
