"""Tuning: many heads scored on the same folds, each kept in the study as soon as it is known."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..cache.reader import Cache, open_cache
from ..cache.roles import default_encoding
from ..cache.split import JOINT
from ..cohort.clinical import person_numbers
from ..errors import InputError, StudyError
from ..estimates.persons import repeating
from ..estimates.scores import ClassWeights
from ..metric import METRICS, find_metric
from ..progress import Progress, Silent
from ..scoring.plan import ScoringPlan
from ..storage.paths import AnyPath
from ..wording import did_you_mean
from .evaluate import StudySpec
from .sampling import SAMPLERS, Proposals
from .search import Search
from .space import LEFT_OUT, Space
from .store import PERSONS, Store, create_store, open_store, owned, quiet_optuna
from .summary import StudySummary, load_study
from .workers import workers

__all__ = ["Tuning", "check_arguments", "check_provenance", "encoding_in", "provenance_of_cache", "tune"]

# What a study must agree on with the call that goes on with it: its word in a sentence, and the way out.
_IDENTITY = {
    "fingerprint": ("cohort, or other folds of it", "name the cache that it was made from"),
    "family": ("encoding", "give --encoding {old}"),
    "encodings": ("set of features", "name the cache that it was made from"),
    "metric": ("metric", "give --metric {old}"),
    "class_weights": ("pair of class weights", "give --class-weights {old}"),
    "seed": ("seed", "give --seed {old}"),
    "repeats": ("number of repeats", "give --repeats {old}"),
    "heads": ("choice of heads", "give --heads {old}"),
    "inputs": ("choice of inputs", "give --inputs {old}"),
    "sampler": ("sampler", "give --sampler {old}"),
    "without": ("outer fold left out", "leave out the same"),
    "shuffle": ("shuffling of the labels", "shuffle them alike"),
    "prune": ("pruning", "give {old}"),
    "missing_indicators": ("use of missing values", "give {old}"),
    "space": ("search space", "use the lymphofeat version that made it, {version}"),
}
# By whether heads may use that a value is missing, as the command line says it.
_INDICATORS = {True: "--missing-indicators", False: "--no-missing-indicators"}


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
    progress: Progress | None = None,
) -> StudySummary:
    """Search heads until the study holds the trials 0 to `n_trials` − 1.

    It begins with the points that the heads' files call sensible, then the sampler draws. Proposals are made in
    batches of a fixed size from the finished trials before the batch (see `sampling`), so that a study that was
    killed and gone on with holds the same trials as an unbroken one, whatever the number of jobs.

    The file is Optuna's own: `optuna.load_study(study_name="lymphofeat", storage="sqlite:///studies/study.db")` opens
    it, for Optuna's plots and its dashboard.

    Args:
        cache: a cache that `extract` or `save_cache` made.
        study: the study's file, made if it is not there, gone on with if it is.
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
        progress: told of every trial.

    Raises:
        InputError: a bad argument, or a cohort that cannot be cross-validated.
        CacheError: no usable cache or no such encoder family.
        LeakageError: a fold has no encoding that is blind to it.
        StudyError: the study was made from something else, is in use, or cannot be written.

    Example:
        >>> summary = tune("cache/features.h5", "studies/short.db", n_trials=2, heads=["logistic"])
        >>> list(summary.trials["head_type"])
        ['logistic', 'logistic']
    """
    check_arguments(n_trials, metric, class_weights, seed, sampler, jobs)
    space = Space.of(heads, inputs, missing_indicators=missing_indicators)
    view = open_cache(cache)
    spec = StudySpec(view.path, encoding_in(view, encoding), repeats, metric, class_weights)
    tuning = Tuning(Path(study), spec, space, seed, sampler, prune)
    told = progress or Silent()
    with tuning.search(view) as search, workers(jobs, {spec: spec.plan(view)}) as scorers:
        for sentence in search.left_out.values():
            told.note(sentence)
        search.run(n_trials, scorers, told)
    return load_study(study)


@dataclass(frozen=True)
class Tuning:
    """A search that is kept in a file: everything that its trials depend on, their number apart.

    Attributes:
        path: the study's file.
        spec: what its trials have in common.
        space: what is drawn from.
        seed, sampler, prune: as of `tune`.
    """

    path: Path
    spec: StudySpec
    space: Space
    seed: int = 0
    sampler: str = "tpe"
    prune: bool = True

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
            "missing_indicators": _INDICATORS[self.space.missing_indicators],
            "space": self.space.on(spec.encoder_family, view.clinical_values).digest,
            "takes": self.space.takes,
            "lymphofeat": __version__,
            "seed": self.seed,
            "sampler": self.sampler,
            "prune": "--prune" if self.prune else "--no-prune",
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
        plan = None if self.path.exists() else self.spec.plan(view)
        left_out = {} if plan is None else self._left_out(plan)
        with owned(self.path), quiet_optuna():
            if plan is not None and not self.path.exists():
                also = {LEFT_OUT: left_out} if left_out else {}
                create_store(self.path, provenance | also, _patients(plan), direction)
            with open_store(self.path) as store:
                check_provenance(store, provenance)
                _complete_persons(store, view)
                # As the study was begun: a sampler cannot be told of head types that are not in its space.
                left_out = dict(store.provenance.get(LEFT_OUT, {}))
                proposals = Proposals(space.without(left_out), direction, self.sampler, self.seed)
                yield Search(store, self.spec, proposals, prune=self.prune, left_out=left_out)

    def _left_out(self, plan: ScoringPlan) -> dict[str, str]:
        trainings = [(plan.clinical.iloc[s.train], plan.labels[s.train]) for s in plan.splits]
        found = self.space.unfit(trainings)
        if len(found) == len(self.space.head_types):
            raise InputError("\n".join(["No heads are left to search.", *found.values()]))
        return found


def check_provenance(store: Store, now: Mapping[str, Any]) -> None:
    """Compare what a study was made from with what is given now, key by key of `now`.

    Raises:
        StudyError: on the first difference, with the way out.
    """
    before = {"missing_indicators": _INDICATORS[True]} | store.provenance  # studies of earlier versions
    for key, (what, way) in _IDENTITY.items():
        if key in now and before.get(key) != now[key]:
            old, new = _shown(before.get(key)), _shown(now[key])
            way = way.format(old=old, version=store.provenance.get("lymphofeat"))
            raise StudyError(
                f"{store.path} was made with another {what} ({old}, now {new}); {way}, "
                "or begin a new study with --study NAME."
            )


def provenance_of_cache(cache: Cache, encoder_family: str, repeats: int) -> dict[str, Any]:
    """The part of a study's identity that its cache gives."""
    return {
        "fingerprint": cache.fingerprint,
        "family": encoder_family,
        "encodings": {e.name: e.digest for e in cache.members(encoder_family)},
        "repeats": repeats,
        "without": None,
        "shuffle": None,
    }


def _complete_persons(store: Store, view: Cache) -> None:
    groups = repeating(view.groups[view.ids.get_indexer(store.patients["ids"])])
    if groups is not None and PERSONS not in store.patients:
        store.add_persons(groups.tolist())


def _patients(plan: ScoringPlan) -> dict[str, Any]:
    groups = repeating(person_numbers(plan.clinical)[plan.labelled])
    return ({} if groups is None else {PERSONS: groups.tolist()}) | {
        "ids": [plan.ids[row] for row in plan.labelled],
        "labels": plan.y.tolist(),
        "folds": plan.folds[plan.labelled].tolist(),
    }


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


def _shown(value: Any) -> str:
    """A value short enough for a sentence, as the command line takes it; digests lose their tails."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ",".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"
