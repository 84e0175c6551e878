"""Thresholds against trying every one."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lymphofeat.errors import InputError
from lymphofeat.estimates.scores import balanced_accuracy_score
from lymphofeat.scoring.threshold import best_threshold, one_standard_error_threshold, prevalence_threshold

patients = st.lists(
    st.tuples(st.integers(0, 1), st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.25, 0.5, 1.0]))),
    min_size=2,
    max_size=20,
).filter(lambda rows: len({y for y, _ in rows}) == 2)


def score(y: np.ndarray, p: np.ndarray, threshold: float, metric: str) -> float:
    decision = p >= threshold
    return (
        balanced_accuracy_score(y, decision)
        if metric == "balanced_accuracy"
        else float(np.mean(decision == y))
    )


@pytest.mark.parametrize("metric", ["balanced_accuracy", "accuracy"])
@given(rows=patients)
def test_no_other_cut_scores_better(metric: str, rows: list[tuple[int, float]]) -> None:
    y, p = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    threshold = best_threshold(y, p, metric)
    best = max(score(y, p, float(other), metric) for other in [*p, 2.0])
    assert score(y, p, threshold, metric) == pytest.approx(best, abs=1e-12)
    assert 0 <= threshold <= np.nextafter(1, 2)


def test_middle_of_the_widest_gap() -> None:
    # Equally good: between 0.1 and 0.3 (one malignant right of it is all there is) and, wider, 0.4 and 0.9.
    y = [0, 1, 0, 1]
    p = [0.1, 0.3, 0.4, 0.9]
    assert best_threshold(y, p) == pytest.approx((0.4 + 0.9) / 2)


def test_equal_gaps_go_to_the_prior() -> None:
    y, p = [0, 1, 0, 1], [0.25, 0.5, 0.5, 0.75]
    assert best_threshold(y, p, prior=0.1) == pytest.approx(0.375)
    assert best_threshold(y, p, prior=0.9) == pytest.approx(0.625)


@example(rows=[(0, 0.0), (0, 0.25), (1, 0.0), (1, 0.0), (1, 0.5), *[(1, 0.25)] * 3], prior=0.75)
@given(rows=patients, prior=st.floats(0.01, 0.99))
def test_steady_cut_is_the_nearest_to_the_prior_within_one_standard_error(
    rows: list[tuple[int, float]], prior: float
) -> None:
    y, p = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    values = [0.0, *sorted(set(p)), max(1.0, float(np.nextafter(p.max(), 2)))]
    gaps = enumerate(pairwise(values))
    middles = [(low + high) / 2 if (low + high) / 2 > low or i == 0 else high for i, (low, high) in gaps]
    scores = [score(y, p, threshold, "balanced_accuracy") for threshold in middles]
    # The first of equals, which differ by a rounding at times; their standard errors may differ by much.
    best = next(
        threshold for threshold, one in zip(middles, scores, strict=True) if one >= max(scores) - 1e-12
    )
    sensitivity, specificity = np.mean(p[y == 1] >= best), np.mean(p[y == 0] < best)
    error = 0.5 * np.sqrt(
        sensitivity * (1 - sensitivity) / np.sum(y == 1) + specificity * (1 - specificity) / np.sum(y == 0)
    )
    least = score(y, p, best, "balanced_accuracy") - error - 1e-9

    def distance(threshold: float) -> float:
        inside = min(max(threshold, 2.3e-16), 1 - 2.3e-16)
        return abs(np.log(inside / (1 - inside)) - np.log(prior / (1 - prior)))

    threshold = one_standard_error_threshold(y, p, prior=prior)
    assert score(y, p, threshold, "balanced_accuracy") >= least
    near = [distance(m) for m in middles if score(y, p, m, "balanced_accuracy") >= least]
    assert distance(threshold) <= min(near) + 1e-6


def test_steady_cut_keeps_to_the_prior_unless_another_is_clearly_better() -> None:
    y = np.array([0] * 10 + [1] * 10)
    reactive = [0.02, 0.04, 0.06, 0.08, 0.12, 0.15, 0.2, 0.25, 0.81, 0.83]
    malignant = [0.1, 0.3, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    one_patient_better = np.array(reactive + malignant)
    assert best_threshold(y, one_patient_better) == pytest.approx((0.25 + 0.3) / 2)
    assert one_standard_error_threshold(y, one_patient_better) == pytest.approx((0.3 + 0.6) / 2)
    clearly_better = np.where(y == 1, 0.9, 0.7)
    assert one_standard_error_threshold(y, clearly_better) == pytest.approx(0.8)


@given(rows=patients, prior=st.floats(0.01, 0.99))
@example(
    rows=[(0, 0.0), (0, 1.0), (1, 0.0), (1, 0.0), (1, 1.0), (1, 0.25)], prior=0.5
)  # two thresholds score the same
def test_class_weights_that_balance_change_nothing(rows: list[tuple[int, float]], prior: float) -> None:
    y, p = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    balancing = (1 / float((y == 0).sum()), 1 / float((y == 1).sum()))
    plain = one_standard_error_threshold(y, p, prior=prior)
    assert one_standard_error_threshold(y, p, prior=prior, class_weights=balancing) == pytest.approx(plain)
    assert prevalence_threshold(y, class_weights=balancing) == pytest.approx(prevalence_threshold(y))
    assert prevalence_threshold(y, class_weights=balancing, balanced=True) == pytest.approx(0.5)


@pytest.mark.parametrize("weights", [(1.0, 8.0), (1.0, 1.0), (8.0, 1.0)])
def test_class_weights_move_the_cut_to_where_they_score_best(weights: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    p = rng.random(4000)
    y = (rng.random(4000) < p).astype(int)  # calibrated
    prior = prevalence_threshold(y, class_weights=weights)
    assert prior == pytest.approx(weights[0] / sum(weights))
    scores = {
        threshold: balanced_accuracy_score(y, p >= threshold, weights)
        for threshold in np.linspace(0.02, 0.98, 97)
    }
    assert prior == pytest.approx(max(scores, key=scores.__getitem__), abs=0.06)
    threshold = one_standard_error_threshold(y, p, prior=0.5, class_weights=weights)
    assert balanced_accuracy_score(y, p >= threshold, weights) > max(scores.values()) - 0.01
    # Probabilities of a head that weighs the classes equally, of the same patients, have their threshold at the same
    # place.
    share = float(y.mean())
    odds = p / (1 - p) * (1 - share) / share
    equal = prevalence_threshold(y, balanced=True, class_weights=weights)
    np.testing.assert_array_equal(odds / (1 + odds) >= equal, p >= prior)


def test_neighbouring_floats_are_told_apart() -> None:
    low = 0.5
    high = float(np.nextafter(low, 1))
    threshold = best_threshold([0, 1], [low, high])
    assert low < threshold <= high


def test_prior() -> None:
    assert prevalence_threshold([0, 1, 1, 1]) == 0.75
    assert prevalence_threshold([0, 1, 1, 1], balanced=True) == 0.5


@pytest.mark.parametrize(
    ("y", "p", "metric", "sentence"),
    [
        ([0, 1], [0.1, 0.2], "f1", "no threshold by 'f1'"),
        ([1, 1], [0.1, 0.2], "accuracy", "both classes"),
        ([0, 1], [0.1, float("nan")], "accuracy", "NaN or outside"),
        ([0, 1], [0.1, 1.2], "accuracy", "NaN or outside"),
        ([0, 1], [0.1], "accuracy", "one per patient"),
    ],
)
def test_bad_input_gets_a_sentence(y: list[int], p: list[float], metric: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        best_threshold(y, p, metric)
