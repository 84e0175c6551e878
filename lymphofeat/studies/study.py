"""Tuning: many heads scored on the same folds, each kept in the study as soon as it is known."""

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..cache.reader import Cache, open_cache
from ..cache.roles import default_encoding
from ..cache.split import JOINT
from ..errors import InputError, StudyError
from ..estimates.scores import ClassWeights
from ..metric import METRICS, find_metric
from ..progress import Progress, Silent
from ..scoring.plan import ScoringPlan
from ..scoring.scored import FEATURES, ScoredPatients, feature_digests
from ..storage.addresses import StudyPlace, local_place, study_place
from ..storage.paths import AnyPath
from ..wording import did_you_mean
from .continuing import (
    INDICATORS,
    NESTED,
    check_provenance,
    new_study_command,
    order_of,
    patients_of,
    provenance_of_cache,
)
from .database import quiet_optuna
from .evaluate import StudySpec
from .load import load_study
from .sampling import SAMPLERS, Proposals
from .search import Search
from .space import LEFT_OUT, Space
from .store import Store, create_store, open_store, owned, study_exists
from .summary import StudySummary
from .who_scores import workers

__all__ = ["Tuning", "check_arguments", "encoding_in", "tune"]


def tune(
    cache: AnyPath,
    study: AnyPath,
    *,
    n_trials: int = 200,
    metric: str = "balanced_accuracy",
    class_weights: ClassWeights = None,
    seed: int = 0,
    repeats: int = 1,
    encoding: str | None = None,
    heads: Sequence[str] = (),
    inputs: Sequence[str] = (),
    sampler: str = "tpe",
    prune: bool = True,
    missing_indicators: bool = False,
    jobs: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> StudySummary:
    """Search heads until the study holds the trials 0 to `n_trials` − 1.

    It begins with the points that the heads' files call sensible, then the sampler draws. Proposals are made in
    batches of a fixed size from the finished trials before the batch (see `sampling`), so that a study that was
    killed and gone on with holds the same trials as an unbroken one, whatever the number of jobs. It also goes on with
    a cache that changed, as long as nothing did that its scores depend on: of the labelled patients, labels, folds,
    clinical values and features.

    The file is Optuna's own: `optuna.load_study(study_name="lymphofeat", storage="sqlite:///studies/study.db")` opens
    it, for Optuna's plots and its dashboard.

    Args:
        cache: a cache that `extract` or `save_cache` made.
        study: the study's file, or its address in PostgreSQL (docs/postgresql.md); made if it is not there, gone on
            with if it is.
        n_trials: finished trials in all, ≥ 1, those of earlier runs included; a pruned trial is finished.
        metric: one of `metric.METRICS`.
        class_weights: of a reactive and of a malignant patient, in balanced accuracy and in choosing thresholds; see
            `scores.balanced_accuracy_score`.
        seed: ≥ 0, for the sampler.
        repeats: how many of the cache's repeats of folds each score averages over.
        encoding: the encoder family to use. Several with commas between: each head is given one of them, two or all, as
            the search finds best. None: the one computed last; if that saw no labels and is no control experiment, all
            such ones of the cache.
        heads: head types, by the names of `heads.registry.head_types`; all if empty.
        inputs: "clinical", "image", "both"; all if empty.
        sampler: "tpe" (the multivariate, grouped tree-structured Parzen estimator: Falkner et al., BOHB, ICML 2018;
            Optuna), "random", or "grid" (a coarse grid in random order, each point once).
        prune: whether heads that are clearly worse on the outer folds are stopped, see `pruning`.
        missing_indicators: whether heads may use that a clinical value is missing; see docs/heads.md.
        jobs: processes that score trials, ≥ 1. With more than one, a script that calls this must be importable
            (`if __name__ == "__main__":`), as for all of Python's multiprocessing.
        executor: scores the trials instead, with jobs=1: any `concurrent.futures.Executor`, such as a Dask client's
            `get_executor()`. Its workers read the cache by its path. The trials do not depend on it, and it is not
            shut down. See docs/cluster.md.
        progress: told of every trial.

    Raises:
        InputError: a bad argument, or a cohort that cannot be cross-validated.
        CacheError: no usable cache or no such encoder family.
        LeakageError: a fold has no encoding that is blind to it.
        StudyError: the study was made from something else, is in use, or cannot be written; workers or the executor
            ended.

    Example:
        >>> summary = tune("cache/features.h5", "studies/short.db", n_trials=2, heads=["logistic"])
        >>> list(summary.trials["head_type"])
        ['logistic', 'logistic']
    """
    check_arguments(n_trials, metric, class_weights, seed, sampler, jobs)
    space = Space.of(heads, inputs, missing_indicators=missing_indicators)
    opened = open_cache(cache)
    family = encoding_in(opened, encoding)
    place = study_place(study)
    order = order_of(place, opened)
    spec = StudySpec(opened.path, family, repeats, metric, class_weights, order=order)
    view = spec.view(opened)
    tuning = Tuning(place, spec, space, seed, sampler, prune)
    told = progress or Silent()
    with tuning.search(view) as search, workers(jobs, {spec: spec.plan(view)}, executor) as scorers:
        for sentence in (search.note, *search.left_out.values()):
            if sentence:
                told.note(sentence)
        search.run(n_trials, scorers, told)
    return load_study(place)


@dataclass(frozen=True)
class Tuning:
    """A search that is kept in a study: everything that its trials depend on, their number apart.

    Attributes:
        path: the study's file, or its address.
        spec: what its trials have in common.
        space: what is drawn from.
        seed, sampler, prune: as of `tune`.
        evaluation: of a search inside an evaluation, where that keeps its searches; None: it is one of `tune`.
    """

    path: StudyPlace
    spec: StudySpec
    space: Space
    seed: int = 0
    sampler: str = "tpe"
    prune: bool = True
    evaluation: Path | None = None

    def provenance(self, view: Cache) -> dict[str, Any]:
        """What the file must agree on with whoever goes on with it.

        Args:
            view: the cache as the spec sees it.
        """
        spec, weights = self.spec, self.spec.class_weights
        without = None if spec.without is None else list(spec.without)
        return provenance_of_cache(view, spec.encoder_family, spec.repeats) | {
            "without": without,
            "shuffle": spec.shuffle,
            "metric": spec.metric,
            "class_weights": None if weights is None else list(weights),
            "heads": list(self.space.head_types),
            "inputs": list(self.space.inputs),
            "missing_indicators": INDICATORS[self.space.missing_indicators],
            "space": self.space.on(spec.encoder_family, view.clinical_values).digest,
            "takes": self.space.takes,
            "lymphofeat": __version__,
            "seed": self.seed,
            "sampler": self.sampler,
            "prune": "--prune" if self.prune else "--no-prune",
            "cache": os.path.relpath(view.path, local_place(self.path).parent),
        }

    @contextlib.contextmanager
    def search(self, view: Cache) -> Iterator[Search]:
        """The search on the file, which is made if need be and held until the block ends.

        Args:
            view: the cache as the spec sees it.

        Raises:
            InputError, CacheError, LeakageError: as `StudySpec.plan`; nothing was written.
            StudyError: the study was made from something else, is in use, or cannot be written.
        """
        provenance, direction = self.provenance(view), METRICS[self.spec.metric].direction
        space = self.space.on(self.spec.encoder_family, view.clinical_values)
        plan = None if study_exists(self.path) else self.spec.plan(view)
        left_out = {} if plan is None else self._left_out(plan)
        with owned(self.path) as database, quiet_optuna():
            if plan is not None and not database.exists():
                also = {LEFT_OUT: left_out} if left_out else {}
                create_store(database, provenance | also, _patients(view, self.spec), direction)
            with open_store(database) as store:
                note = check_provenance(store, provenance, view, self._new_one(view))
                self._check_order(store, view)
                self._complete(store, view)
                # As the study was begun: a sampler cannot be told of head types that are not in its space.
                left_out = dict(store.provenance.get(LEFT_OUT, {}))
                proposals = Proposals(space.without(left_out), direction, self.sampler, self.seed)
                yield Search(store, self.spec, proposals, prune=self.prune, left_out=left_out, note=note)

    def _new_one(self, view: Cache) -> str:
        """The command that begins anew where this search does not go on; "" for the one of `tune`."""
        folder = self.evaluation
        if folder is None or not folder.name.endswith(NESTED):
            return ""
        study = folder.with_name(f"{folder.name.removesuffix(NESTED)}.db")
        return new_study_command("evaluate", study, view.path)

    def _check_order(self, store: Store, view: Cache) -> None:
        """Refuse a cache whose patients are in another order than those of the trials, which are compared in order."""
        if ScoredPatients.of(view, self.spec.repeats, self.spec.without).ids != patients_of(store).ids:
            raise StudyError(
                f"{store.path} keeps its patients in another order than {view.path}, and the list of the order beside "
                "it is lost; sort the patients' table as it was, or begin a new study with --study NAME."
            )

    def _complete(self, store: Store, view: Cache) -> None:
        """Let a study of an earlier version keep its patients as this one does, now that it is known who they are."""
        if not patients_of(store).is_whole or FEATURES not in store.patients:
            store.keep_patients(_patients(view, self.spec))

    def _left_out(self, plan: ScoringPlan) -> dict[str, str]:
        trainings = [(plan.clinical.iloc[s.train], plan.labels[s.train]) for s in plan.splits]
        found = self.space.unfit(trainings)
        if len(found) == len(self.space.head_types):
            raise InputError("\n".join(["No heads are left to search.", *found.values()]))
        return found


def _patients(view: Cache, spec: StudySpec) -> dict[str, Any]:
    """What a study keeps of the patients that it is scored on."""
    patients = ScoredPatients.of(view, spec.repeats, spec.without)
    return patients.to_json() | {FEATURES: feature_digests(view, spec.encoder_family, patients.ids)}


def check_arguments(
    trials: int, metric: str, class_weights: ClassWeights, seed: int, sampler: str, jobs: int
) -> None:
    """Refuse arguments of `tune` that no search can be made with.

    Raises:
        InputError: one of them is outside its range, or not one of the names there are.
    """
    find_metric(metric)
    if trials < 1:
        raise InputError(f"A study needs at least 1 trial, not {trials}.")
    if seed < 0:
        raise InputError(f"The seed must be 0 or above, not {seed}.")
    if class_weights is not None and not (
        len(class_weights) == 2 and all(math.isfinite(w) and w > 0 for w in class_weights)
    ):
        raise InputError(f"Class weights are two numbers above 0, not {class_weights!r}.")
    if sampler not in SAMPLERS:
        raise InputError(f"There is no sampler {sampler!r}; choose one of {', '.join(SAMPLERS)}.")
    if jobs < 1:
        raise InputError(f"There must be at least 1 job, not {jobs}.")


def encoding_in(cache: Cache, encoder_family: str | None) -> str:
    """The encoder family of that name; if None, what `default_encoding` says.

    Several names with `JOINT` between are put in order, since it means nothing.

    Raises:
        StaleCacheError: its encoders were trained on clinical values that were corrected since.
        InputError: the cache holds none of that name; the nearest one is suggested.
    """
    encoder_family = default_encoding(cache) if encoder_family is None else encoder_family
    if JOINT in encoder_family:
        names = [name.strip() for name in encoder_family.split(JOINT)]
        if len(set(names)) < len(names):
            raise InputError(f"The encodings {encoder_family} are not different ones; name each once.")
        return JOINT.join(sorted(encoding_in(cache, name) for name in names))
    cache.check_not_stale(encoder_family)
    if encoder_family not in cache.encoder_families:
        hint = did_you_mean(encoder_family, cache.encoder_families)
        raise InputError(f"{cache.path} holds no encoder family {encoder_family!r}{hint}.")
    return encoder_family
