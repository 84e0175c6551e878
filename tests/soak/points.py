"""Points of the search space that together meet every value of every categorical parameter, and the ends of the others.

They are scored one by one, outside a search, so that a head that fails is known by its settings.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from lymphofeat.heads.registry import head_types
from lymphofeat.studies.space import Space

__all__ = ["covering_points", "points_of"]

_PROBES = 300  # random points of a head type, from which the covering ones are chosen
_ENDS = 0.25  # of the numbers, the share that lies at the lower end of its range, and at the upper end


class _Drawn:
    """A trial that draws at random, the ends of the ranges too, and keeps what it drew."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.params: dict[str, Any] = {}
        self.met: set[tuple[str, object]] = set()

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return self._kept(name, self._number(name, low, high, log=log))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return self._kept(name, round(self._number(name, low, high, log=log)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        value = choices[int(self._rng.integers(len(choices)))]
        self.met.add((name, repr(value)))
        return self._kept(name, value)

    def _number(self, name: str, low: float, high: float, *, log: bool) -> float:
        where = self._rng.random()
        if where < 2 * _ENDS:
            end = "low" if where < _ENDS else "high"
            self.met.add((name, end))
            return low if end == "low" else high
        if log:
            return float(np.clip(np.exp(self._rng.uniform(np.log(low), np.log(high))), low, high))
        return float(self._rng.uniform(low, high))

    def _kept(self, name: str, value: Any) -> Any:
        self.params[name] = value
        return value


@cache
def covering_points() -> tuple[dict[str, Any], ...]:
    """Parameters of trials, of all head types in a random order."""
    points = [point for name in head_types() for point in _covering(name)]
    order = np.random.default_rng(0).permutation(len(points))
    return tuple(points[i] for i in order)


def points_of(number: int, n: int) -> list[dict[str, Any]]:
    """The `n` points of a cohort: cohorts of successive numbers go through all of them."""
    every = covering_points()
    return [every[i % len(every)] for i in range(number * n, (number + 1) * n)]


def _covering(name: str) -> list[dict[str, Any]]:
    """Greedily, of random points the one that meets most that none has met yet."""
    space, probes = Space((name,)), []
    for seed in range(_PROBES):
        drawn = _Drawn(np.random.default_rng([1, seed]))
        space.suggest(drawn)
        probes.append(drawn)
    left = set().union(*(probe.met for probe in probes))
    chosen = []
    while left:
        best = max(probes, key=lambda probe: len(probe.met & left))
        chosen.append(best.params)
        left -= best.met
    return chosen
