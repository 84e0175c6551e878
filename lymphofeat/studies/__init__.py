"""Searching heads by cross-validation, and what becomes of the best one."""

from .objective import TrialScores, score_head
from .study import tune
from .submit import SubmissionSummary, submit
from .summary import StudySummary, TrialSummary, load_study

__all__ = [
    "StudySummary",
    "SubmissionSummary",
    "TrialScores",
    "TrialSummary",
    "load_study",
    "score_head",
    "submit",
    "tune",
]
