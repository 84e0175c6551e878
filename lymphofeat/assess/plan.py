"""What an evaluation will do, checked before work begins: pipeline, control experiments, runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..cache.reader import Cache, open_cache
from ..cache.split import JOINT
from ..nested.control_experiments import WHOLE, controls_of
from ..nested.pipeline import Pipeline, Run, check_label_free, folds_of, runs_of
from ..parallel import best_jobs
from ..scoring.scored import ScoredPatients
from ..storage.paths import AnyPath
from ..studies.selection import DEFAULT
from ..studies.space import Space
from ..studies.study import check_arguments, encoding_in

__all__ = ["EvaluationPlan", "plan_evaluation"]


_PROCESS_BYTES = 1 << 30  # of a process with torch and the heads, besides what they make of the features


@dataclass(frozen=True)
class EvaluationPlan:
    """What `evaluate` will do.

    Attributes:
        cache: the cache.
        main: the pipeline that is evaluated.
        controls: control experiments beside it.
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

    def best_jobs(self, n_trials: int) -> int:
        """Processes that suit this machine: one per core as far as the memory goes, or 1 where there is little to do.

        The results are the same for any number.

        Args:
            n_trials: to be scored.
        """
        names = self.main.encoder_family.split(JOINT)
        members = [member for name in names for member in self.cache.members(name)]
        features = max(4 * self.cache.tables.n_images * member.dim for member in members)
        return best_jobs(n_trials, _PROCESS_BYTES + 2 * len(names) * features)

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
