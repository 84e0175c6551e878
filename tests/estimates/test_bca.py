"""BCa intervals against SciPy's on the same resamples, and where they come to an edge."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from lymphofeat.errors import InputError
from lymphofeat.estimates import bca_interval, resample, statistic
from lymphofeat.estimates.bootstrap import resample_weights
from lymphofeat.estimates.scores import Interval


def simulated(n0: int, n1: int, seed: int = 0, distance: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1], [n0, n1])
    return y, 1 / (1 + np.exp(-distance * (rng.normal(size=n0 + n1) + distance * (y - 0.5))))


class Distribution:
    """What `scipy.stats.bootstrap` continues from."""

    def __init__(self, values: np.ndarray) -> None:
        self.bootstrap_distribution = values


@pytest.mark.parametrize(("n0", "n1"), [(20, 35), (9, 60)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_interval_equals_scipys_two_sample_bca(n0: int, n1: int, confidence: float) -> None:
    y, p = simulated(n0, n1)
    ours = resample(statistic("auc", y, p), y, n_resamples=999, seed=3)

    def auc(reactive: np.ndarray, malignant: np.ndarray, axis: int = -1) -> np.ndarray:
        return (malignant[..., None, :] > reactive[..., :, None]).mean(axis=(-1, -2))

    theirs = stats.bootstrap(
        (p[y == 0], p[y == 1]),
        auc,
        n_resamples=0,
        bootstrap_result=Distribution(ours.resampled),
        confidence_level=confidence,
        method="BCa",
        vectorized=True,
    )
    assert ours.interval(confidence)[1:] == pytest.approx(theirs.confidence_interval)
    assert np.std(ours.resampled, ddof=1) == pytest.approx(theirs.standard_error)


def test_resamples_are_those_of_the_scikit_learn_metric() -> None:
    y, p = simulated(15, 25)
    ours = resample(statistic("average_precision", y, p), y, n_resamples=20, seed=1)
    for weights, value in zip(resample_weights(y, 20, 1).astype(int), ours.resampled, strict=True):
        rows = np.repeat(np.arange(len(y)), weights)
        assert value == pytest.approx(metrics.average_precision_score(y[rows], p[rows]))
    left_out = [metrics.average_precision_score(np.delete(y, i), np.delete(p, i)) for i in range(len(y))]
    assert ours.jackknife == pytest.approx(left_out)


def test_paired_difference_is_the_bca_interval_of_the_difference() -> None:
    y, p = simulated(20, 30)
    q = simulated(20, 30, seed=9)[1]
    one, other = statistic("brier", y, p), statistic("brier", y, q)
    apart = resample(one, y, seed=4) - resample(other, y, seed=4)
    assert apart.interval() == pytest.approx(bca_interval(lambda w: one(w) - other(w), y, seed=4))


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1]), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=2, max_size=25
    ).filter(lambda rows: len({y for y, _ in rows}) == 2),
    st.sampled_from(
        ["auc", "brier", "average_precision", "sensitivity_at_95_specificity", "calibration_slope"]
    ),
)
@settings(deadline=None, max_examples=80)
def test_bounds_are_ordered_and_within_the_resamples(rows: list[tuple[int, float]], name: str) -> None:
    y, p = (np.array(column) for column in zip(*rows, strict=True))
    found = resample(statistic(name, y, p), y, n_resamples=50)
    assume(not np.isnan(found.resampled).any())  # a resample of patients with one probability has no slope
    interval = found.interval()
    assert found.resampled.min() <= interval.low <= interval.high <= found.resampled.max()


def test_no_variation_gives_no_width_and_one_class_an_error() -> None:
    y = np.array([0, 0, 1, 1])
    assert bca_interval(statistic("auc", y, y.astype(float)), y) == Interval(1.0, 1.0, 1.0)
    with pytest.raises(InputError, match="both classes"):
        bca_interval(lambda w: w.sum(axis=1), np.ones(4))
    with pytest.raises(InputError, match="at least 1 resample"):
        bca_interval(statistic("auc", y, y.astype(float)), y, n_resamples=0)
    with pytest.raises(InputError, match="confidence"):
        bca_interval(statistic("auc", y, y.astype(float)), y, confidence=95)


def test_the_only_patient_of_a_class_is_no_jackknife_sample() -> None:
    y, p = np.array([0, 1, 1, 1, 1]), np.array([0.5, 0.2, 0.6, 0.7, 0.9])
    found = resample(statistic("auc", y, p), y)
    assert np.isnan(found.jackknife[0])
    assert np.isfinite(found.jackknife[1:]).all()
    assert found.interval().low < found.value <= found.interval().high
