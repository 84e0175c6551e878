"""What becomes of a study: the heads that are handed over, fitted once more, and the submission."""

from .submit import SubmissionSummary, submit

__all__ = ["SubmissionSummary", "submit"]
