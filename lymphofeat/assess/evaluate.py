"""`evaluate`: a pipeline by nested cross-validation, its control experiments, and the tuned score not to be quoted."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack, overload

import numpy as np
import pandas as pd

from ..array_tasks import ArrayTask, check_array_task
from ..nested.engine import LEDGER, Engine
from ..nested.permutation import Permutation, permute
from ..nested.result import Nested
from ..progress import Progress, Silent
from ..storage.journal import open_ledger
from ..storage.json_tables import write_json_record
from ..storage.paths import AnyPath
from ..studies.continuing import searches_folder
from ..studies.summary import StudySummary
from ..studies.who_scores import workers
from ..wording import metric_label
from .assessment import Assessment, assess
from .optimism import SelectedModels
from .plan import EvaluationPlan, plan_evaluation
from .record import KEPT, assessment_json
from .share import EvaluationShare, carry_out_share, collect
from .whole import WholeProgress

__all__ = ["EvaluateOptions", "Evaluation", "carry_out", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        main: nested predictions of the pipeline.
        others: of its control experiments.
        selected: the search on all folds of the first repeat, whose best score was selected.
        permutation: the permutation test, if asked for.
        assessment: all tables.
    """

    main: Nested
    others: tuple[Nested, ...]
    selected: StudySummary
    permutation: Permutation | None
    assessment: Assessment

    def __repr__(self) -> str:
        return f"<Evaluation {self.main!r}, beside {len(self.others)} control experiments>"


class EvaluateOptions(TypedDict, total=False):
    """What `evaluate` takes."""

    encoding: str | None
    heads: Sequence[str]
    n_trials: int
    repeats: int
    seeds: int
    seed: int
    metric: str
    permute: int
    missing_indicators: bool
    jobs: int
    executor: Executor | None
    progress: Progress | None


@overload
def evaluate(
    cache: AnyPath, study: AnyPath, *, task: None = None, **options: Unpack[EvaluateOptions]
) -> Evaluation: ...


@overload
def evaluate(
    cache: AnyPath, study: AnyPath, *, task: ArrayTask, **options: Unpack[EvaluateOptions]
) -> EvaluationShare: ...


def evaluate(
    cache: AnyPath,
    study: AnyPath,
    *,
    encoding: str | None = None,
    heads: Sequence[str] = (),
    n_trials: int = 50,
    repeats: int = 1,
    seeds: int = 1,
    seed: int = 0,
    metric: str = "balanced_accuracy",
    permute: int = 0,
    missing_indicators: bool = False,
    jobs: int = 1,
    executor: Executor | None = None,
    task: ArrayTask | None = None,
    progress: Progress | None = None,
) -> Evaluation | EvaluationShare:
    """Score the whole tuning by nested cross-validation, beside its control experiments: the number to quote.

    The search is repeated inside every outer fold, and the model that `submit` would select predicts the fold.
    Given again after a kill, it goes on at the single trial. What it takes is said first (`progress.note`). The result
    is kept beside the searches, in evaluate.json, for `write_report`.

    Args:
        cache: a cache that `extract` or `save_cache` made.
        study: the study's file or address, as of `tune`; it need not be there. The searches are kept in files: beside
            it in NAME-nested, or in studies/NAME-nested for an address.
        encoding: the encoder family; the cache's default one if None.
        heads: head types to search; all if empty.
        n_trials: finished trials of each search, ≥ 1.
        repeats: repeats of the folds. Encoders that were trained on the first one give more seeds instead.
        seeds: searches with different seeds for each repeat.
        seed: the first one, ≥ 0.
        metric: what is searched for: "balanced_accuracy", "auc", "average_precision", "log_loss" or "brier".
        permute: shuffles of the labels, each a nested cross-validation of its own; 0: no permutation test.
        missing_indicators: whether heads may use that a clinical value is missing; see docs/heads.md.
        jobs: processes that score trials; see `tune`.
        executor: scores the trials instead; see `tune`.
        task: (I, N), I from 1 to N: make this share of the searches only. A last call without `task` collects what
            tasks made, does what is missing, and returns what a call without tasks would. See docs/cluster.md.
        progress: told of every trial.

    Returns:
        The evaluation; of a task, what it did.

    Raises:
        InputError: a bad argument, or folds that leave one class or no inner folds.
        CacheError: no usable cache or no such encoder family.
        LeakageError: encoders were trained per fold but not per two folds (`extract --finetune --nested`).
        StudyError: a search was made from something else, is in use, or cannot be written.

    Example:
        >>> found = evaluate("cache/features.h5", "studies/study.db", n_trials=1, heads=["logistic"])
        >>> found.main
        <Nested image + clinical: 40 patients, 1 run, 4 outer folds, ...>
    """
    if task is not None:
        check_array_task(task)
    plan = plan_evaluation(
        cache, encoding=encoding, heads=heads, n_trials=n_trials, repeats=repeats, seeds=seeds, seed=seed,
        metric=metric, permute=permute, missing_indicators=missing_indicators, jobs=jobs,
    )  # fmt: skip
    if progress is not None:
        progress.note(plan.sentence)
    folder = searches_folder(study)
    if task is not None:
        return carry_out_share(plan, folder, task, jobs=jobs, executor=executor, progress=progress)
    return carry_out(plan, folder, jobs=jobs, executor=executor, progress=progress)


def carry_out(
    plan: EvaluationPlan,
    folder: Path,
    *,
    jobs: int | None = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Carry a plan out; given again after a kill, it goes on at the single trial.

    What tasks of an array have finished is collected first.

    Args:
        plan: of `plan_evaluation`.
        folder: where searches and finished folds are kept.
        jobs: processes that score trials; None: `EvaluationPlan.best_jobs`, or 1 beside an executor.
        executor: scores the trials instead; see `tune`.
        progress: told of every trial.

    Raises:
        InputError, CacheError, StudyError: as `nested`.
    """
    runs, told = plan.runs, progress or Silent()
    if jobs is None:
        jobs = plan.best_jobs(plan.n_trials) if executor is None else 1
    with workers(jobs, executor=executor) as pool, open_ledger(folder / LEDGER) as ledger:
        collect(folder, ledger)
        before = Engine(plan.cache, folder, pool, ledger, Silent())
        pipelines = (plan.main, *plan.controls)
        finished = sum(len(before.finished(pipeline, run)) for pipeline in pipelines for run in runs)
        whole = WholeProgress(
            told, plan.n_trials, plan.main.trials * finished, jobs if executor is None else None
        )
        engine = replace(before, progress=whole)
        try:
            main = engine.run(plan.main, runs)
            selected = engine.selected(plan.main, runs[0].seed)
            on_one_scale = engine.on_one_scale(plan.main, selected, runs[0].seed)
            others = tuple(engine.run(control, runs) for control in plan.controls)
            permutation = (
                permute(engine, plan.main, main, runs[0], plan.permute) if plan.permute > 0 else None
            )
        finally:
            whole.end()
    told.start("intervals and tables", 1, "evaluation")
    try:
        assessment = assess(
            main, others, plan.cache.patients, SelectedModels.of(selected, on_one_scale), notes=plan.notes
        )
    finally:
        told.stop()
    assessment = replace(assessment, search=plan.search)
    if permutation is not None:
        assessment = assessment.with_table("permutation", _table(permutation), _sentence(permutation))
    write_json_record(assessment_json(assessment), folder / KEPT)
    return Evaluation(main, others, selected, permutation, assessment)


def _table(permutation: Permutation) -> pd.DataFrame:
    """One row: metric, value, n, and of the shuffled scores mean and 95 % quantile, p."""
    permuted = permutation.permuted
    return pd.DataFrame(
        {
            "metric": [permutation.metric],
            "value": [permutation.value],
            "shuffles": [len(permuted)],
            "shuffled_mean": [float(permuted.mean())],
            "shuffled_q025": [float(np.quantile(permuted, 0.025))],
            "shuffled_q975": [float(np.quantile(permuted, 0.975))],
            "p": [permutation.p_value],
        }
    )


def _sentence(permutation: Permutation) -> str:
    permuted = permutation.permuted
    return (
        f"Permutation test of the whole pipeline by {metric_label(permutation.metric)}: {permutation.value:.3f} with "
        f"the true labels, {permuted.mean():.3f} on average over {len(permuted)} shuffles of them; "
        f"p = {permutation.p_value:.3g}."
    )
