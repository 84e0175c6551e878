"""DeLong, McNemar, paired bootstrap, corrected t, Holm, permutation: against definitions and published numbers."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from lymphofeat.errors import InputError
from lymphofeat.estimates import (
    corrected_t,
    corrected_t_test,
    delong_covariance,
    delong_interval,
    delong_test,
    holm,
    mcnemar,
    paired_bootstrap,
    permutation_p,
    statistic,
)
from lymphofeat.estimates._logistic import fit_logistic
from lymphofeat.estimates.scores import bootstrap

scored = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=30
).filter(lambda rows: 2 <= sum(row[0] for row in rows) <= len(rows) - 2)


@given(scored)
@settings(deadline=None)
def test_delong_equals_its_definition(rows: list[tuple[int, int, int]]) -> None:
    """Structural components as means over all pairs, DeLong et al. 1988, equations 4 to 7."""
    y, *scores = (np.array(column) for column in zip(*rows, strict=True))
    psi = [((s[y == 1][:, None] > s[y == 0]) + 0.5 * (s[y == 1][:, None] == s[y == 0])) for s in scores]
    s10 = np.cov([m.mean(axis=1) for m in psi])
    s01 = np.cov([m.mean(axis=0) for m in psi])
    areas, covariance = delong_covariance(y, np.array(scores))
    assert areas == pytest.approx([roc_auc_score(y, s) for s in scores])
    assert covariance == pytest.approx(s10 / (y == 1).sum() + s01 / (y == 0).sum(), abs=1e-12)


def test_delong_gives_the_published_standard_error() -> None:
    """CT ratings of Hanley & McNeil, Radiology 143 (1982), table 1; Stata's `roctab` prints 0.8932, 0.0307 for them."""
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    y = np.repeat([0, 1], [sum(normal), sum(abnormal)])
    rating = np.concatenate([np.repeat(np.arange(1, 6), counts) for counts in (normal, abnormal)])
    areas, covariance = delong_covariance(y, rating[None])
    assert areas[0] == pytest.approx(0.8932, abs=5e-5)
    assert np.sqrt(covariance[0, 0]) == pytest.approx(0.0307, abs=5e-5)
    interval = delong_interval(y, rating)
    assert 0.8 < interval.low < 0.8932 < interval.high < 0.9534  # the logit interval reaches less far up


def test_delong_test_sees_the_pairing() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [60, 60])
    score = rng.normal(size=120) + y
    nearly = score + 0.05 * rng.normal(size=120)
    other = rng.normal(size=120) + y
    alike, apart = delong_test(y, score, nearly), delong_test(y, score, other)
    assert alike.difference.high - alike.difference.low < 0.2 * (apart.difference.high - apart.difference.low)
    assert delong_test(y, score, score) == ((0.0, 0.0, 0.0), 1.0)
    assert delong_test(y, score, -score).p_value < 1e-6
    flipped = delong_test(y, other, score)
    assert flipped.difference.value == pytest.approx(-apart.difference.value)
    assert flipped.p_value == pytest.approx(apart.p_value)


def test_delong_at_the_edges() -> None:
    y = np.repeat([0, 1], [10, 12])
    assert delong_interval(y, y) == pytest.approx((1.0, 0.025 ** (1 / 10), 1.0))
    assert delong_interval(y, 1 - y) == pytest.approx((0.0, 0.0, 1 - 0.025 ** (1 / 10)))
    with pytest.raises(InputError, match="two patients of each class"):
        delong_interval([0, 1, 1], [0.1, 0.2, 0.3])
    with pytest.raises(InputError, match="numbers"):
        delong_interval([0, 0, 1, 1], [0.1, 0.2, 0.3, np.nan])
    with pytest.raises(InputError, match="one row per pipeline"):
        delong_covariance([0, 1], [0.1, 0.2])


@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_equals_the_sum_of_binomial_terms(only_first: int, only_second: int) -> None:
    y = np.ones(only_first + only_second + 3, dtype=int)
    first = np.repeat([1, 0, 1], [only_first, only_second, 3])
    second = np.repeat([0, 1, 1], [only_first, only_second, 3])
    n, k = only_first + only_second, min(only_first, only_second)
    expected = min(1.0, 2 * sum(comb(n, j) for j in range(k + 1)) / 2**n)
    found = mcnemar(y, first, second)
    assert found[:2] == (only_first, only_second)
    assert found.p_value == pytest.approx(expected)


def test_mcnemar_looks_at_right_and_wrong_not_at_the_labels() -> None:
    y, first, second = np.array([0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 0]), np.array([1, 0, 0, 1, 1])
    assert mcnemar(y, first, second)[:2] == (2, 1)
    assert mcnemar(1 - y, 1 - first, 1 - second) == mcnemar(y, first, second)
    with pytest.raises(InputError, match="one row per patient"):
        mcnemar(y, first, second[:3])


def test_paired_bootstrap_is_the_percentile_interval_of_the_difference_and_agrees_with_its_p_value() -> None:
    rng = np.random.default_rng(2)
    y = np.repeat([0, 1], [30, 40])
    sides = set()
    for k in range(12):
        p, q = (1 / (1 + np.exp(-rng.normal(size=70) - d * y)) for d in (1.5, 1.5 - k / 10))
        found = paired_bootstrap(statistic("auc", y, p), statistic("auc", y, q), y, seed=k, n_resamples=999)
        apart = bootstrap("auc", y, p, seed=k, n_resamples=999) - bootstrap(
            "auc", y, q, seed=k, n_resamples=999
        )
        assert found.difference == pytest.approx(apart.percentile())
        assert (found.p_value <= 0.05) == (not found.difference.low <= 0 <= found.difference.high)
        sides.add(found.p_value <= 0.05)
    assert sides == {True, False}


def test_paired_bootstrap_finds_a_difference_that_is_there_and_none_that_is_not() -> None:
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], [60, 60])
    good = rng.normal(size=120) + 2 * y
    p, q = (1 / (1 + np.exp(-s)) for s in (good, good + 3 * rng.normal(size=120)))
    clear = paired_bootstrap(statistic("auc", y, p), statistic("auc", y, q), y, n_resamples=999)
    assert clear.difference.low > 0
    assert clear.p_value == pytest.approx(2 / 1000)
    none = paired_bootstrap(statistic("auc", y, p), statistic("auc", y, p), y, n_resamples=99)
    assert none == ((0.0, 0.0, 0.0), 1.0)


def test_corrected_t_gives_the_published_example() -> None:
    """scikit-learn's example "Statistical comparison of models using grid search": t = 0.750, one-sided p = 0.227."""
    x, y = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    scores = [
        cross_val_score(model, x, y, scoring="roc_auc", cv=folds).reshape(10, 10)
        for model in (SVC(kernel="rbf", random_state=0), SVC(kernel="linear", random_state=0))
    ]
    found = corrected_t_test(*scores)
    assert found.p_value / 2 == pytest.approx(0.227, abs=5e-4)
    width = (found.difference.high - found.difference.low) / 2
    assert found.difference.value / (width / 1.98422) == pytest.approx(0.750, abs=1e-3)  # t₉₉ at 97.5 %


def test_corrected_t_is_wider_than_the_plain_one_by_its_factor() -> None:
    scores = np.random.default_rng(0).normal(0.8, 0.05, (4, 5))
    found = corrected_t(scores, unit=False)
    plain = 2.093024 * scores.std(ddof=1) / np.sqrt(20)  # t₁₉ at 97.5 %
    assert found.value == pytest.approx(scores.mean())
    assert (found.high - found.low) / (2 * plain) == pytest.approx(np.sqrt(1 + 20 / 4), rel=1e-6)
    assert corrected_t_test(scores, scores) == ((0.0, 0.0, 0.0), 1.0)
    logits = logit(corrected_t(scores))
    assert (logits[2] - logits[1]) / (2 * plain) == pytest.approx(
        np.sqrt(1 + 20 / 4) / (found.value * (1 - found.value)), rel=1e-6
    )


@pytest.mark.parametrize("bad", [np.ones(5), np.ones((3, 1)), np.array([[0.5, np.nan]])])
def test_corrected_t_refuses_other_shapes(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="repeats × folds"):
        corrected_t(bad)


def test_corrected_t_refuses_other_folds() -> None:
    with pytest.raises(InputError, match="same folds"):
        corrected_t_test(np.ones((2, 5)), np.ones((1, 5)))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
@settings(deadline=None)
def test_holm_is_the_closed_test_of_bonferroni(p: list[float]) -> None:
    """A hypothesis falls when every intersection that holds it falls to Bonferroni (Marcus, Peritz & Gabriel 1976)."""
    everyone = range(len(p))
    expected = [
        max(
            min(1.0, size * min(p[j] for j in some))
            for size in range(1, len(p) + 1)
            for some in combinations(everyone, size)
            if i in some
        )
        for i in everyone
    ]
    assert holm(p) == pytest.approx(expected)


def test_holm_keeps_the_order_given_and_refuses_what_is_no_p_value() -> None:
    assert holm([0.04, 0.01, 0.02, 0.03]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    with pytest.raises(InputError, match="between 0 and 1"):
        holm([0.2, 1.2])


def test_permutation_p_counts_the_labels_as_they_are() -> None:
    assert permutation_p(0.9, [0.5, 0.9, 0.95, 0.2]) == pytest.approx(3 / 5)
    assert permutation_p(0.9, np.zeros(99)) == pytest.approx(0.01)
    with pytest.raises(InputError, match="permuted"):
        permutation_p(0.9, [])


def test_logistic_regression_by_newton_equals_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2)) * [1.0, 100.0] + [0.0, 50.0]
    y = (rng.random(200) < 1 / (1 + np.exp(-x @ [1.0, 0.01]))).astype(float)
    weights = rng.integers(0, 3, (3, 200)).astype(float)
    found = fit_logistic(np.column_stack([np.ones(200), x]), y, weights)
    for row, coefficients in zip(weights, found, strict=True):
        theirs = LogisticRegression(C=1e12, tol=1e-10, solver="newton-cholesky").fit(x, y, sample_weight=row)
        assert coefficients == pytest.approx(np.r_[theirs.intercept_, theirs.coef_[0]], rel=1e-4, abs=1e-6)
