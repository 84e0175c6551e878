"""What a study found: its best trial with intervals, the best of each head type, and that they were selected."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from ..errors import InputError
from ..estimates.persons import n_persons
from ..estimates.scores import Interval
from ..metric import METRICS
from ..scoring.failures import FailedTrial, in_words
from ..storage.addresses import StudyPlace
from ..wording import by_whom, metric_label, sample_text
from .average import Average
from .frames import predictions_frame, trials_frame
from .importance import Importance, importance_of
from .rows import Row
from .space import LEFT_OUT
from .store import open_store
from .trial import TrialSummary
from .trial_reader import TrialReader, readable

__all__ = [
    "OPTIMISTIC",
    "HeadTypeBest",
    "StudySummary",
    "TrialSummary",
]

# What follows a sentence on a selection.
OPTIMISTIC = (
    "The scores are therefore optimistic, and their intervals do not cover the selection. `lymphofeat evaluate` "
    "repeats the search inside every outer fold; its scores are free of this."
)


@dataclass(frozen=True)
class HeadTypeBest:
    """The best trial of one head type.

    Attributes:
        head_type: its name.
        trial: the best of its complete trials; of equals the first.
        n_trials: its finished trials.
        n_pruned: of these, how many were stopped.
    """

    head_type: str
    trial: TrialSummary
    n_trials: int
    n_pruned: int


@dataclass(frozen=True)
class StudySummary:
    """A study as it stands.

    Attributes:
        path: its file, or its address.
        provenance: cache, encoder family, metric, class weights, seed, repeats, heads, inputs, sampler, space, version.
        best: the best complete trial by the study's metric; of equals the first.
        best_clinical, best_image: the best with clinical values only and with images only; None if not tried.
        selected: the model that `submit` and `export` take by default: see `selection.DEFAULT`.
        leaderboard: the best of each head type, best first; those without a complete trial are left out.
        ids: the labelled patients' IDs, in the order of `TrialSummary.y`.
        rows: the finished trials by number, without what they were scored on; stopped and failed ones among them.
        seconds: of scoring, all processes and runs of the program together.
        failed: those whose head could not be scored, and why.
        by: the command that made the study or added trials last, versions, machine and time; see `Store.by`.
    """

    path: StudyPlace
    provenance: dict[str, Any]
    best: TrialSummary
    best_clinical: TrialSummary | None
    best_image: TrialSummary | None
    selected: Average
    leaderboard: tuple[HeadTypeBest, ...]
    ids: tuple[str, ...]
    rows: tuple[Row, ...]
    seconds: float = 0.0
    failed: tuple[FailedTrial, ...] = ()
    by: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"<StudySummary {self.path.name}: {self.n_trials} trials on {self.n_patients} patients, encodings "
            f"{self.encoding}; best {self.best!r}, selected>"
        )

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per finished trial, by number; see `frames.trials_frame`."""
        return trials_frame(self.rows, self.provenance["takes"])

    def trial(self, number: int) -> TrialSummary:
        """A complete trial with what it was scored on, read from the file.

        Raises:
            InputError: no such trial, or one that was stopped or failed.
            StudyError: as `load_study`.
        """
        with open_store(self.path) as store, readable(self.path):
            found = next((row for row in self.rows if row.number == number and row.complete), None)
            if found is not None:
                return TrialReader(store).trial(found)
        raise InputError(
            f"{self.path} holds no complete trial {number}; it has {self.n_trials} finished trials, numbered from 0, "
            "and those that were stopped early or failed have no head."
        )

    def predictions(self, trial: int | None = None) -> pd.DataFrame:
        """Out-of-fold predictions of a trial: each patient by models that saw neither them nor anyone of their fold.

        Args:
            trial: its number; None: the best one, whose scores are optimistic since it was selected on them.

        Returns:
            One row per labelled patient and repeat; see `frames.predictions_frame`.

        Raises:
            InputError, StudyError: as `trial`.
        """
        return predictions_frame(self.best if trial is None else self.trial(trial), self.ids)

    @property
    def n_trials(self) -> int:
        """Finished trials, pruned and failed ones among them."""
        return len(self.rows)

    @property
    def n_scored(self) -> int:
        """Trials that the best one was selected among: all but the failed ones."""
        return self.n_trials - len(self.failed)

    @property
    def n_complete(self) -> int:
        """Trials that were scored to the end, so that they have a head."""
        return sum(row.complete for row in self.rows)

    @property
    def failures(self) -> list[str]:
        """How many trials failed, and by cause why; empty where none did."""
        return in_words(self.failed, self.n_trials)

    @property
    def left_out(self) -> dict[str, str]:
        """Head types that were not searched since they cannot be fitted on these folds, with a sentence each."""
        return dict(self.provenance.get(LEFT_OUT, {}))

    @property
    def n_pruned(self) -> int:
        """Trials that were stopped because their first folds were clearly worse."""
        return sum(row.pruned for row in self.rows)

    @property
    def metric(self) -> str:
        return str(self.provenance["metric"])

    @property
    def encoding(self) -> str:
        return str(self.provenance["family"])

    @property
    def repeats(self) -> int:
        return int(self.provenance["repeats"])

    def difference(self, trial: TrialSummary, other: TrialSummary | None = None) -> Interval:
        """`trial` − `other` (the best one if None) by the study's metric, on the same resamples of the patients."""
        other = self.best if other is None else other
        return (trial.bootstrap(self.metric) - other.bootstrap(self.metric)).percentile()

    def is_worse(self, trial: TrialSummary, other: TrialSummary | None = None) -> bool:
        """Whether the interval of `difference` lies on the worse side of zero."""
        difference = self.difference(trial, other)
        return METRICS[self.metric].is_worse(difference.low, difference.high)

    @cached_property
    def importance(self) -> Importance:
        """Which parameters told good trials from the others."""
        return importance_of(self.rows, METRICS[self.metric].direction)

    @property
    def n_patients(self) -> int:
        """Labelled patients, which every score is measured on; records, where persons have several."""
        return len(self.best.y)

    @property
    def n_persons(self) -> int | None:
        """Persons behind the labelled patients; None where no person has several records."""
        return n_persons(self.best.groups)

    @property
    def measured_on(self) -> str:
        """What the scores were measured on, for a caption."""
        n_folds = self.best.scores.thresholds.shape[1]
        times = "" if self.repeats == 1 else f" × {self.repeats} repeats"
        patients = sample_text(self.n_patients, int(self.best.y.sum()), self.n_persons, "labelled")
        return f"{patients}, out-of-fold, {n_folds} folds{times}, encodings {self.encoding}{self._weighted}"

    @property
    def caption(self) -> str:
        """What the scores and intervals of a table are."""
        return (
            f"Measured on {self.measured_on}; ( – ) is the 95 % bootstrap interval {by_whom(self.n_persons)}."
        )

    @property
    def _weighted(self) -> str:
        if self.best.class_weights is None:
            return ""
        reactive, malignant = self.best.class_weights
        return (
            f"; in balanced accuracy a reactive patient weighs {reactive:g} and a malignant one {malignant:g}"
        )

    @property
    def caveat(self) -> str:
        """That the best score was selected, which it must not be quoted without."""
        return (
            f"Trial {self.best.number} was selected as the best of {self.n_scored} trials by "
            f"{metric_label(self.metric)}, on these same folds. {OPTIMISTIC}"
        )

    @property
    def threshold_note(self) -> str:
        """How the decisions behind balanced accuracy were made."""
        if self.best.inner_thresholds:
            return (
                "Each fold's threshold was chosen on inner out-of-fold predictions of its training patients."
            )
        if self.best.class_weights is not None:
            return "No encoding is blind to two folds, so each fold's threshold follows from the class weights alone."
        return (
            "No encoding is blind to two folds, so each fold's threshold is the share of malignant among its "
            "training patients (0.5 where the head weighs the classes equally)."
        )
