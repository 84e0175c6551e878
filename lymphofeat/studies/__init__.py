"""Searching heads by cross-validation, with Optuna."""

from .load import load_study
from .study import tune
from .summary import StudySummary, TrialSummary

__all__ = [
    "StudySummary",
    "TrialSummary",
    "load_study",
    "tune",
]
