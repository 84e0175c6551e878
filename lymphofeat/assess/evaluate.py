"""`evaluate`: a pipeline by nested cross-validation, its control experiments, and the tuned score not to be quoted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..cache.reader import Cache, open_cache
from ..nested.control_experiments import WHOLE, controls_of
from ..nested.engine import LEDGER, Engine
from ..nested.permutation import Permutation, permute
from ..nested.pipeline import Pipeline, Run, check_label_free, folds_of, runs_of
from ..nested.result import Nested
from ..progress import Progress, Silent
from ..storage.journal import open_ledger
from ..studies.space import Space
from ..studies.study import check_arguments, encoding_in
from ..studies.summary import StudySummary
from ..studies.workers import workers
from ..wording import metric_label
from .assessment import Assessment, assess
from .optimism import SelectedModels

__all__ = ["Evaluation", "EvaluationPlan", "evaluate", "plan_evaluation"]


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

    @property
    def n_searches(self) -> int:
        """Searches inside outer folds; the one on all folds comes on top."""
        folds = sum(len(folds_of(self.cache, run.repeat)) for run in self.runs)
        return (1 + len(self.controls)) * folds + self.permute * len(folds_of(self.cache, 0))

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


def plan_evaluation(
    cache_path: Path,
    *,
    encoding: str | None = None,
    heads: Sequence[str] = (),
    trials: int = 50,
    repeats: int = 1,
    seeds: int = 1,
    seed: int = 0,
    metric: str = "balanced_accuracy",
    permute: int = 0,
    jobs: int = 1,
) -> EvaluationPlan:
    """Check everything that can be checked before work begins; writes nothing.

    Args:
        cache_path, encoding, heads, trials, repeats, seeds, seed, metric, jobs: as of `nested`.
        permute: shuffles of the labels, each a nested cross-validation of its own; 0: no permutation test.

    Raises:
        InputError, CacheError, LeakageError: as `nested`.
    """
    check_arguments(trials, metric, None, seed, "tpe", jobs)
    space, cache = Space.of(heads), open_cache(cache_path)
    chosen = encoding_in(cache, encoding)
    runs, note = runs_of(cache, chosen, repeats, seeds, seed)
    main = Pipeline(WHOLE, cache_path, chosen, space, trials, metric)
    controls, notes = controls_of(main, cache, heads)
    if permute > 0:
        check_label_free(cache, chosen)
    for pipeline in (main, *controls):
        pipeline.check(cache, runs)
    notes = [note, *notes] if note else notes
    return EvaluationPlan(cache, main, tuple(controls), tuple(runs), permute, tuple(notes))


def evaluate(
    plan: EvaluationPlan, folder: Path, *, jobs: int = 1, progress: Progress | None = None
) -> Evaluation:
    """Carry a plan out; given again after a kill, it goes on at the single trial.

    Args:
        plan: of `plan_evaluation`.
        folder: where searches and finished folds are kept.
        jobs: processes that score trials.
        progress: told of every trial.

    Raises:
        InputError, CacheError, StudyError: as `nested`.
    """
    runs = plan.runs
    with workers(jobs) as pool, open_ledger(folder / LEDGER) as ledger:
        engine = Engine(plan.cache, folder, pool, ledger, progress or Silent())
        main = engine.run(plan.main, runs)
        selected = engine.selected(plan.main, runs[0].seed)
        on_one_scale = engine.on_one_scale(plan.main, selected, runs[0].seed)
        others = tuple(engine.run(control, runs) for control in plan.controls)
        permutation = permute(engine, plan.main, main, runs[0], plan.permute) if plan.permute > 0 else None
    assessment = assess(
        main, others, plan.cache.patients, SelectedModels.of(selected, on_one_scale), notes=plan.notes
    )
    if permutation is not None:
        assessment = assessment.with_table("permutation", _table(permutation), _sentence(permutation))
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
