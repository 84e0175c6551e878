"""Scoring one point: what a process does again and again, whether it is the only one or one of many."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ..cache.reader import Cache, open_cache
from ..cache.shuffled import shuffled
from ..cores import cores_each
from ..heads.base import Memo
from ..heads.registry import COSTS
from ..statistics import ClassWeights
from .objective import score_plan, weighs_equally
from .plan import ScoringPlan
from .pruning import Hopeless, Rival, Watcher
from .record import scores_to_attrs
from .space import build_head, cost_of

__all__ = ["Evaluator", "Outcome", "Setting", "Task"]

_MEMO_BYTES = 1 << 30  # of all processes together


@dataclass(frozen=True)
class Setting:
    """What all trials of a study have in common.

    Attributes:
        cache: the cache's file; every process maps it, and the system keeps its pages once.
        family: the encodings.
        repeats: drawings of the folds.
        metric: the study's.
        class_weights: the study's.
        without: drawing and number of an outer fold whose patients no trial may know of; None: none.
        shuffle: seed by which the labels are shuffled, for a control; None: they are as they are.
    """

    cache: Path
    family: str
    repeats: int
    metric: str
    class_weights: ClassWeights
    without: tuple[int, int] | None = None
    shuffle: int | None = None

    def view(self, cache: Cache) -> Cache:
        """The cache as the trials see it.

        Raises:
            InputError: the shuffled labels cannot be divided into folds.
        """
        return cache if self.shuffle is None else shuffled(cache, self.shuffle)

    def plan(self, view: Cache) -> ScoringPlan:
        """All fits behind a trial's score.

        Args:
            view: the cache as `view` gives it.

        Raises:
            InputError, CacheError, LeakageError: as `ScoringPlan.of`.
        """
        return ScoringPlan.of(view, self.family, self.repeats, self.without)


@dataclass(frozen=True)
class Task:
    """One point to score.

    Attributes:
        setting: the study's.
        number: of the trial.
        params: as of an Optuna trial.
        rival: the head that it must not be hopeless against; None: it is scored to the end.
    """

    setting: Setting
    number: int
    params: dict[str, Any]
    rival: Rival | None

    @property
    def dearness(self) -> int:
        """0 for the quickest heads, larger for slower ones."""
        return COSTS.index(cost_of(self.params))


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        number: the task's.
        started: when.
        attrs: the trial's user attributes; empty if it was stopped.
        value: the study's metric; of a stopped trial on the patients until then.
        steps: of a trial that was watched, the metric after so many folds.
        pruned: whether it was stopped.
    """

    number: int
    started: datetime
    attrs: dict[str, Any]
    value: float
    steps: dict[int, float] = field(default_factory=dict)
    pruned: bool = False


class Evaluator:
    """Scores tasks; what they share is kept from one to the next, over studies of one cache too.

    Args:
        plans: of settings, where they were made already.
        processes: how many evaluators share the memory for what is kept.
    """

    def __init__(self, plans: Mapping[Setting, ScoringPlan] | None = None, processes: int = 1) -> None:
        self._plans = dict(plans or {})
        self._views: dict[tuple[Path, int | None], Cache] = {}
        self._memo = Memo(_MEMO_BYTES // processes, cores_each(processes))

    def __call__(self, task: Task) -> Outcome:
        """Score a point.

        Heads that take tenths of a second are not watched: stopping them would save nothing.

        Raises:
            InputError, CacheError, LeakageError: as `open_cache`, `Setting.view` and `Setting.plan`.
        """
        started = datetime.now()
        setting, plan, head = task.setting, self._plan(task.setting), build_head(task.params)
        watcher = None
        if task.rival is not None and task.dearness > 0:
            balanced = weighs_equally(head)
            watcher = Watcher(plan, setting.metric, setting.class_weights, task.rival, balanced=balanced)
        try:
            scores = score_plan(plan, head, self._memo, setting.class_weights, watcher)
        except Hopeless:
            if watcher is None:
                raise
            value = watcher.steps[max(watcher.steps)]
            return Outcome(task.number, started, {}, value, watcher.steps, pruned=True)
        steps = {} if watcher is None else watcher.steps
        return Outcome(task.number, started, scores_to_attrs(scores), scores.values[setting.metric], steps)

    def _plan(self, setting: Setting) -> ScoringPlan:
        if setting not in self._plans:
            seen = setting.cache, setting.shuffle
            if seen not in self._views:
                self._views[seen] = setting.view(open_cache(setting.cache))
            self._plans[setting] = setting.plan(self._views[seen])
        return self._plans[setting]
