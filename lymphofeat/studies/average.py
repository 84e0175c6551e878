"""Heads of one study averaged; of one head, that head as the search scored it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..estimates.bootstrap import Resampled
from ..estimates.scores import score
from ..metric import METRICS
from ..scoring.score import decide, weighs_equally
from ..scoring.threshold import one_standard_error_threshold, prevalence_threshold
from .space import build_head
from .trial import TrialSummary

__all__ = ["Average"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Average:
    """Heads of one study whose probabilities are averaged.

    Attributes:
        members: (trial, weight) each; the weights add up to 1.
    """

    members: tuple[tuple[TrialSummary, float], ...]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {_trials([trial.number for trial, _ in self.members])}>"

    @cached_property
    def probabilities(self) -> Floats:
        """(n, repeats) float64 out-of-fold probabilities of the average."""
        return np.asarray(sum(weight * trial.scores.probabilities for trial, weight in self.members))

    @cached_property
    def fold_thresholds(self) -> Floats:
        """(repeats, K) float64, the average of the members' thresholds of each fold, folds ascending."""
        return np.asarray(sum(weight * trial.scores.thresholds for trial, weight in self.members))

    @cached_property
    def decisions(self) -> NDArray[np.bool_]:
        """(n, repeats) out-of-fold decisions, each under `fold_thresholds`."""
        return decide(self.probabilities, self.fold_thresholds, self.members[0][0].folds)

    @property
    def scores(self) -> dict[str, float]:
        """Per metric, the out-of-fold score averaged over the repeats."""
        first, found = self.members[0][0], {}
        for metric in METRICS:
            judged = METRICS[metric].judged(self.probabilities, self.decisions)
            each = [score(metric, first.y, column, first.class_weights) for column in judged.T]
            found[metric] = float(np.mean(each))
        return found

    @cached_property
    def threshold(self) -> float:
        """For new patients: `one_standard_error_threshold` on the out-of-fold predictions, averaged over repeats."""
        first = self.members[0][0]
        y, weights = first.y, first.class_weights
        prior = sum(
            weight
            * prevalence_threshold(
                y, balanced=weighs_equally(build_head(trial.params)), class_weights=weights
            )
            for trial, weight in self.members
        )
        thresholds = [
            one_standard_error_threshold(y, p, prior=prior, class_weights=weights)
            for p in self.probabilities.T
        ]
        return float(np.mean(thresholds))

    def bootstrap(self, metric: str) -> Resampled:
        """The out-of-fold score averaged over the repeats, on all patients and on resamples of them."""
        return self.members[0][0].bootstrap_of(metric, self.probabilities, self.decisions)


def _trials(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:10])
    return f"trial{'' if len(numbers) == 1 else 's'} {shown}{' …' if len(numbers) > 10 else ''}"
