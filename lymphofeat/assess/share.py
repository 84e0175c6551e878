"""`evaluate` as an array of tasks: each task makes its share of the searches, and a last call collects them.

A task keeps its finished folds in a ledger of its own beside the evaluation's, and makes its searches where a call
without tasks would. Every search is made by one task, and entries are found by what they depend on, so tasks of another
number, or of other options, do no harm.
"""

import re
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from ..array_tasks import ArrayTask, share_of, task_label
from ..cache.reader import Cache
from ..cache.split import JOINT
from ..nested.engine import LEDGER, Engine
from ..nested.permutation import shuffled
from ..nested.pipeline import Pipeline, Run, folds_of
from ..progress import Progress, Silent
from ..storage.journal import Ledger, open_ledger, read_ledger
from ..storage.locks import remove_lock
from ..studies.who_scores import workers
from .plan import EvaluationPlan
from .whole import WholeProgress

__all__ = ["EvaluationShare", "carry_out_share", "collect"]


@dataclass(frozen=True)
class EvaluationShare:
    """What a task of `evaluate` did.

    Attributes:
        task: (I, N).
        ledger: where its finished searches are noted; `evaluate` without `task` takes them from there.
        n_searches: of this task.
        n_before: of them, those that were finished before.
        n_all: of all tasks.
    """

    task: ArrayTask
    ledger: Path
    n_searches: int
    n_before: int
    n_all: int

    def __repr__(self) -> str:
        return (
            f"<EvaluationShare {self.task[0]} of {self.task[1]}: {self.n_searches} of {self.n_all} searches>"
        )


@dataclass(frozen=True)
class _Search:
    """One search of an evaluation; fold None: the one on all folds."""

    pipeline: Pipeline
    run: Run
    fold: int | None
    cost: int


def carry_out_share(
    plan: EvaluationPlan,
    folder: Path,
    task: ArrayTask,
    *,
    jobs: int | None = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> EvaluationShare:
    """Carry a task's share of a plan out; given again after a kill, it goes on at the single trial.

    Args:
        plan, folder, jobs, executor, progress: as of `carry_out`.
        task: (I, N), I from 1 to N.

    Raises:
        InputError, CacheError, StudyError: as `nested`; another process does the same task.
    """
    searches = _searches(plan, folder)
    mine = share_of(searches, task, lambda search: search.cost)
    n_trials = len(mine) * plan.main.trials
    if jobs is None:
        jobs = plan.best_jobs(n_trials) if executor is None else 1
    path = _ledger_of(folder, task)
    with workers(jobs, executor=executor) as pool, open_ledger(path, _known(folder)) as ledger:
        engine = Engine(plan.cache, folder, pool, ledger, Silent())
        missing = [search for some in _by_run(mine) for search in _missing(engine, some)]
        n_before = len(mine) - len(missing)
        told = progress or Silent()
        whole = WholeProgress(told, n_trials, n_before * plan.main.trials, jobs if executor is None else None)
        engine = replace(engine, progress=whole)
        try:
            for some in _by_run(missing):
                _make(engine, some)
        finally:
            whole.end()
    return EvaluationShare(task, path, len(mine), n_before, len(searches))


def _by_run(searches: list[_Search]) -> list[list[_Search]]:
    """Searches of one run of one pipeline stand together."""
    each = groupby(searches, lambda search: (search.pipeline.name, search.run.number))
    return [list(some) for _, some in each]


def _make(engine: Engine, searches: list[_Search]) -> None:
    """Searches of one run of one pipeline, side by side."""
    pipeline, run = searches[0].pipeline, searches[0].run
    if searches[0].fold is None:
        engine.on_one_scale(pipeline, engine.selected(pipeline, run.seed), run.seed)
    if folds := [search.fold for search in searches if search.fold is not None]:
        engine.finish(pipeline, run, folds)


def _missing(engine: Engine, searches: list[_Search]) -> list[_Search]:
    """Those of one run of one pipeline that are not finished."""
    pipeline, run = searches[0].pipeline, searches[0].run
    finished: set[int | None] = set(engine.finished(pipeline, run))
    if searches[0].fold is None and engine.has_on_one_scale(pipeline, run.seed):
        finished.add(None)
    return [search for search in searches if search.fold not in finished]


def _searches(plan: EvaluationPlan, folder: Path) -> list[_Search]:
    """All searches of a plan, each once: the first shuffle of a permutation test may be the control experiment's."""
    first = plan.runs[0]
    found = {
        plan.main.selected(folder, first.seed).path: _Search(
            plan.main, first, None, _cost(plan.main, plan.cache)
        )
    }
    pipelines = [(pipeline, plan.runs) for pipeline in (plan.main, *plan.controls)]
    pipelines += [(shuffled(plan.main, k, plan.permute), (first,)) for k in range(plan.permute)]
    for pipeline, runs in pipelines:
        view, cost = pipeline.view(plan.cache), _cost(pipeline, plan.cache)
        for run in runs:
            for fold in folds_of(view, run.repeat):
                found.setdefault(pipeline.search(folder, run, fold).path, _Search(pipeline, run, fold, cost))
    return list(found.values())


def _cost(pipeline: Pipeline, cache: Cache) -> int:
    """How expensive a pipeline's searches are, compared with others': by how many features they read."""
    if pipeline.space.inputs == ("clinical",):
        return 0
    return sum(cache.members(name)[0].dim for name in pipeline.encoder_family.split(JOINT))


def _ledger_of(folder: Path, task: ArrayTask) -> Path:
    ledger = folder / LEDGER
    return ledger.with_name(f"{ledger.stem}.{task_label(task)}{ledger.suffix}")


def _tasks_in(folder: Path) -> list[Path]:
    """The ledgers of tasks, also of such as have finished nothing yet and have a lock only."""
    stem, suffix = Path(LEDGER).stem, Path(LEDGER).suffix
    name = re.compile(rf"\.?({stem}\.task-\d+-of-\d+{re.escape(suffix)})(\.lock)?")
    found = (name.fullmatch(path.name) for path in folder.glob(f"*{stem}.task-*"))
    return sorted({folder / match[1] for match in found if match})


def _known(folder: Path) -> dict[str, dict[str, Any]]:
    """What other tasks and the evaluation have finished; the evaluation's last, since entries move to it."""
    entries: dict[str, dict[str, Any]] = {}
    for path in [*_tasks_in(folder), folder / LEDGER]:
        entries.update(read_ledger(path))
    return entries


def collect(folder: Path, ledger: Ledger) -> None:
    """Move what tasks have finished into the evaluation's ledger.

    Raises:
        StudyError: a task is at work, or its ledger is damaged or cannot be written.
    """
    for path in _tasks_in(folder):
        with open_ledger(path) as found:
            ledger.add_all({key: entry for key, entry in found.entries.items() if ledger.get(key) is None})
            path.unlink(missing_ok=True)
            # A task that begins at this very moment may hold a lock that is gone; its searches have locks of their own.
            remove_lock(path)
