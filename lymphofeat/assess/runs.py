"""A pipeline's out-of-fold predictions of one or several runs, scored as one: the mean score of a run.

Every run (a repeat of the folds × a seed of the search) predicts every patient once. A score is averaged over the runs
on the same resamples of the patients, never the predictions: averaged predictions are a better model than any that
would be built.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ..errors import InputError
from ..estimates import DESCRIBED, corrected_t, describe, paired_bootstrap, statistic
from ..estimates.bootstrap import Weighted, bca_interval
from ..estimates.intervals import Interval, unseen, widened
from ..estimates.paired import Compared
from ..estimates.persons import Groups, Persons, taken
from ..estimates.scores import mean_of, score, unseen_of
from ..metric import METRICS, NAMED
from ..nested.result import Nested

__all__ = ["NOT_KNOWN", "Runs", "check_same_patients", "compare_runs", "corrected_over_folds"]

Floats = NDArray[np.float64]

NOT_KNOWN = Interval(float("nan"), float("nan"), float("nan"))
_CONFIDENCE = 0.95
_COUNTED = ("sensitivity", "specificity")
# What only the order of the patients decides.
_RANKED = [name for name, metric in NAMED.items() if metric.takes == "scores"]


@dataclass(frozen=True)
class Runs:
    """Predictions of n patients in R runs.

    Attributes:
        y: (n,) int8 labels 0 and 1.
        probabilities: (n, R) float64 of malignant.
        decisions: (n, R) bool, called malignant.
        ranks: (n, R) float64 in [0, 1], what orders the patients where metrics ask for their order only: folds have
            heads of their own, and those are not equally certain (`Nested.scores`); None: the probabilities.
        groups: (n,) int64, equal where two records may be of one person; None where no two are.
    """

    y: NDArray[np.int8]
    probabilities: Floats
    decisions: NDArray[np.bool_]
    ranks: Floats | None = None
    groups: Groups = None

    @classmethod
    def of(cls, nested: Nested) -> "Runs":
        """The predictions of nested cross-validation.

        Raises:
            InputError: a patient whom some run does not predict.
        """
        if np.isnan(nested.probabilities).any():
            raise InputError(
                f"The nested predictions of {nested.name!r} are not complete; run `lymphofeat evaluate` to its end."
            )
        return cls(nested.y, nested.probabilities, nested.decisions, expit(nested.scores), nested.groups)

    @property
    def n_runs(self) -> int:
        return int(self.probabilities.shape[1])

    def take(self, who: NDArray[np.bool_]) -> "Runs":
        """Some of the patients, by an (n,) mask."""
        ranks = None if self.ranks is None else self.ranks[who]
        return Runs(self.y[who], self.probabilities[who], self.decisions[who], ranks, taken(self.groups, who))

    def run(self, number: int) -> "Runs":
        """One of the runs."""
        ranks = None if self.ranks is None else self.ranks[:, [number]]
        return replace(
            self,
            probabilities=self.probabilities[:, [number]],
            decisions=self.decisions[:, [number]],
            ranks=ranks,
        )

    def with_probabilities(self, probabilities: Floats) -> "Runs":
        """The same patients and decisions with other (n, R) probabilities."""
        return replace(self, probabilities=probabilities)

    def weighted(self, name: str) -> Weighted:
        """A metric of `estimates.DESCRIBED`, averaged over the runs, as a function of (B, n) weights."""
        each = [self._weighted_in(name, run) for run in range(self.n_runs)]
        return mean_of(each)

    def value(self, name: str) -> float:
        """The metric on all patients, averaged over the runs."""
        return float(self.weighted(name)(np.ones((1, len(self.y))))[0])

    def describe(
        self, names: Sequence[str] = DESCRIBED, *, n_resamples: int = 2000, seed: int = 0
    ) -> dict[str, Interval]:
        """The metrics with 95 % intervals by patient.

        Of one run they are those of `estimates.describe`. Of several, the mean over the runs has a BCa interval on the
        same resamples in every run, and the calibration error the mean of the runs' own intervals.

        Raises:
            InputError: one class only, or an unknown name.
        """
        first = self._describe_run(0, names, n_resamples, seed)
        if self.n_runs == 1:
            return first
        found = {}
        for name in names:
            if name == "calibration_error":
                runs = [
                    self._describe_run(run, [name], n_resamples, seed)[name] for run in range(self.n_runs)
                ]
                found[name] = Interval(*np.mean(runs, axis=0).tolist())
                continue
            interval = bca_interval(
                self.weighted(name), self.y, groups=self.groups, n_resamples=n_resamples, seed=seed
            )
            one = first[name]
            if np.isnan(one.low) or not interval.low < interval.high:  # what no resample can say, of any run
                interval = Interval(interval.value, one.low, one.high)
            found[name] = interval
        return found

    def _describe_run(
        self, run: int, names: Sequence[str], n_resamples: int, seed: int
    ) -> dict[str, Interval]:
        def described(of: Sequence[str], p: Floats) -> dict[str, Interval]:
            if not of:
                return {}
            decided, options = self.decisions[:, run], {"n_resamples": n_resamples, "seed": seed}
            return dict(describe(self.y, p, decided, names=of, groups=self.groups, **options))

        ranked = described([name for name in names if name in _RANKED], self._order(run))
        found = ranked | described(
            [name for name in names if name not in _RANKED], self.probabilities[:, run]
        )
        return {name: found[name] for name in names}

    def _order(self, run: int) -> Floats:
        return (self.probabilities if self.ranks is None else self.ranks)[:, run]

    def _weighted_in(self, name: str, run: int) -> Weighted:
        if name not in _COUNTED:
            p = self._order(run) if name in _RANKED else self.probabilities[:, run]
            return statistic(name, self.y, p, self.decisions[:, run])
        members = (self.y == (name == "sensitivity")).astype(np.float64)
        right = members * (self.decisions[:, run] == (self.y == 1))
        return lambda weights: np.asarray(weights @ right / (weights @ members))


def check_same_patients(main: Nested, other: Nested) -> None:
    """Refuse pipelines that were measured on different patients.

    Raises:
        InputError: other patients, or in another order.
    """
    if main.ids != other.ids:
        raise InputError(
            f"{other.name!r} was measured on other patients than {main.name!r}; evaluate both on one cache."
        )


def corrected_over_folds(nested: Nested, metric: str) -> Interval:
    """The mean score of a fold with its corrected t interval, seeds of one repeat of the folds averaged first.

    Returns:
        Bounds of a score that is 1 (or 0) in every fold are the exact ones of `lymphofeat.estimates.intervals`.
        `NOT_KNOWN` where a fold holds one class only or repeats differ in the number of folds.
    """
    scores: dict[tuple[int, int], list[float]] = {}
    for fold in nested.folds_of_runs:
        y, p = nested.y[fold.rows], fold.probabilities
        if len(np.unique(y)) < 2:
            return NOT_KNOWN
        judged = METRICS[metric].judged(p, p >= fold.threshold)
        scores.setdefault((fold.repeat, fold.fold), []).append(score(metric, y, judged))
    repeats = sorted({repeat for repeat, _ in scores})
    rows = [[np.mean(s) for (r, _), s in sorted(scores.items()) if r == repeat] for repeat in repeats]
    if len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        return NOT_KNOWN
    found = corrected_t(np.array(rows), unit=METRICS[metric].unit)
    if not np.isnan(found.low):
        return found
    # Every fold is flawless, or every one fails. In the mean of k folds a patient of a class weighs most where a fold
    # has fewest of it, and as much as if every fold had as few.
    counts = [
        Persons.behind(nested.y[fold.rows], taken(nested.groups, fold.rows)).of_class
        for fold in nested.folds_of_runs
    ]
    reactive, malignant = (len(rows[0]) * int(fewest) for fewest in np.min(counts, axis=0))
    beyond = unseen(metric, found.value, reactive, malignant)
    return widened(Interval(found.value, found.value, found.value), beyond, _CONFIDENCE)


def compare_runs(
    first: Runs, second: Runs, metric: str, *, n_resamples: int = 2000, seed: int = 0
) -> Compared:
    """The paired bootstrap of two pipelines on the same patients.

    Of two different ones that are both without error, or without success, no resample differs; the interval is then how
    far their true scores may be from these (`lymphofeat.estimates.intervals`).
    """
    one, other = first.weighted(metric), second.weighted(metric)
    found = paired_bootstrap(one, other, first.y, groups=first.groups, n_resamples=n_resamples, seed=seed)
    same = all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in ("probabilities", "decisions")
    )
    if same or metric not in METRICS:
        return found
    here, there = (unseen_of(metric, runs.value(metric), runs.y, runs.groups) for runs in (first, second))
    beyond = here.less(there)
    return Compared(widened(found.difference, beyond, _CONFIDENCE), found.p_value)
