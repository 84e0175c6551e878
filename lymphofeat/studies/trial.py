"""One finished trial: its point, what it was scored on, and the uncertainty of its scores."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..estimates.bootstrap import Resampled
from ..estimates.persons import Groups
from ..estimates.scores import ClassWeights, Interval, bootstrap
from ..heads.drawn_values import indicator_of, values_of
from ..metric import METRICS
from ..scoring.score import TrialScores, decide, weighs_equally
from ..scoring.threshold import one_standard_error_threshold, prevalence_threshold
from .space import HEAD_TYPE, build_head, drawn_encodings, own_params

if TYPE_CHECKING:
    from ..heads.base import Head

__all__ = [
    "TrialSummary",
]


@dataclass(frozen=True)
class TrialSummary:
    """One finished trial.

    Attributes:
        number: counted from 0 over the finished trials.
        params: its point of the search space.
        inputs: what its head is given: "clinical", "image" or "both".
        scores: out-of-fold probabilities, thresholds, and scores per fold.
        y: (n,) labels of the labelled patients.
        folds: (n, repeats) their folds.
        class_weights: the study's, of a reactive and of a malignant patient.
        groups: (n,) int64, equal where two records may be of one person; None where no two are.
    """

    number: int
    params: dict[str, Any]
    inputs: str
    scores: TrialScores
    y: NDArray[np.int8]
    folds: NDArray[np.int8]
    class_weights: ClassWeights = None
    groups: Groups = None

    def __repr__(self) -> str:
        values = ", ".join(f"{metric} {value:.3f}" for metric, value in self.scores.values.items())
        return f"<TrialSummary {self.number}: {self.head_type} on {self.inputs}; {values}>"

    @property
    def head_type(self) -> str:
        """The name of its head type."""
        return str(self.params[HEAD_TYPE])

    @property
    def encodings(self) -> tuple[str, ...]:
        """Of a study on several encodings, those that its head is given; else empty."""
        return drawn_encodings(self.params)

    @property
    def clinical_values(self) -> tuple[str, ...]:
        """The declared clinical columns that its head is given, as `Cache.clinical_values` names them."""
        return () if self.inputs == "image" else values_of(own_params(self.params))

    @property
    def missing_indicator(self) -> bool:
        """Whether its head may use that a clinical value is missing."""
        return self.inputs != "image" and indicator_of(own_params(self.params))

    def head(self) -> "Head":
        """Its head, not fitted."""
        return build_head(self.params)

    @cached_property
    def decisions(self) -> NDArray[np.bool_]:
        """(n, repeats) out-of-fold decisions, each under the threshold of its fold."""
        return decide(self.scores.probabilities, self.scores.thresholds, self.folds)

    @property
    def thresholds_of_patients(self) -> NDArray[np.float64]:
        """(n, repeats) the threshold of each patient's fold."""
        thresholds = np.empty(self.folds.shape)
        for r in range(self.folds.shape[1]):
            position = np.searchsorted(np.unique(self.folds[:, r]), self.folds[:, r])
            thresholds[:, r] = self.scores.thresholds[r, position]
        return thresholds

    @property
    def intervals(self) -> dict[str, Interval]:
        """Per metric, the score over all labelled patients with its 95 % bootstrap interval by patient."""
        return {metric: self.interval(metric) for metric in METRICS}

    def interval(self, metric: str) -> Interval:
        """The score over all labelled patients with its 95 % bootstrap interval by patient."""
        return self.bootstrap(metric).interval()

    def bootstrap(self, metric: str) -> Resampled:
        """The score averaged over the repeats, on all patients and on resamples of them, the same in every repeat."""
        if metric not in self._bootstraps:
            self._bootstraps[metric] = self.bootstrap_of(metric, self.scores.probabilities, self.decisions)
        return self._bootstraps[metric]

    def bootstrap_of(
        self, metric: str, probabilities: NDArray[np.float64], decisions: NDArray[np.bool_]
    ) -> Resampled:
        """The same of other predictions of these patients: (n, repeats) each."""
        return bootstrap(
            metric,
            self.y,
            probabilities,
            decision=decisions,
            class_weights=self.class_weights,
            groups=self.groups,
        )

    @cached_property
    def _bootstraps(self) -> dict[str, Resampled]:
        return {}

    @property
    def fold_sd(self) -> dict[str, float]:
        """Per metric, the standard deviation over the folds of all repeats (n − 1); NaN below two folds."""
        sds = {}
        for metric, table in self.scores.folds.items():
            known = table[~np.isnan(table)]
            sds[metric] = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
        return sds

    @property
    def inner_thresholds(self) -> bool:
        """Whether every fold's threshold was chosen on inner out-of-fold predictions, not set to the prior."""
        return bool(self.scores.inner.all())

    @property
    def threshold(self) -> float:
        """For new patients: `one_standard_error_threshold` on the out-of-fold predictions, averaged over repeats."""
        balanced, weights = weighs_equally(build_head(self.params)), self.class_weights
        prior = prevalence_threshold(self.y, balanced=balanced, class_weights=weights)
        thresholds = [
            one_standard_error_threshold(self.y, p, prior=prior, class_weights=weights)
            for p in self.scores.probabilities.T
        ]
        return float(np.mean(thresholds))
