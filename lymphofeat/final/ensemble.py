"""Several heads of a study averaged: which ones, and what such a choice is worth on patients it did not see.

Greedy selection with replacement (Caruana et al., *Ensemble selection from libraries of models*, ICML 2004) over the
out-of-fold predictions of the study's trials, and beside it the plain average of the best trial of each head type,
which has nothing to overfit. Which of the two rules is followed, and which trials it takes, is decided on predictions
that are there anyway, so no head is fitted here.

A choice looks better on the patients it was made on. So each rule is also followed once per fold, on the patients of
the other folds only, and scored on the fold (nested selection); the rule with the better nested score is taken, and
what is quoted for that is a second nesting: the rule chosen, too, without the fold. One thing is left: the heads behind
the other folds' predictions were trained with this fold's patients, as in every selection on out-of-fold predictions;
a study repeated inside every outer fold (`evaluate`) is free of that as well.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..estimates.bootstrap import Resampled
from ..estimates.scores import Interval, bootstrap, score
from ..metric import METRICS
from ..studies.average import Average
from ..studies.space import HEAD_TYPE
from ..studies.summary import TrialSummary

__all__ = ["CAVEAT", "RULES", "Choice", "Ensemble", "select_ensemble"]

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

# Greedy selection begins from as many trials; a worse one is never worth a place (Caruana, Munson &
# Niculescu-Mizil, ICDM 2006, prune their library as well).
_POOL = 40
_TIE = 1e-12
# What a score of nested selection must be quoted with.
CAVEAT = (
    "Heads and their weights were chosen without the fold that is scored, but among trials of a search on all folds. "
    "The scores are therefore still somewhat optimistic; `lymphofeat evaluate` repeats the search as well."
)


@dataclass(frozen=True)
class Choice:
    """What one rule gives.

    Attributes:
        rule: a key of `RULES`.
        weights: trial number → share, adding up to 1; chosen on all patients.
        selected: its score on the same patients it was chosen on, with the interval by patient.
        nested: the same with the trials chosen without the fold that is scored.
    """

    rule: str
    weights: dict[int, float]
    selected: Interval
    nested: Interval


@dataclass(frozen=True, repr=False)  # `Average` has one
class Ensemble(Average):
    """The average that was chosen.

    Attributes:
        members: (trial, weight), the heaviest first.
        metric: what was searched for.
        rule: the rule whose nested score is better, "greedy" or "head types".
        choices: of every rule, "single" among them, which is the best trial alone.
        nested: the score with rule and trials chosen without the fold that is scored.
        difference: `nested` − the nested score of the best trial alone, with its paired interval.
        nested_probabilities, nested_decisions: (n, repeats), what `nested` is the score of.
    """

    metric: str
    rule: str
    choices: tuple[Choice, ...]
    nested: Interval
    difference: Interval
    nested_probabilities: Floats
    nested_decisions: NDArray[np.bool_]


def select_ensemble(trials: Sequence[TrialSummary], metric: str, size: int) -> Ensemble:
    """Choose which trials are averaged.

    Args:
        trials: complete trials of one study.
        metric: the study's; of `metric.METRICS`.
        size: how many members, counted with repetition, ≥ 1; head types beyond it are left out, the worst first.

    Raises:
        InputError: a bad size, or a fold that leaves one class to choose on.
    """
    if size < 1:
        raise InputError(f"An ensemble needs at least 1 member, not {size}.")
    library = _Library(trials, metric, size)
    everyone = np.ones(len(library.y), dtype=bool)
    nested = {rule: library.nested(choose) for rule, choose in RULES.items()}
    rule = library.better(everyone)
    outer = library.nested(lambda one, rows: RULES[one.better(rows)](one, rows))
    weights = {name: choose(library, everyone) for name, choose in RULES.items()}
    choices = tuple(
        Choice(
            name,
            {trials[i].number: float(w) for i, w in enumerate(weights[name]) if w},
            library.bootstrap(*library.average(weights[name])).interval(),
            library.bootstrap(*nested[name]).interval(),
        )
        for name in RULES
    )
    found = library.bootstrap(*outer)
    heaviest = np.argsort(-weights[rule], kind="stable")
    members = tuple((trials[i], float(weights[rule][i])) for i in heaviest if weights[rule][i])
    difference = (found - library.bootstrap(*nested["single"])).percentile()
    return Ensemble(members, metric, rule, choices, found.interval(), difference, *outer)


class _Library:
    """The trials' out-of-fold predictions, and scores of weighted averages of them."""

    def __init__(self, trials: Sequence[TrialSummary], metric: str, size: int) -> None:
        first = trials[0]
        self.y, self.folds, self.class_weights = first.y, first.folds[:, 0], first.class_weights
        self.groups = first.groups
        self.metric, self.size = METRICS[metric], size
        self.head_types = [str(trial.params[HEAD_TYPE]) for trial in trials]
        self.p = np.stack([trial.scores.probabilities for trial in trials])  # (T, n, repeats)
        self.thresholds = np.stack([trial.thresholds_of_patients for trial in trials])
        self._better: dict[bytes, str] = {}

    def average(self, weights: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """(n, repeats) probabilities and decisions."""
        p = np.tensordot(weights, self.p, axes=1)
        return p, p >= np.tensordot(weights, self.thresholds, axes=1)

    def value(self, p: Floats, thresholds: Floats, rows: Rows) -> float:
        """The score on some patients, larger is better."""
        judged = self.metric.judged(p, p >= thresholds)
        scores = [
            score(self.metric.name, self.y[rows], column[rows], self.class_weights) for column in judged.T
        ]
        return self.metric.sign * float(np.mean(scores))

    def ranked(self, rows: Rows) -> list[int]:
        """Trials by their score on some patients, the best first, of equals the first."""
        values = np.array(
            [self.value(p, thresholds, rows) for p, thresholds in zip(self.p, self.thresholds, strict=True)]
        )
        return [int(i) for i in np.argsort(-values, kind="stable")]

    def nested(self, choose: "_Rule", rows: Rows | None = None) -> tuple[Floats, NDArray[np.bool_]]:
        """(n, repeats) predictions of averages that were chosen on `rows` without the patient's fold.

        Patients outside `rows` have NaN and False.
        """
        inside = np.ones(len(self.y), dtype=bool) if rows is None else rows
        p, decisions = np.full(self.p.shape[1:], np.nan), np.zeros(self.p.shape[1:], dtype=bool)
        for fold in np.unique(self.folds[inside]):
            held = inside & (self.folds == fold)
            kept = inside & ~held
            if len(np.unique(self.y[kept])) < 2:
                raise InputError(
                    "Without one of the folds, the patients left to choose an ensemble on lack a class; use another "
                    "number of folds (three or more), or select a single head, without --ensemble."
                )
            found, decided = self.average(choose(self, kept))
            p[held], decisions[held] = found[held], decided[held]
        return p, decisions

    def better(self, rows: Rows) -> str:
        """The rule of averages whose nested score on `rows` is better; of equals the plain one."""
        key = rows.tobytes()
        if key not in self._better:
            values = {}
            for rule in ("head types", "greedy"):
                p, decisions = self.nested(RULES[rule], rows)
                # Decisions stand for themselves: 1 ≥ 0.5 and 0 < 0.5.
                judged = self.metric.judged(p, decisions.astype(float))
                values[rule] = self.value(judged, np.full(judged.shape, 0.5), rows)
            self._better[key] = "greedy" if values["greedy"] > values["head types"] + _TIE else "head types"
        return self._better[key]

    def bootstrap(self, p: Floats, decisions: NDArray[np.bool_]) -> Resampled:
        """The score of all patients, averaged over the repeats, and on resamples."""
        return bootstrap(
            self.metric.name,
            self.y,
            p,
            decision=decisions,
            class_weights=self.class_weights,
            groups=self.groups,
        )


_Rule = Callable[[_Library, Rows], Floats]


def _single(library: _Library, rows: Rows) -> Floats:
    """The best trial alone."""
    return _shares(library, [library.ranked(rows)[0]])


def _head_types(library: _Library, rows: Rows) -> Floats:
    """The best trial of each of the best head types, one share each."""
    best: dict[str, int] = {}
    for i in library.ranked(rows):
        best.setdefault(library.head_types[i], i)
    return _shares(library, list(best.values())[: library.size])


def _greedy(library: _Library, rows: Rows) -> Floats:
    """`size` times the trial that makes the average best, the same one again if need be; of equals the better one."""
    pool = library.ranked(rows)[:_POOL]
    chosen: list[int] = []
    p, thresholds = np.zeros(library.p.shape[1:]), np.zeros(library.p.shape[1:])
    for step in range(1, library.size + 1):
        values = [
            library.value((p + library.p[i]) / step, (thresholds + library.thresholds[i]) / step, rows)
            for i in pool
        ]
        best = pool[int(np.argmax(np.array(values) >= max(values) - _TIE))]
        chosen.append(best)
        p, thresholds = p + library.p[best], thresholds + library.thresholds[best]
    return _shares(library, chosen)


def _shares(library: _Library, chosen: Sequence[int]) -> Floats:
    weights = np.zeros(len(library.p))
    for i, times in Counter(chosen).items():
        weights[i] = times / len(chosen)
    return weights


# How trials are chosen: a library and the patients that may be looked at → (T,) weights.
RULES: dict[str, _Rule] = {"single": _single, "head types": _head_types, "greedy": _greedy}
