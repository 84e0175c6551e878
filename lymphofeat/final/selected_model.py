"""The selected model of a study: the heads that `submit` and `export` both fit once more, and why these."""

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..cache.reader import Cache
from ..errors import InputError, StudyError
from ..estimates.bootstrap import Resampled
from ..estimates.scores import Interval
from ..scoring.failures import reason_of
from ..studies.average import Average
from ..studies.continuing import check_belongs
from ..studies.load import load_selected, load_trials
from ..studies.selection import DEFAULT, rule_named
from ..studies.summary import OPTIMISTIC, StudySummary
from ..studies.trial import TrialSummary
from .ensemble import CAVEAT, Ensemble, select_ensemble
from .refit import FinalFit, Member, fit_final
from .submission_log import expected_range

__all__ = ["FinalModel", "final_model", "fit_model", "selection_sentence"]


@dataclass(frozen=True)
class FinalModel:
    """The selected model: which heads, with which weights and threshold, and their out-of-fold scores.

    Attributes:
        study: the study as it stands.
        chosen: its heads.
        reason: one sentence: which heads, and by which rule.
        caveat: what the scores of `probabilities` must be quoted with.
        probabilities, decisions: (n, repeats), of the labelled patients, out-of-fold; those of an ensemble are by heads
            that were chosen without the patient's fold.
    """

    study: StudySummary
    chosen: Average
    reason: str
    caveat: str
    probabilities: NDArray[np.float64]
    decisions: NDArray[np.bool_]

    def __repr__(self) -> str:
        return f"<FinalModel of {self.study.path.name}: {self.chosen!r}, threshold {self.threshold:.3f}>"

    @property
    def ensemble(self) -> Ensemble | None:
        """How the heads were chosen, if an ensemble was asked for."""
        return self.chosen if isinstance(self.chosen, Ensemble) else None

    @property
    def members(self) -> tuple[tuple[TrialSummary, float], ...]:
        """(trial, weight); the weights add up to 1."""
        return self.chosen.members

    @property
    def threshold(self) -> float:
        """Malignant at this probability or above."""
        return self.chosen.threshold

    def bootstrap(self, metric: str) -> Resampled:
        """The score of `probabilities` and `decisions`, averaged over the repeats, and on resamples of the patients."""
        return self.study.best.bootstrap_of(metric, self.probabilities, self.decisions)

    def expected(self, n_test: int) -> Interval:
        """What a test set of that size would show by the study's metric; see `submissions.expected_range`."""
        best = self.study.best
        return expected_range(
            self.study.metric, best.y, self.probabilities, self.decisions, n_test, best.class_weights
        )

    def digest(self, cache: Cache, fits: Sequence[FinalFit]) -> str:
        """Hex SHA-256 of all that the predictions depend on."""
        seen = [(fit.split.features_digest, fit.train.tolist()) for fit in fits]
        heads = [(trial.params, weight) for trial, weight in self.members]
        state = json.dumps([cache.fingerprint, seen, heads, self.threshold], sort_keys=True)
        return hashlib.sha256(state.encode()).hexdigest()


def final_model(
    cache: Cache,
    study: StudySummary,
    *,
    rule: str | None = None,
    trial: int | None = None,
    ensemble: int | None = None,
    without: Collection[int] = (),
) -> FinalModel:
    """Select the model of a study; `submit` and `export` both ask here.

    Args:
        cache: the one that the study was made from.
        study: as it stands.
        rule: a key of `selection.RULES`; by default `selection.DEFAULT`.
        trial: the head of that trial instead.
        ensemble: so many members instead, see `ensemble`.
        without: trials that a rule passes over.

    Raises:
        StudyError: the study is of another cache.
        InputError: an unknown rule, a trial that is not complete, a bad number of members, or several of the three.
    """
    check_belongs(study.path, cache, study.encoding, study.repeats)
    if sum(given is not None for given in (rule, trial, ensemble)) > 1:
        raise InputError(
            "A rule of selection, a trial and an ensemble exclude one another; give one of them."
        )
    if ensemble is not None:
        found = select_ensemble(load_trials(study.path), study.metric, ensemble)
        reason = f"Selected model: {_heads(found)}, by --ensemble {ensemble}."
        return FinalModel(study, found, reason, CAVEAT, found.nested_probabilities, found.nested_decisions)
    if trial is not None:
        chosen = Average(((study.trial(trial), 1.0),))
        reason = f"Selected model: trial {trial}, by --trial {trial}."
        caveat = f"Trial {trial} was chosen after its scores on these same folds were known. {OPTIMISTIC}"
    else:
        chosen = _by_rule(study, rule, without)
        reason, caveat = selection_sentence(study, chosen, rule), _selected(study, chosen, rule or DEFAULT)
    return FinalModel(study, chosen, reason, caveat, chosen.probabilities, chosen.decisions)


def fit_model(
    cache: Cache,
    study: StudySummary,
    fits: Sequence[FinalFit],
    *,
    rule: str | None = None,
    trial: int | None = None,
    ensemble: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[FinalModel, list[Member]]:
    """Select the model of a study, and fit it.

    A head that cannot be fitted on these patients, although it could on fewer, is passed over by a rule, as in
    `evaluate`: the next best one takes its place.

    Args:
        cache, study, rule, trial, ensemble: as for `final_model`.
        fits: on whom each head is fitted.
        tell: told of each head that is passed over.

    Returns:
        The model, and its heads in the order of `FinalModel.members`.

    Raises:
        StudyError, InputError: as for `final_model`; or a head that was asked for, or every head, cannot be fitted.
    """
    failed: set[int] = set()
    fitted: dict[int, Member] = {}
    while True:
        model = final_model(cache, study, rule=rule, trial=trial, ensemble=ensemble, without=failed)
        for one, weight in model.members:
            if one.number in fitted:
                continue
            try:
                (fitted[one.number],) = fit_final(cache, fits, [(one.params, weight)])
            except StudyError as error:
                failed.add(one.number)
                if trial is not None or ensemble is not None or len(failed) == study.n_complete:
                    raise
                tell(
                    f"Trial {one.number} is passed over, since its head cannot be fitted: {reason_of(error)}"
                )
        if failed.isdisjoint(one.number for one, _ in model.members):
            return model, [replace(fitted[one.number], weight=weight) for one, weight in model.members]


def _by_rule(study: StudySummary, rule: str | None, without: Collection[int]) -> Average:
    if rule is None and not without:
        return study.selected
    return load_selected(study.path, rule or DEFAULT, without=without)


def selection_sentence(study: StudySummary, chosen: Average, rule: str | None = None) -> str:
    """One sentence: which heads are selected, and by which rule.

    Args:
        study: the study of the heads.
        chosen: the heads that `rule` selects in it.
        rule: as the user named it; None: the default.
    """
    which = f"{rule_named(rule or DEFAULT).words_for(len(chosen.members))} of {_trials(study)}"
    what = f"Selected model: {_heads(chosen)}, {which}"
    if rule is not None:
        return f"{what} (--select {rule})."
    return f"{what} (the default rule, explained in docs/bundle.md; --select takes another)."


def _selected(study: StudySummary, chosen: Average, rule: str) -> str:
    taken, n = rule_named(rule), len(chosen.members)
    which = f"{taken.words_for(n)} of {_trials(study)}"
    if n == 1:
        return f"{_heads(chosen).capitalize()} was selected as {which}, on these same folds. {OPTIMISTIC}"
    how = "searched" if n < taken.size else "selected"  # all that there were, or some of them
    return f"This is {which}, {how} on these same folds. {OPTIMISTIC}"


def _trials(study: StudySummary) -> str:
    return "1 trial" if study.n_scored == 1 else f"{study.n_scored} trials"


def _heads(chosen: Average) -> str:
    numbers = [str(number) for number in sorted(trial.number for trial, _ in chosen.members)]
    if len(numbers) == 1:
        return f"trial {numbers[0]}"
    return f"trials {', '.join(numbers[:-1])} and {numbers[-1]}"
