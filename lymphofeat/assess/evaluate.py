"""`evaluate`: a pipeline by nested cross-validation, its control experiments, and the tuned score not to be quoted."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..cache.reader import Cache, open_cache
from ..cache.split import JOINT
from ..nested.control_experiments import WHOLE, controls_of
from ..nested.engine import LEDGER, Engine
from ..nested.permutation import Permutation, permute
from ..nested.pipeline import Pipeline, Run, check_label_free, folds_of, runs_of
from ..nested.result import Nested
from ..parallel import best_jobs
from ..progress import Progress, Silent
from ..scoring.scored import ScoredPatients
from ..storage.journal import open_ledger
from ..storage.json_tables import write_json_record
from ..storage.paths import AnyPath
from ..studies.selection import DEFAULT
from ..studies.space import Space
from ..studies.study import NESTED, check_arguments, encoding_in
from ..studies.summary import StudySummary
from ..studies.who_scores import workers
from ..wording import metric_label
from .assessment import Assessment, assess
from .optimism import SelectedModels
from .record import KEPT, assessment_json
from .whole import WholeProgress

__all__ = ["Evaluation", "EvaluationPlan", "carry_out", "evaluate", "plan_evaluation", "searches_folder"]


_PROCESS_BYTES = 1 << 30  # of a process with torch and the heads, besides what they make of the features


@dataclass(frozen=True)
class EvaluationPlan:
    """What `evaluate` will do.

    Attributes:
        cache: the cache.
        main: the pipeline that is evaluated.
        control experiments: those beside it.
        runs: repeats of the folds and seeds, the same for all.
        permute: shuffles of the labels for a permutation test; 0: none.
        notes: what is lacking and why.
    """

    cache: Cache
    main: Pipeline
    controls: tuple[Pipeline, ...]
    runs: tuple[Run, ...]
    permute: int
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<EvaluationPlan of {self.main.name} on {self.cache.path.name}: {self.n_searches} searches>"

    @property
    def n_searches(self) -> int:
        """Searches inside outer folds; the one on all folds comes on top."""
        folds = sum(len(folds_of(self.cache, run.repeat)) for run in self.runs)
        return (1 + len(self.controls)) * folds + self.permute * len(folds_of(self.cache, 0))

    @property
    def search(self) -> dict[str, Any]:
        """What is repeated inside the outer folds, as JSON values; see `Assessment.search`."""
        space = self.main.space
        return {
            "trials": self.main.trials,
            "heads": list(space.head_types),
            "inputs": list(space.inputs),
            "missing_indicators": space.missing_indicators,
            "repeats": len({run.repeat for run in self.runs}),
            "seeds": len({run.seed for run in self.runs}),
            "seed": self.runs[0].seed,
            "select": DEFAULT,
            "cohort": self.cache.fingerprint,
            "patients": ScoredPatients.of(self.cache).digest(ordered=False),
        }

    @property
    def n_trials(self) -> int:
        """Trials of all searches."""
        return (self.n_searches + 1) * self.main.trials

    @property
    def best_jobs(self) -> int:
        """Processes that suit this machine: one per core as far as the memory goes, or 1 where there is little to do.

        The results are the same for any number.
        """
        names = self.main.encoder_family.split(JOINT)
        members = [member for name in names for member in self.cache.members(name)]
        features = max(4 * self.cache.tables.n_images * member.dim for member in members)
        return best_jobs(self.n_trials, _PROCESS_BYTES + 2 * len(names) * features)

    @property
    def sentence(self) -> str:
        """What lies ahead, for who waits for it."""
        pipelines = ", ".join(pipeline.name for pipeline in (self.main, *self.controls))
        runs = "1 run" if len(self.runs) == 1 else f"{len(self.runs)} runs"
        n_folds = len(folds_of(self.cache, 0))
        shuffles = f", {self.permute} shuffles of the labels × {n_folds} folds" if self.permute else ""
        return (
            f"{self.n_searches} searches of {self.main.trials} trials inside outer folds ({runs} × {n_folds} folds of "
            f"each pipeline: {pipelines}{shuffles}), and one on all folds, on encodings {self.main.encoder_family}."
        )


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
    progress: Progress | None = None,
) -> Evaluation:
    """Score the whole tuning by nested cross-validation, beside its control experiments: the number to quote.

    The search is repeated inside every outer fold, and the model that `submit` would select predicts the fold.
    Given again after a kill, it goes on at the single trial. What it takes is said first (`progress.note`). The result
    is kept beside the searches, in evaluate.json, for `write_report`.

    Args:
        cache: a cache that `extract` or `save_cache` made.
        study: the study's file, as of `tune`; it need not be there. The searches are kept beside it, in NAME-nested.
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
        progress: told of every trial.

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
    plan = plan_evaluation(
        cache, encoding=encoding, heads=heads, n_trials=n_trials, repeats=repeats, seeds=seeds, seed=seed,
        metric=metric, permute=permute, missing_indicators=missing_indicators, jobs=jobs,
    )  # fmt: skip
    if progress is not None:
        progress.note(plan.sentence)
    return carry_out(plan, searches_folder(study), jobs=jobs, executor=executor, progress=progress)


def searches_folder(study: AnyPath) -> Path:
    """Where the searches inside outer folds are kept, beside the study: NAME-nested."""
    folder = Path(study).with_suffix("")
    return folder.with_name(f"{folder.name}{NESTED}")


def plan_evaluation(
    cache: AnyPath,
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
) -> EvaluationPlan:
    """Check everything that can be checked before work begins; writes nothing.

    Args:
        cache, encoding, heads, n_trials, repeats, seeds, seed, metric, permute, missing_indicators, jobs: as of
            `evaluate`.

    Raises:
        InputError, CacheError, LeakageError: as `nested`.
    """
    check_arguments(n_trials, metric, None, seed, "tpe", jobs)
    space, view = Space.of(heads, missing_indicators=missing_indicators), open_cache(cache)
    chosen = encoding_in(view, encoding)
    runs, note = runs_of(view, chosen, repeats, seeds, seed)
    main = Pipeline(WHOLE, view.path, chosen, space, n_trials, metric)
    controls, notes = controls_of(main, view, heads)
    if permute > 0:
        check_label_free(view, chosen)
    for pipeline in (main, *controls):
        pipeline.check(view, runs)
    notes = [note, *notes] if note else notes
    return EvaluationPlan(view, main, tuple(controls), tuple(runs), permute, tuple(notes))


def carry_out(
    plan: EvaluationPlan,
    folder: Path,
    *,
    jobs: int | None = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Carry a plan out; given again after a kill, it goes on at the single trial.

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
        jobs = plan.best_jobs if executor is None else 1
    with workers(jobs, executor=executor) as pool, open_ledger(folder / LEDGER) as ledger:
        before = Engine(plan.cache, folder, pool, ledger, Silent())
        finished = sum(before.n_finished(pipeline, runs) for pipeline in (plan.main, *plan.controls))
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
