"""One head scored on folds: the plan of fits, the thresholds, the scores; without any search."""

from .score import TrialScores, score_head
from .threshold import best_cut, prior_cut, steady_cut

__all__ = ["TrialScores", "best_cut", "prior_cut", "score_head", "steady_cut"]
