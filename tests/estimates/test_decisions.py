"""Thresholds by cost and sensitivity, risk–coverage and decision curves, against loops and hand counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from lymphofeat.errors import InputError
from lymphofeat.estimates import (
    aurc,
    cost_threshold,
    decision_curves,
    mean_cost,
    net_benefit,
    net_benefit_difference,
    operating_point,
    risk_coverage,
    sensitive_threshold,
)
from lymphofeat.estimates.bootstrap import resample_weights
from lymphofeat.estimates.exact import lower_bound
from lymphofeat.estimates.net_benefit import TREAT_ALL, TREAT_NONE

rows_of = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.integers(0, 10).map(lambda k: k / 10)), min_size=2, max_size=30
).filter(lambda rows: len({y for y, _ in rows}) == 2)


def test_cost_cut_is_the_cheapest_of_all_cuts_for_calibrated_probabilities() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(400_000)
    y = rng.random(len(p)) < p
    thresholds = np.arange(1, 100) / 100
    costs = [5 * (y & (p < threshold)).mean() + (~y & (p >= threshold)).mean() for threshold in thresholds]
    assert cost_threshold(missed=5, false_alarm=1) == pytest.approx(1 / 6)
    assert thresholds[np.argmin(costs)] == pytest.approx(1 / 6, abs=0.02)


def test_mean_cost_is_counted_per_patient() -> None:
    y, decision = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 0, 0])
    found = mean_cost(y, decision, missed=4, false_alarm=1)
    assert found.value == pytest.approx((1 + 4 + 4) / 6)
    assert found.low < found.value < found.high
    for bad in (0, -1, np.inf, np.nan):
        with pytest.raises(InputError, match="above 0"):
            cost_threshold(bad, 1)


def test_sensitive_cut_is_wilks_order_statistic() -> None:
    """59 patients promise 95 % at 95 % by their smallest value, 93 by their second smallest (Wilks 1941)."""
    for n, missed in ((58, None), (59, 0), (92, 0), (93, 1), (124, 2)):
        p = np.append(np.arange(1, n + 1) / 200, 0.01)
        y = np.append(np.ones(n, dtype=int), 0)
        found = sensitive_threshold(y, p)
        if missed is None:
            assert (found.threshold, found.guaranteed) == (0.0, 1.0)
            assert found.specificity.value == 0
        else:
            assert found.threshold == pytest.approx((missed + 1) / 200)
            assert found.guaranteed == lower_bound(n - missed, n, 0.95) >= 0.95
            assert lower_bound(n - missed - 1, n, 0.95) < 0.95
            assert found.sensitivity.value == pytest.approx(1 - missed / n)


def test_operating_point_counts_those_at_the_cut_as_malignant() -> None:
    found = operating_point([0, 0, 1, 1], [0.2, 0.5, 0.5, 0.4], 0.5)
    assert (found.sensitivity.value, found.specificity.value) == (0.5, 0.5)
    assert np.isnan(found.guaranteed)


@given(rows_of, st.sampled_from([0.3, 0.5, 0.65]))
@settings(deadline=None)
def test_risk_coverage_equals_deciding_at_every_patients_limit(
    rows: list[tuple[int, float]], threshold: float
) -> None:
    y, p = (np.array(column) for column in zip(*rows, strict=True))
    certainties = np.where(p >= threshold, (p - threshold) / (1 - threshold), (threshold - p) / threshold)
    wrong = (p >= threshold) != y
    own = np.array([wrong[certainties >= limit].mean() for limit in certainties])
    found = risk_coverage(y, p, threshold=threshold, n_resamples=20)
    limits = np.unique(certainties)[::-1]
    assert found.coverage == pytest.approx([(certainties >= limit).mean() for limit in limits])
    assert found.risk == pytest.approx([wrong[certainties >= limit].mean() for limit in limits])
    assert found.aurc.value == pytest.approx(own.mean())
    assert (found.least_risk <= found.risk + 1e-12).all()
    assert found.risk[-1] == found.least_risk[-1] == pytest.approx(wrong.mean())


def test_aurc_of_weights_is_that_of_repeated_patients() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [15, 20])
    p = np.round(expit(rng.normal(size=35) + y), 1)
    weights = resample_weights(y, 5, 0)
    for row, value in zip(weights.astype(int), aurc(y, p)(weights), strict=True):
        who = np.repeat(np.arange(35), row)
        assert value == pytest.approx(aurc(y[who], p[who])(np.ones((1, len(who))))[0])


def test_the_least_aurc_is_that_of_wrong_patients_last() -> None:
    y = np.array([1, 1, 1, 1, 0])
    best = risk_coverage(y, np.array([0.99, 0.95, 0.9, 0.8, 0.6]), n_resamples=10)
    assert best.aurc.value == pytest.approx(1 / 5 / 5)
    assert best.least_aurc == pytest.approx(1 / 5 / 5)
    worst = risk_coverage(y, np.array([0.9, 0.8, 0.7, 0.6, 0.99]), n_resamples=10)
    assert worst.aurc.value == pytest.approx(np.mean([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]))


def test_net_benefit_is_that_of_hand_counts() -> None:
    """1000 patients, 100 ill, of whom 80 are called, with 180 false alarms, at threshold 10 %: 0.08 − 0.18/9."""
    y = np.repeat([1, 1, 0, 0], [80, 20, 180, 720])
    p = np.repeat([0.3, 0.05, 0.2, 0.02], [80, 20, 180, 720])
    assert net_benefit(y, p, [0.1]) == pytest.approx([0.06])
    assert net_benefit(y, np.ones(1000), [0.1, 0.5]) == pytest.approx(
        [0.0, 0.1 - 0.9]
    )  # all: 0 at the prevalence
    assert net_benefit(y, np.zeros(1000), [0.1, 0.5]).tolist() == [0, 0]
    curves = decision_curves(y, {"model": p}, [0.1], n_resamples=200)
    assert list(curves) == ["model", TREAT_ALL, TREAT_NONE]
    assert curves["model"].low[0] < 0.06 < curves["model"].high[0]
    gain = net_benefit_difference(y, p, np.ones(1000), [0.1], n_resamples=200)
    assert gain.value == pytest.approx([0.06])
    assert gain.low[0] > 0


def test_net_benefit_intervals_are_those_of_resampled_patients() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [30, 40])
    p, q = (expit(rng.normal(size=70) + k * (y - 0.5)) for k in (2, 1))
    at = [0.2, 0.5, 0.7]
    gain = net_benefit_difference(y, p, q, at, n_resamples=300, seed=4, confidence=0.9)
    resampled = []
    for row in resample_weights(y, 300, 4).astype(int):
        who = np.repeat(np.arange(70), row)
        resampled.append(net_benefit(y[who], p[who], at) - net_benefit(y[who], q[who], at))
    assert gain.low == pytest.approx(np.quantile(resampled, 0.05, axis=0))
    assert gain.high == pytest.approx(np.quantile(resampled, 0.95, axis=0))


def test_decision_curves_refuse_what_means_nothing() -> None:
    for thresholds in ([0.0], [1.0], [], [[0.5]]):
        with pytest.raises(InputError, match="Threshold"):
            net_benefit([0, 1], [0.2, 0.8], thresholds)
    with pytest.raises(InputError, match="named"):
        decision_curves([0, 1], {TREAT_ALL: [0.2, 0.8]}, [0.5])
    with pytest.raises(InputError, match="one row per patient"):
        net_benefit_difference([0, 1], [0.2, 0.8], [0.2], [0.5])
