"""No interval leaves the range of what it is of, and none is without width where the sample has no error."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lymphofeat.assess.runs import Runs, compare_runs, corrected_over_folds
from lymphofeat.errors import InputError
from lymphofeat.estimates import (
    corrected_t,
    corrected_t_test,
    delong_interval,
    delong_test,
    describe,
    error_if_calibrated,
    fit_learning_curve,
    mean_cost,
    operating_point,
    risk_coverage,
    share_interval,
)
from lymphofeat.estimates.calibration import calibration_error_interval
from lymphofeat.estimates.intervals import Interval, unseen, widened
from lymphofeat.estimates.scores import bootstrap
from lymphofeat.final.submission_log import expected_range
from lymphofeat.metric import METRICS

from ..helpers.nested import nested

B = 60
UNIT, SIGNED, POSITIVE = (0.0, 1.0), (-1.0, 1.0), (0.0, np.inf)
FREE = {"calibration_slope", "calibration_intercept"}


def assert_within(found: Interval, bounds: tuple[float, float], what: str) -> None:
    """Bounds are NaN, not known, or in order, in range, and on either side of the value."""
    value, low, high = found
    if np.isnan(low) or np.isnan(high):
        assert np.isnan([low, high]).all(), what
        assert bounds[0] <= value <= bounds[1], what
        return
    around = value - low >= -1e-12 and high - value >= -1e-12
    assert bounds[0] <= low <= high <= bounds[1], f"{what}: {found}"
    assert around or what == "error if calibrated", f"{what}: {found}"


# Few different values, so that ties, flawless samples and complete failures are frequent.
COHORTS = st.integers(2, 9).flatmap(
    lambda n: st.tuples(
        *[st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), min_size=2 * n, max_size=2 * n)] * 2,
        st.sampled_from(["as drawn", "flawless", "failing"]),
        st.integers(2, 2 * n - 2),
    )
)


def cohort(simulated: tuple[list[float], list[float], str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and two systems' probabilities."""
    first, second, kind, n_malignant = simulated
    y = (np.arange(len(first)) < n_malignant).astype(np.int8)
    p, q = np.array(first), np.array(second)
    if kind != "as drawn":
        right = y == (kind == "flawless")
        p = np.where(right, np.maximum(p, 0.6), np.minimum(p, 0.4))
    return y, p, q


@given(COHORTS)
@settings(deadline=None, max_examples=60)
def test_intervals_by_patient_stay_in_range(simulated: tuple[list[float], list[float], str, int]) -> None:
    y, p, q = cohort(simulated)
    decision, other = p >= 0.5, q >= 0.5
    for name, found in describe(y, p, decision, n_resamples=B):
        if name not in FREE:
            assert_within(found, POSITIVE if name == "log_loss" else UNIT, name)
    for metric in METRICS:
        bounds = POSITIVE if metric == "log_loss" else UNIT
        found = bootstrap(metric, y, p, decision=decision, n_resamples=B).interval()
        assert_within(found, bounds, metric)
        one, two = (
            bootstrap(metric, y, values, decision=d, n_resamples=B)
            for values, d in ((p, decision), (q, other))
        )
        if metric != "log_loss":
            assert_within((one - two).percentile(), SIGNED, f"difference of {metric}")
        assert (one - one).percentile() == (0.0, 0.0, 0.0)
    assert_within(delong_interval(y, p), UNIT, "DeLong")
    assert_within(delong_test(y, p, q).difference, SIGNED, "DeLong's difference")
    assert_within(mean_cost(y, decision, 3.0, 1.0), (0.0, 3.0), "cost")
    assert_within(calibration_error_interval(y, p, n_resamples=B), UNIT, "calibration error")
    assert_within(error_if_calibrated(p, n_drawn=B), UNIT, "error if calibrated")
    assert_within(risk_coverage(y, p, n_resamples=B).aurc, UNIT, "AURC")
    point = operating_point(y, p, 0.5)
    assert_within(point.sensitivity, UNIT, "sensitivity")
    assert_within(point.specificity, UNIT, "specificity")
    expected = expected_range("auc", y, p[:, None], decision[:, None], 7, n_samples=B)
    assert 0 <= expected.low <= expected.high <= 1


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 4), st.integers(2, 6)),
        elements=st.sampled_from([0.0, 0.2, 0.5, 0.75, 0.9, 1.0]) | st.floats(0, 1),
    ).map(lambda table: table.round(6)),
    st.sampled_from([0.8, 0.95, 0.999]),
)
def test_intervals_over_folds_stay_in_range(scores: np.ndarray, confidence: float) -> None:
    found = corrected_t(scores, confidence)
    assert_within(found, UNIT, "corrected t")
    assert np.isnan(found.low) == bool(np.ptp(scores) == 0 and scores[0, 0] in (0, 1))
    mirrored = corrected_t(1 - scores, confidence)
    np.testing.assert_allclose(
        [mirrored.low, mirrored.high], [1 - found.high, 1 - found.low], rtol=0, atol=1e-6
    )
    difference = corrected_t_test(scores, scores[::-1, ::-1], confidence).difference
    assert_within(difference, SIGNED, "difference over folds")


def test_scores_outside_the_unit_are_refused_or_asked_for() -> None:
    with pytest.raises(InputError, match="give unit=False"):
        corrected_t([[0.5, 1.2]])
    found = corrected_t([[0.5, 1.2]], unit=False)
    assert found.low < 0 < found.high


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.5, 0.95, 0.9999]))
def test_counted_shares_stay_in_range(right: int, wrong: int, confidence: float) -> None:
    if right + wrong:
        assert_within(share_interval(right, right + wrong, confidence), UNIT, "share")


@given(
    st.lists(st.floats(0.2, 1), min_size=4, max_size=4),
    st.integers(0, 100),
    st.sampled_from([1.0, 5.0, 40.0, 1e4]),
)
@settings(deadline=None, max_examples=30)
def test_learning_curves_stay_in_range(scores: list[float], seed: int, n: float) -> None:
    """Also at one patient, where the law itself falls below every score."""
    draws = np.clip(np.array(scores) + 0.2 * np.random.default_rng(seed).normal(size=(40, 4)), 0, 1)
    curve = fit_learning_curve([20, 40, 80, 160], scores, draws)
    found, gain = curve.at(n), curve.gain(n, 2 * n)
    assert 0 <= found.low <= found.high <= 1
    assert 0 <= found.value <= 1
    assert -1 <= gain.low <= gain.high <= 1


FLAWLESS = {
    "AUC": lambda y: bootstrap("auc", y, y.astype(float)).interval(),
    "AUC, DeLong": lambda y: delong_interval(y, y),
    "balanced accuracy": lambda y: bootstrap("balanced_accuracy", y, y, decision=y).interval(),
    "weighted accuracy": lambda y: bootstrap(
        "balanced_accuracy", y, y, decision=y, class_weights=(1.0, 3.0)
    ).interval(),
    "runs": lambda y: bootstrap("auc", y, np.tile(y * 1.0, (2, 1)).T).interval(),
}


@pytest.mark.parametrize("name", FLAWLESS)
@pytest.mark.parametrize("n", [4, 20, 200])
def test_a_flawless_sample_is_not_a_flawless_system(name: str, n: int) -> None:
    y = (np.arange(n) % 2).astype(np.int8)
    value, low, high = FLAWLESS[name](y)
    assert value == high == 1
    assert 0 < low < 1
    assert low == pytest.approx(
        FLAWLESS[name](np.tile(y, 4)).low ** 4
    )  # four times the patients, a quarter of the doubt


def test_what_is_not_known_of_a_flawless_sample_is_not_said() -> None:
    y = np.repeat([0, 1], 10)
    for metric in ("average_precision", "log_loss"):
        assert np.isnan(bootstrap(metric, y, y.astype(float)).interval()[1:]).all()
    assert bootstrap("brier", y, y.astype(float)).interval() == pytest.approx((0, 0, 1 - 0.025 ** (1 / 20)))


def _shares() -> Iterable[tuple[float, float]]:
    return [(s0, s1) for s0 in np.linspace(0.01, 1, 100) for s1 in np.linspace(0.01, 1, 100)]


@pytest.mark.parametrize("weights", [None, (1.0, 1.0), (1.0, 5.0)])
@pytest.mark.parametrize("sizes", [(5, 5), (4, 30)])
def test_no_worse_system_is_flawless_more_often_than_the_tail(
    sizes: tuple[int, int], weights: tuple[float, float] | None
) -> None:
    """Every sensitivity and specificity whose accuracy is below the bound."""
    n = np.array(sizes)
    found = widened(Interval(1, 1, 1), unseen("balanced_accuracy", 1.0, *sizes, weights), 0.95)
    share = np.array([0.5, 0.5]) if weights is None else n * weights / (n * weights).sum()
    for rates in _shares():
        if share @ rates < found.low - 1e-9:
            assert np.prod(np.array(rates) ** n) <= 0.025


def test_an_auc_below_the_bound_is_rarely_flawless() -> None:
    """Normal scores of the AUC that the bound calls possible still: simulated, far rarer than the tail allows."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [6, 9])
    bound = delong_interval(y, y).low
    from scipy.stats import norm

    scores = rng.normal(size=(4000, 15)) + np.sqrt(2) * norm.ppf(bound) * y
    flawless = (scores[:, :6].max(axis=1) < scores[:, 6:].min(axis=1)).mean()
    assert flawless <= 0.025


def test_two_flawless_pipelines_differ_by_as_much_as_they_may_err() -> None:
    main, other = nested(strength=60), nested(strength=61, seed=1)
    one, two = Runs.of(main), Runs.of(other)
    assert one.value("auc") == two.value("auc") == 1
    for metric in ("auc", "balanced_accuracy"):
        found = compare_runs(one, two, metric, n_resamples=B).difference
        assert found.value == 0
        assert -0.2 < found.low < 0 < found.high < 0.2
        assert compare_runs(one, one, metric, n_resamples=B).difference == (0, 0, 0)
        folds = corrected_over_folds(main, metric)
        assert folds.value == folds.high == 1
        assert 0.5 < folds.low < 1


def test_costs_and_areas_without_any_error_are_not_certain() -> None:
    y = np.repeat([0, 1], [20, 30])
    cost = mean_cost(y, y, 5.0, 1.0)
    assert cost == pytest.approx((0, 0, 5 * (1 - 0.025 ** (1 / 50))))
    area = risk_coverage(y, 0.1 + 0.8 * y, n_resamples=B).aurc
    assert area[:2] == (0, 0)
    assert 0.05 < area.high < 0.5
    assert mean_cost(y, 1 - y, 5.0, 1.0).low < mean_cost(y, 1 - y, 5.0, 1.0).value
    assert calibration_error_interval(y, y.astype(float), n_resamples=B).high > 0.05
