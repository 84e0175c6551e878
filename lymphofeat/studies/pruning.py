"""Pruning a head whose outer folds are clearly worse, before the models behind its thresholds are fitted.

After each fold from the second on, the head is compared with the best head finished before, on the very patients
predicted so far and by the study's own metric. If even the upper end of the 99 % interval of the paired difference
(bootstrap by patient) lies below zero, the rest is not worth its time. Decisions are taken at the thresholds that need
no inner folds, the prior ones, for both heads. A fixed seed and a fixed incumbent make it deterministic.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cohort.clinical import person_numbers
from ..estimates.bootstrap import Resampled
from ..estimates.persons import repeating, taken
from ..estimates.scores import ClassWeights, bootstrap
from ..metric import METRICS
from ..scoring.plan import ScoringPlan
from ..scoring.threshold import prevalence_threshold

__all__ = ["FoldPruner", "Incumbent", "TrialPruned"]

Floats = NDArray[np.float64]

_CONFIDENCE = 0.98  # of the two-sided interval, whose upper end leaves 1 % above itself
_LEAST_FOLDS = 2


class TrialPruned(Exception):
    """What a watch raises: the head is not worth finishing."""


@dataclass(frozen=True)
class Incumbent:
    """The best head so far.

    Attributes:
        probabilities: (n,) float64 of malignant in the first repeat, labelled patients in the cache's order.
        balanced: whether they are those of equally frequent classes.
    """

    probabilities: Floats
    balanced: bool


class FoldPruner:
    """Judges one head fold by fold; pass it as `watch` to `score_plan`.

    Only the folds of the first repeat are looked at: the patients of the others are the same.

    Args:
        plan: that the head is scored on.
        metric: the study's.
        class_weights: the study's.
        incumbent: the best head so far.
        balanced: whether the watched head's probabilities are those of equally frequent classes.

    Attributes:
        steps: score of the watched head on the patients so far, by the number of folds, where it was compared.
    """

    def __init__(
        self,
        plan: ScoringPlan,
        metric: str,
        class_weights: ClassWeights,
        incumbent: Incumbent,
        *,
        balanced: bool,
    ) -> None:
        self._plan, self._metric, self._weights = plan, metric, class_weights
        self._groups = repeating(person_numbers(plan.clinical))
        self._incumbent, self._balanced = incumbent, balanced
        self._rows: list[NDArray[np.int64]] = []
        self._own: list[tuple[Floats, NDArray[np.bool_]]] = []
        self._other: list[tuple[Floats, NDArray[np.bool_]]] = []
        self.steps: dict[int, float] = {}

    def __call__(self, number: int, probabilities: Floats) -> None:
        """Take in the probabilities of the test patients of `plan.scored[number]`.

        Raises:
            TrialPruned: the head should be stopped.
        """
        fold = self._plan.scored[number]
        if fold.repeat > 0:
            return
        rows = self._plan.splits[fold.outer].test
        incumbent = self._incumbent.probabilities[np.searchsorted(self._plan.labelled, rows)]
        training = self._plan.labels[fold.train]
        for kept, p, balanced in (
            (self._own, probabilities, self._balanced),
            (self._other, incumbent, self._incumbent.balanced),
        ):
            kept.append(
                (p, p >= prevalence_threshold(training, balanced=balanced, class_weights=self._weights))
            )
        self._rows.append(rows)
        if len(self._rows) >= _LEAST_FOLDS:
            self._judge()

    def _judge(self) -> None:
        rows = np.concatenate(self._rows)
        y = self._plan.labels[rows]
        if len(np.unique(y)) < 2:
            return
        own, other = (self._bootstrap(y, rows, folds) for folds in (self._own, self._other))
        self.steps[len(self._rows)] = own.value
        gain = other - own if METRICS[self._metric].is_loss else own - other
        if gain.percentile(_CONFIDENCE).high < 0:
            raise TrialPruned

    def _bootstrap(
        self, y: NDArray[np.int8], rows: NDArray[np.int64], folds: list[tuple[Floats, NDArray[np.bool_]]]
    ) -> Resampled:
        probabilities, decisions = (np.concatenate(parts) for parts in zip(*folds, strict=True))
        return bootstrap(
            self._metric,
            y,
            probabilities,
            decision=decisions,
            class_weights=self._weights,
            groups=taken(self._groups, rows),
        )
