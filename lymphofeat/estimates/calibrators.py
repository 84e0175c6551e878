"""Probabilities made right: Platt, beta and isotonic calibration, in scikit-learn's habits.

A calibrator is fitted on probabilities of patients that their model did not see, all of them in the training part of a
fold: on inner out-of-fold predictions, never on the fold that is scored. All three keep the order of the patients
(isotonic calibration makes some equal).

Platt and beta calibration fit the targets (n₁ + 1)/(n₁ + 2) and 1/(n₀ + 2) in place of 1 and 0 (Platt's own rule),
so that separated classes do not drive the coefficients to infinity.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.isotonic import IsotonicRegression

from ..errors import InputError
from ._checks import Floats, Labels, labels_and_probabilities
from ._logistic import fit_logistic, log_odds

__all__ = ["CALIBRATORS", "BetaCalibrator", "IsotonicCalibrator", "PlattCalibrator"]

_NEAREST = 1e-6  # as in log_odds


class PlattCalibrator(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """σ(a + b logit p): two numbers, for few patients (Platt, Advances in Large Margin Classifiers, 1999).

    On log-odds, as logistic recalibration; Platt's original took a margin. b is kept at 0 or above.

    Attributes:
        intercept_, slope_: a and b.
    """

    def fit(self, p: ArrayLike, y: ArrayLike) -> "PlattCalibrator":
        """Fit on (n,) probabilities and (n,) labels, both classes present."""
        labels, probabilities = _both_classes(p, y)
        columns = np.column_stack([np.ones(len(labels)), log_odds(probabilities)])
        found = _fitted(columns, labels)
        if found[1] < 0:
            found = np.append(_fitted(columns[:, :1], labels), 0.0)
        self.intercept_, self.slope_ = float(found[0]), float(found[1])
        return self

    def transform(self, p: ArrayLike) -> Floats:
        """(n,) probabilities → (n,) calibrated ones."""
        return np.asarray(expit(self.intercept_ + self.slope_ * log_odds(_probabilities(p))))


class BetaCalibrator(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """σ(c + a ln p − b ln(1 − p)), a, b ≥ 0: also for probabilities skewed to one side.

    Kull, Silva Filho & Flach, *Beyond sigmoids*, Electronic Journal of Statistics 11 (2017). As there, a coefficient
    that comes out negative is set to 0 and the others are fitted again. a = b is Platt's.

    Attributes:
        a_, b_, c_: as above.
    """

    def fit(self, p: ArrayLike, y: ArrayLike) -> "BetaCalibrator":
        """Fit on (n,) probabilities and (n,) labels, both classes present."""
        labels, probabilities = _both_classes(p, y)
        columns = _beta_columns(probabilities)
        kept = [0, 1, 2]
        found = _fitted(columns, labels)
        while len(kept) > 1 and found[1:].min() < 0:
            kept.pop(1 + int(np.argmin(found[1:])))
            found = _fitted(columns[:, kept], labels)
        coefficients = np.zeros(3)
        coefficients[kept] = found
        self.c_, self.a_, self.b_ = (float(value) for value in coefficients)
        return self

    def transform(self, p: ArrayLike) -> Floats:
        """(n,) probabilities → (n,) calibrated ones."""
        return np.asarray(expit(_beta_columns(_probabilities(p)) @ np.array([self.c_, self.a_, self.b_])))


class IsotonicCalibrator(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The best non-decreasing steps (Zadrozny & Elkan, KDD 2002), for many patients; overfits below some hundreds.

    Its values are kept in [1/(n + 2), (n + 1)/(n + 2)]: no run of patients makes an outcome impossible.

    Attributes:
        steps_: the fitted `sklearn.isotonic.IsotonicRegression`.
    """

    def fit(self, p: ArrayLike, y: ArrayLike) -> "IsotonicCalibrator":
        """Fit on (n,) probabilities and (n,) labels, both classes present."""
        labels, probabilities = _both_classes(p, y)
        least = 1 / (len(labels) + 2)
        self.steps_ = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
        self.steps_.fit(probabilities, labels.astype(np.float64))
        return self

    def transform(self, p: ArrayLike) -> Floats:
        """(n,) probabilities → (n,) calibrated ones."""
        return np.asarray(self.steps_.predict(_probabilities(p)))


CALIBRATORS: Mapping[str, type[PlattCalibrator] | type[BetaCalibrator] | type[IsotonicCalibrator]] = {
    "platt": PlattCalibrator,
    "beta": BetaCalibrator,
    "isotonic": IsotonicCalibrator,
}


def _fitted(columns: Floats, labels: Labels) -> Floats:
    """(k,) coefficients on Platt's targets."""
    n1, n0 = int(labels.sum()), int((~labels).sum())
    targets = np.where(labels, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
    return np.asarray(fit_logistic(columns, targets, np.ones((1, len(labels))))[0])


def _beta_columns(p: Floats) -> Floats:
    inside = np.clip(p, _NEAREST, 1 - _NEAREST)
    return np.column_stack([np.ones(len(p)), np.log(inside), -np.log1p(-inside)])


def _both_classes(p: ArrayLike, y: ArrayLike) -> tuple[Labels, Floats]:
    labels, probabilities = labels_and_probabilities(y, p)
    if labels.all() or not labels.any():
        raise InputError("Calibration needs patients of both classes, labelled 0 and 1.")
    return labels, probabilities


def _probabilities(p: ArrayLike) -> Floats:
    return labels_and_probabilities(np.zeros(len(np.asarray(p))), p)[1]
