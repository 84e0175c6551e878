"""Tuning: many heads scored on the same folds, each kept in the study as soon as it is known."""

import json
import warnings
from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial

from .. import __version__
from ..cache.reader import Cache, open_cache
from ..errors import InputError, StudyError
from ..heads.base import Memo
from ..progress import Progress, Silent
from .objective import DIRECTIONS, score_plan
from .plan import ScoringPlan
from .record import scores_to_attrs
from .space import FIRST_TRIALS, SPACE, build_head, suggest
from .store import Store, create_store, open_store, owned
from .summary import StudySummary, load_study

__all__ = ["check_made_from", "made_from_cache", "tune"]

_STARTUP_TRIALS = 20  # drawn at random before the sampler learns, the first ones of the space among them

# What a study must agree on with the call that goes on with it: its word in a sentence, and the way out.
_IDENTITY = {
    "fingerprint": ("cohort, or other folds of it", "name the cache that it was made from"),
    "family": ("encoding", "give --encoding {old}"),
    "encodings": ("set of features", "name the cache that it was made from"),
    "metric": ("metric", "give --metric {old}"),
    "seed": ("seed", "give --seed {old}"),
    "repeats": ("number of repeats", "give --repeats {old}"),
    "space": ("search space", "use the lymphofeat version that made it, {version}"),
}


def tune(
    cache_path: Path,
    study_path: Path,
    *,
    trials: int = 200,
    metric: str = "balanced_accuracy",
    seed: int = 0,
    repeats: int = 1,
    family: str | None = None,
    progress: Progress | None = None,
) -> StudySummary:
    """Search heads until the study holds `trials` finished trials in all.

    The multivariate, grouped tree-structured Parzen estimator (Falkner et al., BOHB, ICML 2018; Optuna) is
    seeded for each trial from `seed` and the trial's number, and looks at finished trials only. So a study that was
    killed and gone on with holds the same trials as an unbroken one.

    Args:
        cache_path: a cache that `extract` or `save_cache` made.
        study_path: the study's file, made if it is not there, gone on with if it is.
        trials: finished trials in all, ≥ 1, those of earlier runs included.
        metric: "balanced_accuracy", "auc" (both maximised) or "log_loss" (minimised).
        seed: ≥ 0, for the sampler.
        repeats: how many of the cache's drawings of folds each score averages over.
        family: the encodings to use; the cache's default family if None.
        progress: told of every trial.

    Raises:
        InputError: a bad argument, or a cohort that cannot be cross-validated.
        CacheError: no usable cache or no such family.
        LeakageError: a fold has no encoding that is blind to it.
        StudyError: the study was made from something else, is in use, or cannot be written.
    """
    _check_arguments(trials, metric, seed)
    cache = open_cache(cache_path)
    chosen = _family(cache, family)
    plan = ScoringPlan.of(cache, chosen, repeats)
    made_from = _made_from(cache, chosen, metric, seed, plan)
    with owned(study_path):
        if not study_path.exists():
            create_store(study_path, made_from, _patients(plan), DIRECTIONS[metric])
        with open_store(study_path) as store:
            check_made_from(store, made_from)
            _Search(store, plan, metric, seed).run(trials, progress or Silent())
    return load_study(study_path)


def check_made_from(store: Store, now: Mapping[str, Any]) -> None:
    """Compare what a study was made from with what is given now, key by key of `now`.

    Raises:
        StudyError: on the first difference, with the way out.
    """
    for key, (what, way) in _IDENTITY.items():
        if key in now and store.made_from.get(key) != now[key]:
            old, new = _shown(store.made_from.get(key)), _shown(now[key])
            way = way.format(old=old, version=store.made_from.get("lymphofeat"))
            raise StudyError(
                f"{store.path} was made with another {what} ({old}, now {new}); {way}, "
                "or begin a new study with --study NAME."
            )


def made_from_cache(cache: Cache, family: str, repeats: int) -> dict[str, Any]:
    """The part of a study's identity that its cache gives."""
    return {
        "fingerprint": cache.fingerprint,
        "family": family,
        "encodings": {e.name: e.digest for e in cache.members(family)},
        "repeats": repeats,
    }


def _made_from(cache: Cache, family: str, metric: str, seed: int, plan: ScoringPlan) -> dict[str, Any]:
    own = {"metric": metric, "seed": seed, "space": SPACE, "lymphofeat": __version__}
    return made_from_cache(cache, family, plan.repeats) | own


def _patients(plan: ScoringPlan) -> dict[str, Any]:
    return {
        "ids": [str(i) for i in plan.clinical["id"].iloc[plan.labelled]],
        "labels": plan.y.tolist(),
        "folds": plan.folds[plan.labelled].tolist(),
    }


class _Search:
    """The loop over trials: the sampler's study in memory, filled from the file and written through to it."""

    def __init__(self, store: Store, plan: ScoringPlan, metric: str, seed: int) -> None:
        self.store, self.plan, self.metric, self.seed = store, plan, metric, seed
        self.memo = Memo()
        self.seen: dict[str, tuple[int, dict[str, Any]]] = {}  # parameters → number, attributes
        self.sampling = optuna.create_study(direction=DIRECTIONS[metric])
        finished = store.finished()
        for number, trial in enumerate(finished):
            self.sampling.add_trial(
                create_trial(params=trial.params, distributions=trial.distributions, value=trial.value)
            )
            self._remember(number, trial)
        self.done = len(finished)

    def run(self, trials: int, progress: Progress) -> None:
        progress.start("tune", max(trials, self.done), "trial", self.done)
        try:
            while self.done < trials:
                self._one_more()
                progress.advance()
        finally:
            progress.stop()

    def _one_more(self) -> None:
        """Draw, score and keep a trial: a function of the seed and the finished trials alone."""
        started = datetime.now()
        self.sampling.sampler = _sampler(self.seed, self.done)
        if self.done < len(FIRST_TRIALS):
            self.sampling.enqueue_trial(FIRST_TRIALS[self.done])
        asked = self.sampling.ask()
        params = suggest(asked)
        try:
            attrs = self._attrs(params)
        except Exception as error:
            self.store.add(_trial(asked, started, state=TrialState.FAIL, user_attrs={"error": repr(error)}))
            raise
        value = float(attrs["values"][self.metric])
        trial = _trial(asked, started, value=value, user_attrs=attrs)
        self.store.add(trial)
        self.sampling.tell(asked, value)
        self._remember(self.done, trial)
        self.done += 1

    def _attrs(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The scores of a point; one that was scored before is not scored again."""
        if _key(params) in self.seen:
            number, attrs = self.seen[_key(params)]
            return attrs | {"same_as": number}
        return scores_to_attrs(score_plan(self.plan, build_head(params), self.memo))

    def _remember(self, number: int, trial: FrozenTrial) -> None:
        self.seen.setdefault(_key(trial.params), (number, trial.user_attrs))


def _sampler(seed: int, number: int) -> optuna.samplers.TPESampler:
    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ExperimentalWarning
        )  # `group` is the documented way for conditional spaces
        return optuna.samplers.TPESampler(
            seed=drawn, multivariate=True, group=True, n_startup_trials=_STARTUP_TRIALS, constant_liar=False
        )


def _trial(asked: optuna.Trial, started: datetime, **outcome: Any) -> FrozenTrial:
    trial = create_trial(params=asked.params, distributions=asked.distributions, **outcome)
    trial.datetime_start = started
    return trial


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(dict(params), sort_keys=True)


def _check_arguments(trials: int, metric: str, seed: int) -> None:
    if metric not in DIRECTIONS:
        raise InputError(f"There is no metric {metric!r}; choose one of {', '.join(DIRECTIONS)}.")
    if trials < 1:
        raise InputError(f"A study needs at least 1 trial, not {trials}.")
    if seed < 0:
        raise InputError(f"The seed must be 0 or above, not {seed}.")


def _family(cache: Cache, family: str | None) -> str:
    if family is None:
        return cache.default_family
    if family not in cache.families:
        near = get_close_matches(family, cache.families, n=1)
        raise InputError(
            f"{cache.path} holds no encoding family {family!r}; "
            + (f"did you mean {near[0]!r}?" if near else f"it holds {', '.join(cache.families)}.")
        )
    return family


def _shown(value: Any) -> str:
    """A value short enough for a sentence; digests lose their tails."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items())
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"
