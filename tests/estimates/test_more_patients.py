"""How many patients, what they would bring, and how alike runs decide."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import curve_fit
from scipy.special import expit

from lymphofeat.errors import InputError
from lymphofeat.estimates import (
    agreement,
    fit_learning_curve,
    patients_for_width,
    patients_to_halve,
    resample,
    statistic,
    width_with,
)
from lymphofeat.estimates.learning_curve import _linear


def simulated(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1], [round(0.4 * n), n - round(0.4 * n)])
    return y, expit(2 * (rng.normal(size=n) + 1.5 * (y - 0.5)))


def test_the_width_of_more_patients_is_that_of_really_more() -> None:
    y, p = simulated(200)
    guaranteed = [
        width_with(statistic("auc", *simulated(200, k)), y, 800, n_resamples=1000) for k in range(8)
    ]
    real = []
    for k in range(8):
        many, q = simulated(800, 100 + k)
        low, high = np.quantile(
            resample(statistic("auc", many, q), many, n_resamples=1000).resampled, [0.025, 0.975]
        )
        real.append(high - low)
    assert np.mean(guaranteed) == pytest.approx(np.mean(real), rel=0.1)
    own = resample(statistic("auc", y, p), y, n_resamples=4000).resampled
    assert width_with(statistic("auc", y, p), y, 200) == pytest.approx(
        float(np.ptp(np.quantile(own, [0.025, 0.975]))), rel=0.05
    )


def test_halving_the_interval_takes_four_times_the_patients() -> None:
    y, p = simulated(163)
    for name in ("auc", "brier"):
        score = statistic(name, y, p)
        n = patients_to_halve(score, y)
        assert n == pytest.approx(4 * 163, rel=0.08)
        now = width_with(score, y, 163)
        assert width_with(score, y, n, seed=1) == pytest.approx(now / 2, rel=0.06)
    assert patients_for_width(statistic("auc", y, p), y, 2 * width_with(statistic("auc", y, p), y, 163)) < 60


def test_widths_that_cannot_be_had_get_a_sentence() -> None:
    y, p = simulated(40)
    with pytest.raises(InputError, match="does not vary"):
        patients_to_halve(statistic("auc", y, y.astype(float)), y)
    with pytest.raises(InputError, match="does not vary"):
        patients_for_width(statistic("auc", y, y.astype(float)), y, 0.1)
    with pytest.raises(InputError, match="above 0"):
        patients_for_width(statistic("auc", y, p), y, 0.0)
    with pytest.raises(InputError, match="ask for more"):
        width_with(statistic("auc", y, p), y, 1)
    with pytest.raises(InputError, match="both classes"):
        width_with(statistic("auc", y, p), np.ones(40), 40)


SIZES = np.array([20, 40, 60, 90, 130])


def law(n: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    return a - b * n**-c


@pytest.mark.parametrize(("a", "b", "c"), [(0.95, 1.2, 0.6), (0.9, 2.0, 1.0)])
def test_learning_curve_equals_scipys_least_squares(a: float, b: float, c: float) -> None:
    rng = np.random.default_rng(0)
    error = np.array([0.02, 0.015, 0.012, 0.01, 0.01])
    scores = law(SIZES, a, b, c) + 0.2 * error * rng.normal(size=5)
    draws = scores + error * rng.normal(size=(400, 5))
    found = fit_learning_curve(SIZES, scores, draws)
    theirs, _ = curve_fit(law, SIZES, scores, p0=[a, b, c], sigma=draws.std(axis=0, ddof=1))
    assert law(SIZES, found.ceiling, found.reach, found.decay) == pytest.approx(law(SIZES, *theirs), abs=2e-4)
    assert found.decay == pytest.approx(theirs[2], rel=0.02)  # the grid's step
    gain = found.gain(130, 260)
    assert gain.value == pytest.approx(found.at(260).value - found.at(130).value)
    assert gain.low >= 0
    assert gain.low < law(260, a, b, c) - law(130, a, b, c) < gain.high
    assert (found.draws[:, 0] <= 1).all()
    assert (found.draws[:, 1] >= 0).all()


@given(st.lists(st.floats(-0.2, 1.2), min_size=5, max_size=5), st.sampled_from([0.1, 0.5, 2.0]))
def test_the_bounded_fit_is_the_best_of_a_fine_grid(scores: list[float], c: float) -> None:
    x, s, weights = SIZES**-c, np.array(scores), np.array([1.0, 2.0, 1.0, 3.0, 1.0])
    a, b, loss = (float(v[0]) for v in _linear(x, s[None], weights, (0.0, 1.0)))
    assert 0 <= a <= 1
    assert b >= 0
    assert loss == pytest.approx(weights @ (s - a + b * x) ** 2)
    grid_a, grid_b = np.meshgrid(np.linspace(0, 1, 41), np.linspace(0, 2 / x.max(), 81))
    others = ((s - grid_a[..., None] + grid_b[..., None] * x) ** 2) @ weights
    assert loss <= others.min() + 1e-9


def test_a_flat_curve_promises_nothing() -> None:
    rng = np.random.default_rng(1)
    found = fit_learning_curve(SIZES, np.full(5, 0.8), 0.8 + 0.01 * rng.normal(size=(200, 5)))
    assert found.gain(130, 260).value == pytest.approx(0, abs=1e-9)
    assert found.at(130).value == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("sizes", "scores", "draws", "match"),
    [
        ([10, 20], [0.5, 0.6], np.eye(2), "three different"),
        ([10, 20, 30], [0.5, 0.6], np.eye(3), "must be"),
        ([10, 20, 30], [0.5, 0.6, np.nan], np.eye(3), "finite"),
        ([0, 20, 30], [0.5, 0.6, 0.7], np.eye(3), "at least 1"),
        ([10, 20, 30], [0.5, 0.6, 0.7], np.ones((4, 3)), "do not vary"),
    ],
)
def test_learning_curves_of_nothing_get_a_sentence(
    sizes: list[int], scores: list[float], draws: np.ndarray, match: str
) -> None:
    with pytest.raises(InputError, match=match):
        fit_learning_curve(sizes, scores, draws)


def test_kappa_is_that_of_the_textbook() -> None:
    """Ten subjects, fourteen raters, five categories: κ = 0.210 (the example in Wikipedia's "Fleiss' kappa")."""
    table = np.array(
        [
            [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
        ]
    )  # fmt: skip
    choices = np.array([np.repeat(np.arange(5), row) for row in table]).T  # (14, 10)
    assert agreement(choices).kappa == pytest.approx(0.210, abs=5e-4)
    assert 1 - agreement(choices).flip_rate.mean() == pytest.approx(0.378, abs=5e-4)


@given(st.lists(st.lists(st.sampled_from([0, 1]), min_size=3, max_size=3), min_size=2, max_size=8))
def test_flip_rate_is_the_share_of_pairs_that_differ(runs: list[list[int]]) -> None:
    made = np.array(runs)
    pairs = [(i, j) for i in range(len(runs)) for j in range(i)]
    found = agreement(made)
    assert found.flip_rate == pytest.approx(np.mean([made[i] != made[j] for i, j in pairs], axis=0))
    assert (
        found.share_of_majority == [max(np.mean(made[:, k] == v) for v in (0, 1)) for k in range(3)]
    ).all()
    assert found.majority == pytest.approx((made.mean(axis=0) > 0.5).astype(int))


def test_agreement_of_chosen_parameters_and_of_too_few_runs() -> None:
    found = agreement([["mean", "pca"], ["mean", "raw"], ["mean", "pca"]])
    assert found.majority.tolist() == ["mean", "pca"]
    assert found.flip_rate == pytest.approx([0, 2 / 3])
    assert np.isnan(agreement([[1, 1], [1, 1]]).kappa)
    with pytest.raises(InputError, match="two runs"):
        agreement([[0, 1, 1]])
