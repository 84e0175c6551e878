"""Metrics as functions of weights against scikit-learn and plain loops; the table of all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy.stats import binomtest
from sklearn import metrics

from lymphofeat.errors import InputError
from lymphofeat.estimates import DESCRIBED, describe, describe_subgroups, error_if_calibrated, statistic
from lymphofeat.estimates.bootstrap import resample_weights
from lymphofeat.estimates.calibration import bins_of, calibration_error

rows_of = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.integers(0, 10).map(lambda k: k / 10)), min_size=2, max_size=30
).filter(lambda rows: len({y for y, _ in rows}) == 2)


def once(y: np.ndarray) -> np.ndarray:
    return np.ones((1, len(y)))


def simulated(n: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat([0, 1], [n // 2, n - n // 2]))
    return y, 1 / (1 + np.exp(-2 * (rng.normal(size=n) + y - 0.5)))


@given(rows_of)
@settings(deadline=None)
def test_operating_points_equal_a_search_over_all_cuts(rows: list[tuple[int, float]]) -> None:
    y, p = (np.array(column) for column in zip(*rows, strict=True))
    thresholds = [*np.unique(p), 2.0]
    pairs = [((p >= c)[y == 1].mean(), (p < c)[y == 0].mean()) for c in thresholds]
    sensitivity = max(s for s, t in pairs if t >= 0.95)
    specificity = max(t for s, t in pairs if s >= 0.95)
    assert statistic("sensitivity_at_95_specificity", y, p)(once(y))[0] == pytest.approx(sensitivity)
    assert statistic("specificity_at_95_sensitivity", y, p)(once(y))[0] == pytest.approx(specificity)


@pytest.mark.parametrize(
    "name", [n for n in DESCRIBED if n not in ("sensitivity", "specificity", "calibration_error")]
)
def test_weights_count_patients(name: str) -> None:
    y, p = simulated(40)
    decision = p > 0.4
    weights = resample_weights(y, 5, 0)
    together = statistic(name, y, p, decision)(weights)
    for row, value in zip(weights.astype(int), together, strict=True):
        who = np.repeat(np.arange(len(y)), row)
        assert value == pytest.approx(statistic(name, y[who], p[who], decision[who])(once(who))[0], abs=1e-7)


def test_calibration_slope_and_intercept_equal_maximum_likelihood_by_scipy() -> None:
    y, p = simulated(120, seed=2)
    logits = np.log(p / (1 - p))

    def loss(a: float, b: float) -> float:
        eta = a + b * logits
        return float(np.logaddexp(0, eta).sum() - eta[y == 1].sum())

    both = optimize.minimize(lambda ab: loss(*ab), [0.0, 1.0], method="BFGS", options={"gtol": 1e-8})
    alone = optimize.minimize_scalar(lambda a: loss(a, 1.0))
    assert statistic("calibration_slope", y, p)(once(y))[0] == pytest.approx(both.x[1], abs=1e-5)
    assert statistic("calibration_intercept", y, p)(once(y))[0] == pytest.approx(alone.x, abs=1e-5)


def test_calibration_of_probabilities_that_are_distorted_on_purpose() -> None:
    rng = np.random.default_rng(5)
    truth = rng.uniform(0.02, 0.98, 200_000)
    y = rng.random(len(truth)) < truth
    logits = np.log(truth / (1 - truth))
    twice = 1 / (1 + np.exp(-2 * logits))  # twice as sure: the slope is one half
    shifted = 1 / (1 + np.exp(-(logits - 1)))  # too low by 1 on the logit scale
    assert statistic("calibration_slope", y, twice)(once(y))[0] == pytest.approx(0.5, abs=0.02)
    assert statistic("calibration_intercept", y, shifted)(once(y))[0] == pytest.approx(1.0, abs=0.03)
    assert statistic("calibration_error", y, truth)(once(y))[0] < 0.01
    assert statistic("calibration_error", y, shifted)(once(y))[0] == pytest.approx(
        (truth - shifted).mean(), abs=0.01
    )


def test_slope_of_separated_classes_is_infinite_and_of_one_probability_not_a_number() -> None:
    y = np.array([0, 0, 1, 1])
    slope = [
        statistic("calibration_slope", y, p)(once(y))[0] for p in ([0.1, 0.2, 0.2, 0.9], [0.9, 0.8, 0.2, 0.1])
    ]
    assert slope == [np.inf, -np.inf]
    assert np.isnan(statistic("calibration_slope", y, np.full(4, 0.3))(once(y))[0])


@given(rows_of, st.integers(1, 12))
@settings(deadline=None)
def test_calibration_error_equals_a_loop_over_bins(rows: list[tuple[int, float]], n_bins: int) -> None:
    y, p = (np.array(column) for column in zip(*rows, strict=True))
    bins = bins_of(p, n_bins)
    assert set(np.bincount(bins)) != {0}
    assert bins.max() < n_bins
    assert all(len(set(bins[p == value])) == 1 for value in p)
    assert (np.diff(bins[np.argsort(p)]) >= 0).all()
    expected = sum(abs((y - p)[bins == k].mean()) * (bins == k).mean() for k in np.unique(bins))
    assert calibration_error(y, p, n_bins)(once(y))[0] == pytest.approx(expected)


def test_bins_of_different_probabilities_hold_equal_numbers() -> None:
    sizes = np.bincount(bins_of(np.random.default_rng(0).random(163)))
    assert len(sizes) == 10
    assert set(sizes) == {16, 17}


def test_error_if_calibrated_is_what_calibrated_labels_show() -> None:
    p = np.random.default_rng(0).uniform(size=163)
    found = error_if_calibrated(p)
    rng = np.random.default_rng(1)
    seen = np.array([statistic("calibration_error", rng.random(163) < p, p)(once(p))[0] for _ in range(400)])
    assert found.value == pytest.approx(np.mean(seen), rel=0.05)
    assert np.mean((seen >= found.low) & (seen <= found.high)) > 0.9
    assert found.low > 0


def test_the_table_holds_every_metric_as_scikit_learn_has_it() -> None:
    y, p = simulated()
    decision = p >= 0.5
    table = describe(y, p, decision, n_resamples=500)
    assert [name for name, _ in table] == list(DESCRIBED)
    found = dict(table)
    expected = {
        "balanced_accuracy": metrics.balanced_accuracy_score(y, decision),
        "sensitivity": metrics.recall_score(y, decision),
        "specificity": metrics.recall_score(y, decision, pos_label=0),
        "auc": metrics.roc_auc_score(y, p),
        "average_precision": metrics.average_precision_score(y, p),
        "log_loss": metrics.log_loss(y, p),
        "brier": metrics.brier_score_loss(y, p),
    }
    assert {name: found[name].value for name in expected} == pytest.approx(expected)
    assert all(interval.low < interval.value < interval.high for interval in found.values())
    k, n = int((decision & (y == 1)).sum()), int(y.sum())
    assert found["sensitivity"][1:] == pytest.approx(tuple(binomtest(k, n).proportion_ci(method="exact")))


def test_a_flawless_sample_has_exact_bounds_or_none() -> None:
    y = np.repeat([0, 1], [20, 30])
    found = dict(describe(y, np.where(y == 1, 0.9, 0.1), y, n_resamples=50))
    assert found["auc"] == pytest.approx((1.0, 0.025 ** (1 / 20), 1.0))
    assert found["balanced_accuracy"] == pytest.approx((1.0, 0.025 ** (1 / 40), 1.0))
    assert found["average_precision"].value == 1
    assert np.isnan(found["average_precision"].low)
    assert found["calibration_slope"].value == np.inf


def test_95_percent_of_too_few_patients_has_no_bounds() -> None:
    y, p = simulated(39)  # 19 reactive, 20 malignant
    found = dict(
        describe(y, p, p > 0.5, names=["sensitivity_at_95_specificity", "specificity_at_95_sensitivity"])
    )
    assert np.isnan(found["sensitivity_at_95_specificity"][1:]).all()
    assert found["specificity_at_95_sensitivity"].low < found["specificity_at_95_sensitivity"].high


def test_bound_of_a_flawless_balanced_accuracy_is_never_too_high() -> None:
    """Whatever sensitivity and specificity average to the bound, a flawless sample is no likelier than the tail."""
    bound = 0.025 ** (1 / 40)
    s0 = np.linspace(2 * bound - 1, 1, 401)
    assert (s0**20 * (2 * bound - s0) ** 30).max() <= 0.025 * (1 + 1e-9)


def test_subgroups_say_how_many_they_rest_on() -> None:
    y, p = simulated(60)
    few = np.zeros(60, dtype=bool)
    few[np.flatnonzero(y == 1)[:9]] = True
    groups = describe_subgroups(
        y, p, p > 0.5, {"all": np.ones(60, dtype=bool), "few": few}, names=["auc"], n_resamples=50
    )
    assert [(g.name, g.n, g.n_malignant) for g in groups] == [("all", 60, 30), ("few", 9, 9)]
    assert groups[0].scores == describe(y, p, p > 0.5, names=["auc"], n_resamples=50)
    assert groups[1].scores == []
    with pytest.raises(InputError, match="'age'"):
        describe_subgroups(y, p, p > 0.5, {"age": np.arange(60)})


@pytest.mark.parametrize(
    ("y", "p", "decision", "match"),
    [
        ([0, 1], [0.1, np.nan], [0, 1], "NaN"),
        ([0, 1], [0.1, 1.2], [0, 1], "outside"),
        ([0, -1], [0.1, 0.2], [0, 1], "without a label"),
        ([0, 1], [0.1, 0.2, 0.3], [0, 1], "one row per patient"),
        ([0, 1], [0.1, 0.2], [0, 0.4], "threshold"),
        ([1, 1], [0.1, 0.2], [0, 1], "both classes"),
        ([], [], [], "one row per patient"),
    ],
)
def test_bad_values_get_a_sentence(y: list[int], p: list[float], decision: list[float], match: str) -> None:
    with pytest.raises(InputError, match=match):
        describe(y, p, decision)


def test_unknown_metrics_and_missing_decisions_get_a_sentence() -> None:
    with pytest.raises(InputError, match="'f1'"):
        statistic("f1", [0, 1], [0.1, 0.2])
    with pytest.raises(InputError, match="decision"):
        statistic("balanced_accuracy", [0, 1], [0.1, 0.2])
