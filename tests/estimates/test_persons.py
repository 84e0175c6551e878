"""Persons with several rows: they are drawn, left out and counted as wholes; without them nothing changes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm

from lymphofeat.errors import InputError
from lymphofeat.estimates import (
    bca_interval,
    delong_interval,
    delong_test,
    describe,
    describe_subgroups,
    error_if_calibrated,
    mcnemar,
    mean_cost,
    net_benefit_difference,
    paired_bootstrap,
    patients_to_halve,
    resample,
    risk_coverage,
    statistic,
    width_with,
)
from lymphofeat.estimates.bootstrap import resample_weights
from lymphofeat.estimates.exact import share_interval, share_interval_by_person
from lymphofeat.estimates.persons import Persons, repeating, taken
from lymphofeat.estimates.scores import bootstrap

VISITS = 4


def sample() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and two pipelines' probabilities of 40 patients."""
    rng = np.random.default_rng(7)
    y = (np.arange(40) % 5 >= 2).astype(int)
    p, q = (expit(strength * (2 * y - 1) + 1.6 * rng.normal(size=40)) for strength in (1.5, 0.8))
    return y, p.round(3), q.round(3)


def estimates(
    y: np.ndarray, p: np.ndarray, q: np.ndarray, groups: np.ndarray | None
) -> dict[str, Callable[[], Any]]:
    """Everything that says how sure a number is."""
    some = {"n_resamples": 200, "seed": 3, "groups": groups}
    auc, other = statistic("auc", y, p), statistic("auc", y, q)
    half = np.arange(len(y)) < len(y) * 0.6
    return {
        "describe": lambda: dict(describe(y, p, p >= 0.5, **some)),
        "resample": lambda: resample(auc, y, **some).interval(),
        "difference": lambda: (resample(auc, y, **some) - resample(other, y, **some)).percentile(),
        "weighted": lambda: bootstrap(
            "balanced_accuracy", y, p, decision=p >= 0.5, class_weights=(1.0, 2.0), **some
        ).interval(),
        "paired": lambda: paired_bootstrap(auc, other, y, **some),
        "mcnemar": lambda: mcnemar(y, p >= 0.5, q >= 0.5, groups),
        "delong": lambda: (delong_interval(y, p, groups=groups), delong_test(y, p, q, groups=groups)),
        "width": lambda: width_with(auc, y, 60, **some),
        "halve": lambda: patients_to_halve(auc, y, **some),
        "net benefit": lambda: net_benefit_difference(y, p, q, [0.2, 0.5], **some).low.tolist(),
        "risk coverage": lambda: risk_coverage(y, p, **some).aurc,
        "cost": lambda: mean_cost(y, p >= 0.5, 2.0, 1.0, groups=groups, seed=3),
        "if calibrated": lambda: error_if_calibrated(p, n_drawn=200, seed=3, groups=groups),
        "subgroups": lambda: describe_subgroups(y, p, p >= 0.5, {"first": half}, names=["auc"], **some),
        "perfect auc": lambda: bootstrap("auc", y, y, n_resamples=50, groups=groups).interval(),
        "perfect brier": lambda: bootstrap("brier", y, y, n_resamples=50, groups=groups).interval(),
        "perfect accuracy": lambda: bootstrap(
            "balanced_accuracy", y, y, decision=y, class_weights=(1.0, 2.0), n_resamples=50, groups=groups
        ).interval(),
        "perfect calibration": lambda: dict(describe(y, y, y, names=["calibration_error"], **some)),
        "perfect aurc": lambda: risk_coverage(y, y, **some).aurc,
        "perfect cost": lambda: mean_cost(y, y, 2.0, 1.0, groups=groups),
        "perfect delong": lambda: delong_test(y, y + 0.0, y + np.linspace(0, 0.1, len(y)), groups=groups),
    }


NAMES = list(estimates(*sample(), None))


@pytest.mark.parametrize("name", NAMES)
def test_persons_with_one_row_each_change_nothing(name: str) -> None:
    y, p, q = sample()
    plain = estimates(y, p, q, None)[name]()
    for groups in (
        np.arange(40),
        np.random.default_rng(0).permutation(40),
        np.array([f"P{i}" for i in range(40)]),
    ):
        assert repr(estimates(y, p, q, groups)[name]()) == repr(plain)


def test_figures_are_those_from_before_persons_were_counted() -> None:
    y, p, q = sample()
    found = estimates(y, p, q, None)
    described, paired = found["describe"](), found["paired"]()
    known = {  # of the version before
        "balanced_accuracy": (0.9166666666666667, 0.8333333333333333, 0.9791666666666667),
        "sensitivity": (0.8333333333333334, 0.6261582865113173, 0.9526463733927428),
        "auc": (0.9791666666666666, 0.8682555298224299, 1.0),
        "calibration_error": (0.20484999999999998, 0.05355374999999998, 0.35614625),
    }
    for name, interval in known.items():
        assert tuple(described[name]) == pytest.approx(interval, abs=1e-12)
    assert tuple(paired.difference) == pytest.approx(
        (0.16927083333333326, 0.05729166666666663, 0.3412109374999999), abs=1e-12
    )
    assert found["width"]() == pytest.approx(0.0497974537037037, abs=1e-12)
    assert found["cost"]() == pytest.approx((0.2, 0.05, 0.45), abs=1e-12)
    assert found["perfect auc"]()[1] == pytest.approx(0.7940927857921773, abs=1e-12)


# Counted shares have an interval of their own, of a little fewer cases than there are persons (`exact`).
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("describe", "subgroups")])
def test_visits_with_equal_scores_say_as_much_as_one_visit_each(name: str) -> None:
    one = sample()
    groups = np.random.default_rng(1).permutation(np.repeat(np.arange(40), VISITS))
    # By first appearance, so that the same draws draw the same persons.
    groups = np.array(repeating(groups))
    first = np.array([np.flatnonzero(groups == k)[0] for k in range(40)])
    assert (np.diff(first) > 0).all()
    by_visit = estimates(*(values[groups] for values in one), groups)[name]
    assert _numbers(by_visit()) == pytest.approx(_numbers(estimates(*one, None)[name]()), abs=1e-9)


def test_metrics_of_repeated_visits_have_the_intervals_of_the_persons() -> None:
    y, p, q = sample()
    groups = np.repeat(np.arange(40), VISITS)
    by_visit = estimates(y[groups], p[groups], q[groups], groups)["describe"]()
    for name, interval in estimates(y, p, q, None)["describe"]().items():
        if name in ("sensitivity", "specificity"):
            assert by_visit[name].value == interval.value
            assert by_visit[name].low <= interval.low < interval.high <= by_visit[name].high
        else:
            assert tuple(by_visit[name]) == pytest.approx(tuple(interval), abs=1e-6, nan_ok=True)


def test_intervals_by_person_cover_and_those_by_visit_do_not() -> None:
    """Four visits with one score each: the interval by person covers as that of as many patients does."""
    rng = np.random.default_rng(5)
    distance, n = 1.2, 30
    truth = {"auc": norm.cdf(distance / np.sqrt(2)), "balanced_accuracy": norm.cdf(distance / 2)}
    y = np.repeat(np.arange(n) % 2, VISITS)
    groups = np.repeat(np.arange(n), VISITS)
    covered = {(metric, how): 0 for metric in truth for how in ("person", "visit")}
    simulated = 200
    for draw in range(simulated):
        score = np.repeat(rng.normal(size=n), VISITS) + distance * (y - 0.5)
        for metric, true in truth.items():
            for how, whose in (("person", groups), ("visit", None)):
                found = bootstrap(
                    metric, y, score, decision=score > 0, groups=whose, n_resamples=400, seed=draw
                ).interval()
                covered[metric, how] += found.low <= true <= found.high
    for metric in truth:
        assert covered[metric, "person"] / simulated >= 0.91, (metric, covered)
        assert covered[metric, "visit"] / simulated <= 0.75, (metric, covered)


def test_bounds_of_a_share_count_persons() -> None:
    groups = np.repeat(np.arange(10), 3)
    right = np.ones(30, dtype=bool)
    assert share_interval_by_person(right, groups) == share_interval(10, 10)
    assert share_interval_by_person(~right, groups) == share_interval(0, 10)
    assert share_interval_by_person(right, None) == share_interval(30, 30)
    assert share_interval_by_person(right, np.arange(30)) == share_interval(30, 30)
    alone = share_interval_by_person(right[:3], groups[:3])
    assert alone == share_interval(1, 1)
    # Half of every person's rows: no person differs from the others, so that rows count as they are.
    alternating = np.arange(30) % 2 == 0
    assert share_interval_by_person(alternating, np.repeat(np.arange(15), 2)) == pytest.approx(
        share_interval(15, 30)
    )


def test_share_bounds_cover_where_persons_are_all_right_or_all_wrong() -> None:
    rng, true, covered = np.random.default_rng(0), 0.8, 0
    for _ in range(300):
        groups = np.repeat(np.arange(25), rng.integers(1, 6, size=25))
        found = share_interval_by_person((rng.random(25) < true)[groups], groups)
        covered += found.low <= true <= found.high
    assert covered / 300 >= 0.93


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=30).filter(
        lambda rows: len({label for _, label in rows}) == 2
    ),
    seed=st.integers(0, 99),
)
def test_no_resample_lacks_a_class_or_parts_a_person(rows: list[tuple[int, bool]], seed: int) -> None:
    groups, y = np.array([who for who, _ in rows]), np.array([label for _, label in rows]).astype(int)
    weights = resample_weights(y, 20, seed, groups)
    assert (weights[:, y == 1].sum(axis=1) > 0).all()
    assert (weights[:, y == 0].sum(axis=1) > 0).all()
    for who in np.unique(groups):
        assert (np.ptp(weights[:, groups == who], axis=1) == 0).all()
    first = np.unique(groups, return_index=True)[1]
    assert (weights[:, first].sum(axis=1) == len(first)).all()
    persons = Persons.behind(y, groups)
    reactive, malignant = persons.of_class
    assert reactive + malignant == len(first)
    with_both = sum(len(set(y[groups == who])) == 2 for who in np.unique(groups))
    of_either = [len(set(groups[y == label])) for label in (0, 1)]
    assert min(reactive, malignant) == min(*of_either, len(first) // 2)
    assert sum(of_either) == len(first) + with_both
    score = np.linspace(0, 1, len(y))
    found = bca_interval(statistic("brier", y, score), y, groups=groups, n_resamples=20, seed=seed)
    assert np.isfinite(found).all()


def test_a_person_with_rows_of_both_classes_is_drawn_and_counted_as_one() -> None:
    y, groups = np.array([0, 0, 1, 1, 0, 1]), np.array([0, 1, 2, 3, 4, 4])
    persons = Persons.behind(y, groups)
    assert persons.strata.tolist() == [0, 0, 1, 1, 2]
    assert sum(persons.of_class) == 5
    assert (resample_weights(y, 50, 0, groups)[:, 4:] == 1).all()
    p = np.array([0.1, 0.2, 0.8, 0.9, 0.6, 0.4])
    assert np.isfinite(delong_interval(y, p, groups=groups)).all()
    assert width_with(statistic("brier", y, p), y, 8, groups=groups, n_resamples=50) > 0


def test_mcnemar_counts_persons() -> None:
    y = np.ones(9, dtype=int)
    first = np.array([1, 1, 1, 0, 1, 0, 0, 1, 1])
    second = np.array([0, 0, 1, 1, 0, 0, 0, 1, 1])
    groups = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3])
    assert mcnemar(y, first, second)[:2] == (3, 1)
    assert mcnemar(y, first, second, groups)[:2] == (1, 0)


def test_groups_are_numbered_and_taken() -> None:
    assert repeating(None) is None
    assert repeating(["b", "a", "c"]) is None
    groups = repeating(["b", "a", "b"])
    assert groups is not None
    assert groups.tolist() == [0, 1, 0]
    some = taken(groups, np.array([True, False, True]))
    assert some is not None
    assert some.tolist() == [0, 0]
    assert taken(None, np.array([True])) is None


def test_another_number_of_groups_is_refused() -> None:
    y, p, _ = sample()
    with pytest.raises(InputError, match="one row per patient"):
        bootstrap("auc", y, p, groups=np.arange(39))


def _numbers(found: Any) -> list[float]:
    """All numbers of nested tuples, in order."""
    if isinstance(found, dict):
        return _numbers(list(found.values()))
    if isinstance(found, list | tuple):
        return [number for part in found for number in _numbers(part)]
    return [float(found)]
