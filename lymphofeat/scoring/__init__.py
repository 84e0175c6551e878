"""One head scored on folds: the plan of fits, the thresholds, the scores; without any search."""

from .score import TrialScores, score_head
from .threshold import best_threshold, one_standard_error_threshold, prevalence_threshold

__all__ = [
    "TrialScores",
    "best_threshold",
    "one_standard_error_threshold",
    "prevalence_threshold",
    "score_head",
]
