"""Nested cross-validation: a whole search inside every outer fold, and the selected model on the fold.

Nothing of an outer fold reaches the search inside it: its patients have no label there, and every encoding is blind to
the fold as well as to the inner one. Inner folds are the repeat's other folds.
"""

import contextlib
import json
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..cache.reader import Cache, open_cache
from ..estimates.persons import repeating
from ..estimates.scores import ClassWeights
from ..heads.base import FitCache
from ..progress import Progress, Silent
from ..scoring.failures import in_words
from ..scoring.plan import ScoringPlan, labels_of
from ..scoring.score import inner_probabilities
from ..scoring.scored import ScoredPatients, feature_digests
from ..storage.addresses import local_place
from ..storage.journal import Ledger, open_ledger
from ..storage.json_arrays import pack, unpack
from ..studies.average import Average
from ..studies.continuing import WHOLE_CACHE, other_order
from ..studies.load import load_study
from ..studies.search import Search, run_together
from ..studies.space import Space, build_head
from ..studies.study import Tuning, check_arguments, encoding_in
from ..studies.summary import StudySummary
from ..studies.who_scores import workers
from ..studies.workers import Workers
from .outer_fold import damaged, read_fold, refitted
from .pipeline import Pipeline, Run, folds_of, runs_of
from .result import Nested, NestedFold

__all__ = ["LEDGER", "Engine", "nested"]

LEDGER = "folds.jsonl"  # in the folder of the searches: the finished outer folds
_ORDER = "order"  # in the ledger: the labelled patients' IDs in the order that all of it is kept in
_RULES = "3"  # changes whenever a finished fold would come out otherwise within a version

_GOES_ON = (
    "{cache} changed since these searches were begun, but nothing that their scores depend on: the trials stay valid, "
    "and the evaluation goes on."
)


def nested(
    cache_path: Path,
    folder: Path,
    *,
    name: str = "image + clinical",
    encoding: str | None = None,
    inputs: Sequence[str] = (),
    heads: Sequence[str] = (),
    trials: int = 50,
    repeats: int = 1,
    seeds: int = 1,
    seed: int = 0,
    metric: str = "balanced_accuracy",
    class_weights: ClassWeights = None,
    jobs: int = 1,
    executor: Executor | None = None,
    permute_seed: int | None = None,
    missing_indicators: bool = False,
    progress: Progress | None = None,
) -> Nested:
    """Score a pipeline by nested cross-validation.

    Given again after a kill, it goes on at the single trial of the inner searches.

    Args:
        cache_path: a cache that `extract` or `save_cache` made.
        folder: where the searches are kept, one study a fold, and the finished folds.
        name: what reports call the pipeline.
        encoding: an encoder family; the cache's default one if None.
        inputs, heads, trials, metric, class_weights, jobs, executor: as of `studies.tune`, for every search.
        repeats: of the folds. Encoders that were trained on the first one give more seeds instead.
        seeds: searches with different seeds for each repeat.
        seed: the first one, ≥ 0.
        permute_seed: shuffles the labels before everything, folds are made for them; a control experiment.
        missing_indicators: as of `studies.tune`.
        progress: told of every trial.

    Raises:
        InputError: a bad argument, folds that leave one class or no inner folds, or shuffled labels below encoders
            that were trained on the true ones.
        CacheError: no usable cache or no such encoder family.
        LeakageError: encoders were trained per fold but not per two folds (`extract --finetune --nested`).
        StudyError: a study was made from something else, is in use, or cannot be written.
    """
    check_arguments(trials, metric, class_weights, seed, "tpe", jobs)
    space = Space.of(heads, inputs, missing_indicators=missing_indicators)
    cache = open_cache(cache_path)
    chosen = encoding_in(cache, encoding)
    pipeline = Pipeline(name, cache_path, chosen, space, trials, metric, class_weights, permute_seed)
    runs, note = runs_of(cache, chosen, repeats, seeds, seed)
    pipeline.check(cache, runs)
    if note and progress is not None:
        progress.note(note)
    with workers(jobs, executor=executor) as pool, open_ledger(folder / LEDGER) as ledger:
        return Engine(cache, folder, pool, ledger, progress or Silent()).run(pipeline, runs)


@dataclass(frozen=True)
class Engine:
    """What the pipelines of one cache are scored with.

    Attributes:
        cache: their cache.
        folder: where their searches are kept.
        pool: who scores trials; processes stay over all searches.
        ledger: the finished outer folds.
        progress: told of every trial.
        noted: what the user was told already.
    """

    cache: Cache
    folder: Path
    pool: Workers
    ledger: Ledger
    progress: Progress
    noted: set[str] = field(default_factory=set)

    def run(self, pipeline: Pipeline, runs: Sequence[Run]) -> Nested:
        """All outer folds of all runs.

        Raises:
            InputError, CacheError, LeakageError, StudyError: as `nested`.
        """
        pipeline = self._in_order(pipeline)
        view = pipeline.view(self.cache)
        labels = labels_of(view)
        labelled = np.flatnonzero(labels >= 0)
        found = [fold for run in runs for fold in self._folds(pipeline, view, run)]
        return Nested(
            name=pipeline.name,
            encoding=pipeline.encoder_family,
            inputs=pipeline.space.inputs,
            metric=pipeline.metric,
            ids=tuple(str(i) for i in view.patients["id"].iloc[labelled]),
            y=labels[labelled],
            folds_of_runs=tuple(found),
            groups=repeating(view.groups[labelled]),
        )

    def finish(self, pipeline: Pipeline, run: Run, folds: Collection[int]) -> None:
        """Some outer folds of a run, into the ledger.

        Raises:
            InputError, CacheError, LeakageError, StudyError: as `nested`.
        """
        pipeline = self._in_order(pipeline)
        self._finish(pipeline, pipeline.view(self.cache), run, folds)

    def finished(self, pipeline: Pipeline, run: Run) -> list[int]:
        """Outer folds of a run that are finished."""
        pipeline = self._in_order(pipeline)
        view = pipeline.view(self.cache)
        keys = {
            fold: _key(pipeline.search(self.folder, run, fold), view, pipeline.trials)
            for fold in folds_of(view, run.repeat)
        }
        return [fold for fold, key in keys.items() if self.ledger.get(key) is not None]

    def has_on_one_scale(self, pipeline: Pipeline, seed: int) -> bool:
        """Whether `selected` and `on_one_scale` are finished."""
        pipeline = self._in_order(pipeline)
        key = _key(pipeline.selected(self.folder, seed), pipeline.view(self.cache), pipeline.trials)
        return self.ledger.get(key) is not None

    def selected(self, pipeline: Pipeline, seed: int) -> StudySummary:
        """The plain search on all folds of the first repeat.

        Raises:
            InputError, CacheError, LeakageError, StudyError: as `tune`.
        """
        pipeline = self._in_order(pipeline)
        tuning = pipeline.selected(self.folder, seed)
        self._search([tuning], pipeline.view(self.cache), pipeline.trials, f"{pipeline.name}, all folds")
        return load_study(tuning.path, pipeline.trials)

    def on_one_scale(self, pipeline: Pipeline, study: StudySummary, seed: int) -> Nested:
        """What `selected` selected, its folds' predictions as those of outer folds: with inner ones beside them.

        Each fold's are by the selected head from models without the fold and one other, as in nested cross-validation,
        so that `Nested.scores` brings both to one scale in the same way. Its scores stay those of a selected head.

        Raises:
            InputError, CacheError, LeakageError, StudyError: as `tune`.
        """
        pipeline = self._in_order(pipeline)
        view, chosen, y = pipeline.view(self.cache), study.selected, study.best.y
        tuning = pipeline.selected(self.folder, seed)
        key = _key(tuning, view, pipeline.trials)
        plan = ScoringPlan.of(view, pipeline.encoder_family, 1)
        if self.ledger.get(key) is None:
            inner = _inner_of(chosen, plan)
            packed = [None if one is None else pack(one[plan.labelled]) for one in inner]
            self.ledger.add(key, {"of": self._of(tuning), "inner": packed})
        entry = self.ledger.get(key) or {}
        nothing = np.full(len(plan.labelled), np.nan)
        try:
            found = [nothing if one is None else unpack(one) for one in entry["inner"]]
        except (KeyError, ValueError, TypeError) as error:
            raise damaged(self.ledger, "of the selected head", error) from error
        fold_of = study.best.folds[:, 0]
        folds = tuple(
            NestedFold(
                run=0,
                repeat=0,
                seed=seed,
                fold=fold.fold,
                rows=np.flatnonzero(fold_of == fold.fold),
                probabilities=chosen.probabilities[fold_of == fold.fold, 0],
                threshold=float(chosen.fold_thresholds[0, number]),
                inner=found[number],
                members=tuple((trial.params, weight) for trial, weight in chosen.members),
                tuned=chosen.scores,
                n_trials=study.n_trials,
                seconds=study.seconds,
            )
            for number, fold in enumerate(plan.scored)
        )
        inputs = pipeline.space.inputs
        groups = repeating(view.groups[plan.labelled])
        return Nested(
            pipeline.name, pipeline.encoder_family, inputs, pipeline.metric, study.ids, y, folds, groups
        )

    def _in_order(self, pipeline: Pipeline) -> Pipeline:
        """The pipeline on the patients in the order that the searches and the ledger keep them in."""
        kept = self.ledger.get(_ORDER)
        if kept is None:
            kept = {"ids": list(self.cache.ids[self.cache.labelled])}
            self.ledger.add(_ORDER, kept)
        return replace(pipeline, order=other_order(kept["ids"], self.cache))

    def _of(self, tuning: Tuning) -> str:
        """A search's file, in the folder of all of them."""
        return str(local_place(tuning.path).relative_to(self.folder))

    def _folds(self, pipeline: Pipeline, view: Cache, run: Run) -> list[NestedFold]:
        keys = self._finish(pipeline, view, run, folds_of(view, run.repeat))
        return [read_fold(self.ledger, key, view, run, fold) for fold, key in keys.items()]

    def _finish(self, pipeline: Pipeline, view: Cache, run: Run, folds: Collection[int]) -> dict[int, str]:
        """Finish some folds of a run; their keys in the ledger."""
        tunings = {fold: pipeline.search(self.folder, run, fold) for fold in folds}
        keys = {fold: _key(tuning, view, pipeline.trials) for fold, tuning in tunings.items()}
        missing = [fold for fold, key in keys.items() if self.ledger.get(key) is None]
        if missing:
            of_run = f", run {run.number + 1}" if run.number else ""
            self._search([tunings[k] for k in missing], view, pipeline.trials, pipeline.name + of_run)
            fit_cache = FitCache()
            for fold in missing:
                entry = refitted(view, pipeline, run, fold, tunings[fold].path, fit_cache)
                self.ledger.add(keys[fold], {"of": self._of(tunings[fold]), **entry})
        return keys

    def _search(self, tunings: Sequence[Tuning], view: Cache, trials: int, what: str) -> None:
        """The searches, side by side, each until it has `trials` finished trials."""
        with contextlib.ExitStack() as stack:
            searches: list[Search] = [stack.enter_context(t.search(view)) for t in tunings]
            self._note(sentence for search in searches for sentence in search.left_out.values())
            if any(search.note for search in searches):
                self._note([_GOES_ON.format(cache=view.path)])
            done = sum(min(search.n_done, trials) for search in searches)
            self.progress.start(what, trials * len(searches), "trial", done)
            try:
                run_together(searches, trials, self.pool, self.progress)
            finally:
                self.progress.stop()
            failed = [one for search in searches for one in search.failed(trials)]
            for line in in_words(failed, trials * len(searches)):
                self.progress.note(f"{what}: {line}" if not line.startswith(" ") else line)

    def _note(self, sentences: Iterable[str]) -> None:
        """Tell the user each sentence once, however many searches it is true of."""
        for sentence in sentences:
            if sentence not in self.noted:
                self.noted.add(sentence)
                self.progress.note(sentence)


def _key(tuning: Tuning, view: Cache, trials: int) -> str:
    """Hex digest of everything that a finished fold depends on: of the cohort, the labelled patients."""
    patients = ScoredPatients.of(view)
    features = feature_digests(view, tuning.spec.encoder_family, patients.ids)
    provenance = {key: value for key, value in tuning.provenance(view).items() if key not in WHOLE_CACHE}
    scored = [patients.digest(), features]
    state = json.dumps([_RULES, trials, provenance, scored], sort_keys=True)
    return blake2b(state.encode(), digest_size=16).hexdigest()


def _inner_of(chosen: Average, plan: ScoringPlan) -> list[NDArray[np.float64] | None]:
    """Per fold of the plan, the average's probabilities of its training patients by models without fold and patient."""
    fit_cache = FitCache()
    each = [inner_probabilities(plan, build_head(trial.params), fit_cache) for trial, _ in chosen.members]
    weights = np.array([weight for _, weight in chosen.members])
    found: list[NDArray[np.float64] | None] = []
    for of_fold in zip(*each, strict=True):
        known = [one for one in of_fold if one is not None]
        found.append(np.tensordot(weights, np.stack(known), axes=1) if len(known) == len(weights) else None)
    return found
