"""What becomes of a study: the selected heads, fitted once more, and the submission."""

from .submit import SubmissionSummary, submit

__all__ = ["SubmissionSummary", "submit"]
