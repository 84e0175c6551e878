"""Calibrators against SciPy's optimiser and scikit-learn, on probabilities distorted in a known way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.calibration import _sigmoid_calibration
from sklearn.isotonic import IsotonicRegression

from lymphofeat.errors import InputError
from lymphofeat.estimates import CALIBRATORS, BetaCalibrator, IsotonicCalibrator, PlattCalibrator
from lymphofeat.estimates.scores import log_loss


def distorted(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities that are overconfident and too low, and the true ones."""
    rng = np.random.default_rng(seed)
    truth = rng.beta(1.2, 1.0, n).clip(0.01, 0.99)
    return (rng.random(n) < truth).astype(int), expit(2 * logit(truth) - 1), truth


def targets(y: np.ndarray) -> np.ndarray:
    n1, n0 = y.sum(), (1 - y).sum()
    return np.where(y == 1, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))


def test_platt_equals_scikit_learns_sigmoid_on_log_odds() -> None:
    y, p, _ = distorted(150)
    ours = PlattCalibrator().fit(p, y)
    a, b = _sigmoid_calibration(logit(p), y)  # 1 / (1 + exp(a f + b)), with Platt's targets
    assert (ours.slope_, ours.intercept_) == pytest.approx((-a, -b), abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_beta_equals_bounded_maximum_likelihood(seed: int) -> None:
    y, p, _ = distorted(150, seed)
    columns = np.column_stack([np.ones(150), np.log(p), -np.log1p(-p)])

    def loss(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        eta = columns @ coefficients
        t = targets(y)
        return float(np.logaddexp(0, eta).sum() - t @ eta), columns.T @ (expit(eta) - t)

    best = optimize.minimize(
        loss, [0.0, 1.0, 1.0], jac=True, bounds=[(None, None), (0, None), (0, None)], method="L-BFGS-B",
        options={"ftol": 1e-14, "gtol": 1e-9},
    )  # fmt: skip
    ours = BetaCalibrator().fit(p, y)
    assert min(ours.a_, ours.b_) >= 0
    assert loss(np.array([ours.c_, ours.a_, ours.b_]))[0] == pytest.approx(best.fun, rel=1e-6)


def test_beta_with_equal_powers_is_the_identity_on_the_paper_s_terms() -> None:
    """Kull et al. 2017: a = b = 1, c = 0 maps p to p, which no logistic curve of p does."""
    calibrator = BetaCalibrator()
    calibrator.a_, calibrator.b_, calibrator.c_ = 1.0, 1.0, 0.0
    p = np.linspace(0.01, 0.99, 50)
    assert calibrator.transform(p) == pytest.approx(p)


def test_isotonic_equals_scikit_learns_within_its_bounds() -> None:
    y, p, _ = distorted(100)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(p, y).predict(p)
    assert IsotonicCalibrator().fit(p, y).transform(p) == pytest.approx(np.clip(theirs, 1 / 102, 101 / 102))


@pytest.mark.parametrize("name", sorted(CALIBRATORS))
def test_calibration_recovers_the_truth_on_many_patients_and_helps_on_new_ones(name: str) -> None:
    y, p, truth = distorted(20_000)
    calibrator = clone(CALIBRATORS[name]()).fit(p[:10_000], y[:10_000])
    mended = calibrator.transform(p[10_000:])
    assert np.abs(mended - truth[10_000:]).mean() < 0.02
    assert log_loss(y[10_000:], mended) < log_loss(y[10_000:], p[10_000:]) - 0.05


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1]), st.sampled_from([0.0, 1e-9, 0.1, 0.5, 0.9, 1.0])),
        min_size=2,
        max_size=25,
    ).filter(lambda rows: len({y for y, _ in rows}) == 2),
    st.sampled_from(sorted(CALIBRATORS)),
)
@settings(deadline=None)
def test_order_is_kept_whatever_the_patients(rows: list[tuple[int, float]], name: str) -> None:
    y, p = (np.array(column) for column in zip(*rows, strict=True))
    mended = CALIBRATORS[name]().fit(p, y).transform(np.linspace(0, 1, 33))
    assert (np.diff(mended) >= -1e-12).all()
    assert ((mended >= 0) & (mended <= 1)).all()


def test_calibration_of_one_class_gets_a_sentence() -> None:
    with pytest.raises(InputError, match="both classes"):
        PlattCalibrator().fit([0.1, 0.2], [1, 1])
    with pytest.raises(InputError, match="outside"):
        PlattCalibrator().fit([0.1, 0.2], [0, 1]).transform([1.5])
