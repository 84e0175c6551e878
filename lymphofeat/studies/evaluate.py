"""Scoring one point: what a process does again and again, whether it is the only one or one of many."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..cache.reader import Cache, open_cache
from ..cache.reordered import in_order
from ..cache.shuffled import shuffled
from ..estimates.scores import ClassWeights
from ..heads.registry import COSTS
from ..parallel import cores_each
from ..scoring.failures import attrs_of, raise_if_all
from ..scoring.plan import ScoringPlan
from ..scoring.score import score_plan, weighs_equally
from .pruning import FoldPruner, Incumbent, TrialPruned
from .record import scores_to_attrs
from .space import build_head, cost_of

__all__ = ["Evaluator", "StudySpec", "TrialResult", "TrialTask"]

_FIT_CACHE_BYTES = 1 << 30  # of all processes together
# More than searches go side by side: a nested cross-validation's outer folds, and a few more.
_PLANS, _VIEWS = 32, 4


@dataclass(frozen=True)
class StudySpec:
    """What all trials of a study have in common.

    Attributes:
        cache: the cache's file; every process maps it, and the system keeps its pages once.
        encoder_family: the encodings.
        repeats: of the folds.
        metric: the study's.
        class_weights: the study's.
        without: repeat and number of an outer fold whose patients no trial may know of; None: none.
        shuffle: seed by which the labels are shuffled, for a control experiment; None: they are as they are.
        order: IDs of the labelled patients in the order that the study keeps them in; None: in the cache's.
    """

    cache: Path
    encoder_family: str
    repeats: int
    metric: str
    class_weights: ClassWeights
    without: tuple[int, int] | None = None
    shuffle: int | None = None
    order: tuple[str, ...] | None = None

    def view(self, cache: Cache) -> Cache:
        """The cache as the trials see it.

        Raises:
            InputError: the shuffled labels cannot be divided into folds.
        """
        return _seen(cache, self.shuffle, self.order)

    def plan(self, view: Cache) -> ScoringPlan:
        """All fits behind a trial's score.

        Args:
            view: the cache as `view` gives it.

        Raises:
            InputError, CacheError, LeakageError: as `ScoringPlan.of`.
        """
        return ScoringPlan.of(view, self.encoder_family, self.repeats, self.without)


@dataclass(frozen=True)
class TrialTask:
    """One point to score.

    Attributes:
        spec: the study's.
        number: of the trial.
        params: as of an Optuna trial.
        incumbent: the head that it must not be clearly worse than; None: it is scored to the end.
    """

    spec: StudySpec
    number: int
    params: dict[str, Any]
    incumbent: Incumbent | None

    @property
    def expense(self) -> int:
        """0 for the quickest heads, larger for slower ones."""
        return COSTS.index(cost_of(self.params))


@dataclass(frozen=True)
class TrialResult:
    """What came of a task.

    Attributes:
        number: the task's.
        started: when.
        attrs: the trial's user attributes; empty if it was stopped, the error's if it failed.
        value: the study's metric; of a stopped trial on the patients until then; NaN if it failed.
        steps: of a trial that was watched, the metric after so many folds.
        pruned: whether it was stopped.
        failed: whether the head could not be scored.
    """

    number: int
    started: datetime
    attrs: dict[str, Any]
    value: float
    steps: dict[int, float] = field(default_factory=dict)
    pruned: bool = False
    failed: bool = False


class Evaluator:
    """Scores tasks; what they share is kept from one to the next, over studies of one cache too.

    Args:
        plans: of settings, where they were made already.
        processes: how many evaluators share the memory for what is kept.
    """

    def __init__(self, plans: Mapping[StudySpec, ScoringPlan] | None = None, processes: int = 1) -> None:
        self._given = dict(plans or {})
        # The last ones only: a permutation test has hundreds of both.
        self._planned = lru_cache(_PLANS)(self._made)
        self._view = lru_cache(_VIEWS)(_viewed)
        from ..heads.base import FitCache

        self._fit_cache = FitCache(_FIT_CACHE_BYTES // processes, cores_each(processes))

    def __call__(self, task: TrialTask) -> TrialResult:
        """Score a point; a head that cannot be fitted, or that gives no probabilities, is a failed trial.

        Heads that take tenths of a second are not watched: stopping them would save nothing.

        Raises:
            InputError, CacheError, LeakageError: as `open_cache`, `StudySpec.view` and `StudySpec.plan`.
            StudyError, OSError: what every trial would meet; see `failures.concerns_all`.
        """
        started = datetime.now()
        plan = self._given.get(task.spec) or self._planned(task.spec)
        try:
            return self._scored(task, plan, started)
        except Exception as error:  # noqa: BLE001 - whatever a head fails with is kept with its trial
            raise_if_all(error)
            return TrialResult(task.number, started, attrs_of(error), math.nan, failed=True)

    def _scored(self, task: TrialTask, plan: ScoringPlan, started: datetime) -> TrialResult:
        spec, head, pruner = task.spec, build_head(task.params), None
        if task.incumbent is not None and task.expense > 0:
            balanced = weighs_equally(head)
            pruner = FoldPruner(plan, spec.metric, spec.class_weights, task.incumbent, balanced=balanced)
        try:
            scores = score_plan(plan, head, self._fit_cache, spec.class_weights, pruner)
        except TrialPruned:
            if pruner is None:
                raise
            value = pruner.steps[max(pruner.steps)]
            return TrialResult(task.number, started, {}, value, pruner.steps, pruned=True)
        steps = {} if pruner is None else pruner.steps
        if not all(map(math.isfinite, scores.values.values())):
            raise FloatingPointError(f"The scores are not finite: {scores.values}")
        return TrialResult(task.number, started, scores_to_attrs(scores), scores.values[spec.metric], steps)

    def _made(self, spec: StudySpec) -> ScoringPlan:
        return spec.plan(self._view(spec.cache, spec.shuffle, spec.order))


def _viewed(path: Path, shuffle: int | None, order: tuple[str, ...] | None) -> Cache:
    return _seen(open_cache(path), shuffle, order)


def _seen(cache: Cache, shuffle: int | None, order: tuple[str, ...] | None) -> Cache:
    ordered = cache if order is None else in_order(cache, order)
    return ordered if shuffle is None else shuffled(ordered, shuffle)
