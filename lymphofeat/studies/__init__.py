"""Searching heads by cross-validation, with Optuna."""

from .study import tune
from .summary import StudySummary, TrialSummary, load_study

__all__ = [
    "StudySummary",
    "TrialSummary",
    "load_study",
    "tune",
]
