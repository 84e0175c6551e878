"""Which points come next: proposals from the finished trials, the same whatever happened in between.

Proposals are made in batches of fixed size. All of a batch come from the trials finished before it, the seed and the
batch's place, and from each other (Optuna's constant liar spreads them). So they depend neither on how many processes
score them nor on which of them was killed.
"""

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from ..metric import Direction
from .grid import GridWalk
from .space import HEAD_TYPE, Space

__all__ = ["BATCH", "SAMPLERS", "Proposal", "Proposals", "point_key"]

SAMPLERS = ("tpe", "random", "grid")
BATCH = 8
_STARTUP_TRIALS = 10  # drawn at random after the first ones of the space, before the sampler learns
_REDRAWS = 5  # for a point that was proposed before


@dataclass(frozen=True)
class Proposal:
    """A point to score.

    Attributes:
        number: of its trial, from 0.
        params, distributions: as of an Optuna trial.
    """

    number: int
    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]

    @property
    def key(self) -> str:
        """Equal for equal points."""
        return point_key(self.params)


def point_key(params: Mapping[str, Any]) -> str:
    """A text that is equal for equal points."""
    return json.dumps(dict(params), sort_keys=True)


class Proposals:
    """The search's memory: an Optuna study without a file, told of finished trials in the order of their numbers.

    Args:
        space: what to draw from.
        direction: of the study's metric.
        sampler: one of `SAMPLERS`.
        seed: ≥ 0.
    """

    def __init__(self, space: Space, direction: Direction, sampler: str, seed: int) -> None:
        self._space, self._seed = space, seed
        self._first = space.default_params()
        self._study = optuna.create_study(direction=direction, sampler=RandomSampler(seed=0))
        startup = len(self._first) + _STARTUP_TRIALS
        self._draw: _Draw = _Grid(space) if sampler == "grid" else _Sampled(space, sampler, startup)
        self._known: set[str] = set()
        self._asked: list[optuna.Trial] = []
        self._told = 0

    def tell(self, trial: FrozenTrial) -> None:
        """Take a finished (complete, pruned or failed) trial in; its number is the number of trials told before.

        Optuna's samplers do not look at failed trials, and would go on where nothing can be fitted. So a failed one is
        handed on as stopped before its first fold, which is worse than all others.
        """
        state = TrialState.PRUNED if trial.state == TrialState.FAIL else trial.state
        self._study.add_trial(
            create_trial(
                state=state, value=trial.value, params=trial.params, distributions=trial.distributions,
                intermediate_values=trial.intermediate_values,
            )
        )  # fmt: skip
        self._known.add(point_key(trial.params))
        self._draw.exclude(trial.params)
        self._told += 1

    def next_batch(self) -> list[Proposal]:
        """The next `BATCH` proposals; fewer, or none, when the grid has no more points.

        Call it when the number of trials told is a multiple of `BATCH`, and once for each such number.
        """
        for asked in self._asked:  # whatever came of them was told as trials of their own
            self._study.tell(asked, state=TrialState.FAIL)
        self._asked.clear()
        rng = np.random.default_rng([self._seed, self._told])
        self._study.sampler = self._draw.sampler(rng)
        known = set(self._known)
        proposals: list[Proposal] = []
        for number in range(self._told, self._told + BATCH):
            proposal = self._propose(number, rng, known)
            if proposal is None:
                break
            known.add(proposal.key)
            proposals.append(proposal)
        return proposals

    def _propose(self, number: int, rng: np.random.Generator, known: set[str]) -> Proposal | None:
        if number < len(self._first):
            return self._ask(number, self._first[number])
        proposal = None
        for _ in range(_REDRAWS):
            point = self._draw.point(rng)
            if point is None:
                return None
            proposal = self._ask(number, point)
            if proposal.key not in known:
                break
        return proposal

    def _ask(self, number: int, point: Mapping[str, Any]) -> Proposal:
        """Ask the study, which draws what `point` does not hold."""
        if point:
            self._study.enqueue_trial(dict(point))
        asked = self._study.ask()
        self._space.suggest(asked)
        self._asked.append(asked)
        return Proposal(number, asked.params, asked.distributions)


class _Draw(ABC):
    """A way to choose points."""

    @abstractmethod
    def sampler(self, rng: np.random.Generator) -> BaseSampler:
        """Of the next batch."""

    @abstractmethod
    def point(self, rng: np.random.Generator) -> dict[str, Any] | None:
        """What is known of the next point before the sampler is asked; None when there is none."""

    @abstractmethod
    def exclude(self, params: Mapping[str, Any]) -> None:
        """A point that was scored."""


class _Sampled(_Draw):
    """Points from one of Optuna's samplers."""

    def __init__(self, space: Space, kind: str, startup: int) -> None:
        self._kind, self._startup = kind, startup

    def sampler(self, rng: np.random.Generator) -> BaseSampler:
        seed = int(rng.integers(2**32))
        if self._kind == "random":
            return RandomSampler(seed=seed)
        with warnings.catch_warnings():
            # `group` is the documented way for conditional spaces.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return _HeadTypeTPE(
                seed=seed, multivariate=True, group=True, n_startup_trials=self._startup, constant_liar=True
            )

    def point(self, rng: np.random.Generator) -> dict[str, Any] | None:
        return {}

    def exclude(self, params: Mapping[str, Any]) -> None: ...


class _Grid(_Draw):
    """Points of a coarse grid, each once."""

    def __init__(self, space: Space) -> None:
        self._walk = GridWalk(space.suggest)

    def sampler(self, rng: np.random.Generator) -> BaseSampler:
        return RandomSampler(seed=0)  # never asked: the grid's points are whole

    def point(self, rng: np.random.Generator) -> dict[str, Any] | None:
        return self._walk.draw(rng)

    def exclude(self, params: Mapping[str, Any]) -> None:
        self._walk.take(params)


class _HeadTypeTPE(TPESampler):
    """Optuna's grouped estimator for one batch, with less to do.

    Optuna's samples every head type's groups for each trial; here the head type is sampled first, then the groups of
    that head type only. And the groups are found once, since no trial ends within a batch.
    """

    _groups: dict[str, BaseDistribution] | None = None

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As Optuna's, kept."""
        if self._groups is None:
            self._groups = super().infer_relative_search_space(study, trial)
        return self._groups

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As Optuna's, from less."""
        if HEAD_TYPE not in search_space:  # one head type, or no trial yet
            return super().sample_relative(study, trial, search_space)
        chosen = super().sample_relative(study, trial, {HEAD_TYPE: search_space[HEAD_TYPE]})
        prefix = f"{chosen.get(HEAD_TYPE)}."
        own = {name: d for name, d in search_space.items() if name.startswith(prefix)}
        return chosen | super().sample_relative(study, trial, own)
