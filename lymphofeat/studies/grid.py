"""The points of a coarse grid over a conditional space, in random order, each once.

The grid is a tree whose branches are the values of one parameter after another; it is discovered while it is walked,
so that a space of millions of points costs no more than the points that are drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..heads.registry import TrialLike

__all__ = ["GRID_STEPS", "GridWalk"]

GRID_STEPS = 5  # values of a number, evenly spaced from its lowest to its highest


@dataclass
class _Node:
    """A place in the tree; the children of values whose every leaf was taken are gone from `open`."""

    open: list[int] | None = None  # None: not visited yet
    children: dict[int, "_Node"] = field(default_factory=dict)


class GridWalk:
    """Leaves of the tree that `suggest` spans.

    Args:
        suggest: draws a point from what it is given; the same values must lead to the same questions.
    """

    def __init__(self, suggest: Callable[[TrialLike], object]) -> None:
        self._suggest = suggest
        self._root = _Node()

    def draw(self, rng: np.random.Generator) -> dict[str, Any] | None:
        """The parameters of a leaf that was not taken yet, which is taken now; None when there are none left."""
        if self._root.open == []:
            return None
        path = _Path(self._root, lambda name, options, still: still[int(rng.integers(len(still)))])
        self._suggest(path)
        path.close()
        return path.params

    def take(self, params: Mapping[str, Any]) -> None:
        """Take the leaf of these parameters; if they are not on the grid, nothing happens."""

        def value(name: str, options: Sequence[Any], still: Sequence[int]) -> int:
            for index, option in enumerate(options):
                if option == params.get(name) and type(option) is type(params.get(name)):
                    if index not in still:
                        raise _OffGridError
                    return index
            raise _OffGridError

        path = _Path(self._root, value)
        try:
            self._suggest(path)
        except _OffGridError:
            return
        path.close()


class _OffGridError(Exception):
    """A point that is not on the grid, or was taken before."""


class _Path:
    """One way through the tree, as a trial that draws."""

    def __init__(self, root: _Node, choose: Callable[[str, Sequence[Any], Sequence[int]], int]) -> None:
        self._steps: list[tuple[_Node, int]] = []
        self._at, self._choose = root, choose
        self.params: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self._branch(name, _steps(low, high, log=log)))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        whole = sorted({round(value) for value in _steps(low, high, log=log)})
        return int(self._branch(name, whole))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._branch(name, list(choices))

    def _branch(self, name: str, options: Sequence[Any]) -> Any:
        node = self._at
        if node.open is None:
            node.open = list(range(len(options)))
        index = self._choose(name, options, node.open)
        self._steps.append((node, index))
        self._at = node.children.setdefault(index, _Node())
        self.params[name] = options[index]
        return options[index]

    def close(self) -> None:
        """Take the leaf that was reached, and every branch that has no other leaf."""
        self._at.open = []
        for node, index in reversed(self._steps):
            if node.children[index].open != [] or node.open is None:
                return
            node.open.remove(index)
            del node.children[index]


def _steps(low: float, high: float, *, log: bool) -> list[float]:
    if low == high:
        return [low]
    values = np.geomspace(low, high, GRID_STEPS) if log else np.linspace(low, high, GRID_STEPS)
    # Rounded to what is worth reading; the ends stay what they are, so that they are within the bounds.
    return [low, *(float(f"{value:.4g}") for value in values[1:-1]), high]
