"""What may be believed: intervals, tests, calibration, decision support and what more patients would bring.

Functions on arrays of labels, probabilities and decisions, one patient a row; nothing here trains, reads or prints.
The methods with their sources: docs/method.md; their measured coverage: docs/coverage.md.
"""

from typing import TYPE_CHECKING

from ..lazy import loaded_when_asked_for
from .agreement import Agreement, agreement
from .bootstrap import Resampled, bca_interval, resample
from .calibration import error_if_calibrated
from .conformal import REFER, Conformal, split_conformal
from .delong import delong_covariance, delong_interval, delong_test
from .exact import share_interval
from .learning_curve import LearningCurve, fit_learning_curve
from .metrics import DESCRIBED, describe, statistic
from .net_benefit import Curve, decision_curves, net_benefit, net_benefit_difference
from .p_values import holm, permutation_p
from .paired import Compared, McNemar, mcnemar, paired_bootstrap
from .power import patients_for_width, patients_to_halve, width_with
from .repeated import corrected_t, corrected_t_test
from .risk_coverage import RiskCoverage, aurc, risk_coverage
from .subgroups import Subgroup, describe_subgroups
from .thresholds import OperatingPoint, cost_threshold, mean_cost, operating_point, sensitive_threshold
from .triage import Triage, triage

if TYPE_CHECKING:
    from .calibrators import CALIBRATORS, BetaCalibrator, IsotonicCalibrator, PlattCalibrator

# What needs scikit-learn, which takes a second or two to import.
_HOMES = dict.fromkeys(
    ("CALIBRATORS", "BetaCalibrator", "IsotonicCalibrator", "PlattCalibrator"), ".calibrators"
)

__all__ = [
    "CALIBRATORS",
    "DESCRIBED",
    "REFER",
    "Agreement",
    "BetaCalibrator",
    "Compared",
    "Conformal",
    "Curve",
    "IsotonicCalibrator",
    "LearningCurve",
    "McNemar",
    "OperatingPoint",
    "PlattCalibrator",
    "Resampled",
    "RiskCoverage",
    "Subgroup",
    "Triage",
    "agreement",
    "aurc",
    "bca_interval",
    "corrected_t",
    "corrected_t_test",
    "cost_threshold",
    "decision_curves",
    "delong_covariance",
    "delong_interval",
    "delong_test",
    "describe",
    "describe_subgroups",
    "error_if_calibrated",
    "fit_learning_curve",
    "holm",
    "mcnemar",
    "mean_cost",
    "net_benefit",
    "net_benefit_difference",
    "operating_point",
    "paired_bootstrap",
    "patients_for_width",
    "patients_to_halve",
    "permutation_p",
    "resample",
    "risk_coverage",
    "sensitive_threshold",
    "share_interval",
    "split_conformal",
    "statistic",
    "triage",
    "width_with",
]

__getattr__ = loaded_when_asked_for(__name__, _HOMES)
