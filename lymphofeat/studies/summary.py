"""What a study found: its best trial with intervals, the controls beside it, and that it was selected."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from ..errors import StudyError
from ..heads.cut import prior_cut, steady_cut
from ..statistics import METRICS, Interval, bootstrap_interval
from .objective import DIRECTIONS, TrialScores, decide, weighs_equally
from .record import scores_from_attrs
from .space import build_head
from .store import Store, open_store

__all__ = ["StudySummary", "TrialSummary", "load_study"]


@dataclass(frozen=True)
class TrialSummary:
    """One finished trial.

    Attributes:
        number: counted from 0 over the finished trials.
        params: its point of the search space.
        scores: out-of-fold probabilities, cuts, and scores per fold.
        y: (n,) labels of the labelled patients.
        folds: (n, repeats) their folds.
    """

    number: int
    params: dict[str, Any]
    scores: TrialScores
    y: NDArray[np.int8]
    folds: NDArray[np.int8]

    @cached_property
    def decisions(self) -> NDArray[np.bool_]:
        """(n, repeats) out-of-fold decisions, each under the cut of its fold."""
        return decide(self.scores.probabilities, self.scores.cuts, self.folds)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """Per metric, the score over all labelled patients with its 95 % bootstrap interval by patient.

        With several repeats, value and bounds are averaged over them; since repeats of the same
        patients err alike but not quite, the averaged bounds are a little too wide, never too narrow.
        """
        return {metric: self._interval(metric) for metric in METRICS}

    def _interval(self, metric: str) -> Interval:
        each = [
            bootstrap_interval(metric, self.y, p, decision=decision)
            for p, decision in zip(self.scores.probabilities.T, self.decisions.T, strict=True)
        ]
        return Interval(*(float(part) for part in np.mean(each, axis=0)))

    @property
    def fold_sd(self) -> dict[str, float]:
        """Per metric, the standard deviation over the folds of all repeats (n − 1); NaN below two folds."""
        sds = {}
        for metric, table in self.scores.folds.items():
            known = table[~np.isnan(table)]
            sds[metric] = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
        return sds

    @property
    def inner_cuts(self) -> bool:
        """Whether every fold's cut was chosen on inner out-of-fold predictions, not set to the prior."""
        return bool(self.scores.inner.all())

    @property
    def cut(self) -> float:
        """The threshold for new patients: `steady_cut` on the out-of-fold predictions, averaged over repeats."""
        prior = prior_cut(self.y, balanced=weighs_equally(build_head(self.params)))
        return float(np.mean([steady_cut(self.y, p, prior=prior) for p in self.scores.probabilities.T]))


@dataclass(frozen=True)
class StudySummary:
    """A study as it stands.

    Attributes:
        path: its file.
        made_from: cache, family, metric, seed, repeats, space, version.
        n_trials: finished trials.
        best: the best of them by the study's metric; of equals the first.
        best_clinical, best_image: the best with clinical values only and with images only; None if not tried.
        ids: the labelled patients' IDs, in the order of `TrialSummary.y`.
    """

    path: Path
    made_from: dict[str, Any]
    n_trials: int
    best: TrialSummary
    best_clinical: TrialSummary | None
    best_image: TrialSummary | None
    ids: tuple[str, ...]

    @property
    def metric(self) -> str:
        return str(self.made_from["metric"])

    @property
    def family(self) -> str:
        return str(self.made_from["family"])

    @property
    def repeats(self) -> int:
        return int(self.made_from["repeats"])

    @property
    def n_patients(self) -> int:
        """Labelled patients, which every score is measured on."""
        return len(self.best.y)

    @property
    def measured_on(self) -> str:
        """What the scores were measured on, for a caption."""
        n_folds = self.best.scores.cuts.shape[1]
        times = "" if self.repeats == 1 else f" × {self.repeats} repeats"
        malignant = int(self.best.y.sum())
        return (
            f"{self.n_patients} labelled patients ({malignant} malignant), out-of-fold, {n_folds} folds{times}, "
            f"encodings {self.family}"
        )

    @property
    def caveat(self) -> str:
        """That the best score was selected, which it must not be quoted without."""
        return (
            f"Trial {self.best.number} was selected as the best of {self.n_trials} by {words(self.metric)} on these "
            "very folds, so its scores are optimistic and the intervals do not cover the selection; only "
            "a search repeated inside every outer fold (nested cross-validation) would be free of it."
        )

    @property
    def cut_note(self) -> str:
        """How the decisions behind balanced accuracy were made."""
        if self.best.inner_cuts:
            return (
                "Each fold's threshold was chosen on inner out-of-fold predictions of its training patients."
            )
        return (
            "No encoding is blind to two folds, so each fold's threshold is the share of malignant among its "
            "training patients (0.5 where the head weighs the classes equally)."
        )


def words(metric: str) -> str:
    """A metric's name in prose."""
    return {"auc": "AUC"}.get(metric, metric.replace("_", " "))


def load_study(path: Path) -> StudySummary:
    """Read a study's file.

    Raises:
        StudyError: no file, not a study of `tune`, without a finished trial, or damaged.
    """
    with open_store(path) as store:
        trials = store.finished()
        if not trials:
            raise StudyError(f"{path} holds no finished trial yet; run `lymphofeat tune` on it.")
        try:
            return _summary(store, trials)
        except (KeyError, ValueError, TypeError) as error:
            raise StudyError(
                f"{path} holds a trial that cannot be read ({error!r}); begin a new study."
            ) from error


def _summary(store: Store, trials: list[FrozenTrial]) -> StudySummary:
    y = np.array(store.patients["labels"], dtype=np.int8)
    folds = np.array(store.patients["folds"], dtype=np.int8)
    sign = 1 if DIRECTIONS[store.made_from["metric"]] == "maximize" else -1
    values = [trial.value for trial in trials]

    def best(wanted: Callable[[str], bool]) -> TrialSummary | None:
        numbers = [i for i, trial in enumerate(trials) if wanted(trial.params["inputs"])]
        if not numbers:
            return None
        top = max(numbers, key=lambda i: (sign * float(values[i] or 0.0), -i))
        return TrialSummary(
            top, dict(trials[top].params), scores_from_attrs(trials[top].user_attrs), y, folds
        )

    overall = best(lambda _: True)
    if overall is None:
        raise ValueError("no trial")
    return StudySummary(
        path=store.path,
        made_from=store.made_from,
        n_trials=len(trials),
        best=overall,
        best_clinical=best(lambda inputs: inputs == "clinical"),
        best_image=best(lambda inputs: inputs == "image"),
        ids=tuple(store.patients["ids"]),
    )
