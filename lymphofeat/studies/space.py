"""What `tune` tries: the families of heads, where a search begins, and the head that a point stands for.

A point is a choice of a family and a point of that family's own space, which its head file declares. What a choice
makes meaningless is not drawn.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from hashlib import blake2b
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from optuna.trial import FixedTrial

from ..errors import InputError
from ..heads.base import Head
from ..heads.registry import Draws, HeadFamily, families

__all__ = ["FAMILY", "INPUTS", "LEFT_OUT", "Space", "build_head", "cost_of", "family_of"]

FAMILY = "family"  # the parameter that says which family a point belongs to
INPUTS = ("clinical", "image", "both")
# Where a study keeps the families that cannot be fitted on its folds, with a sentence each; absent if there are none.
LEFT_OUT = "left_out"
_BASELINE = "logistic"  # the head to beat: tried first, whatever else there is
_PROBES = 200  # random points behind a space's digest
_PLENTY = 10  # patients of a class, with which no family is asked whether that is enough


@dataclass(frozen=True)
class Space:
    """Families of heads and what they may be given.

    Attributes:
        families: names, in the registry's order.
        inputs: of `INPUTS`, in its order.
    """

    families: tuple[str, ...]
    inputs: tuple[str, ...] = INPUTS

    @classmethod
    def of(cls, names: Sequence[str] = (), inputs: Sequence[str] = ()) -> "Space":
        """The space of these families and inputs; all of them where none is named.

        Raises:
            InputError: a name that nothing has, or a family that takes none of the inputs.
        """
        known = families()
        for given, there, what in ((names, list(known), "family of heads"), (inputs, list(INPUTS), "input")):
            for name in given:
                if name not in there:
                    raise InputError(f"There is no {what} {name!r}; {_hint(name, there)}")
        allowed = tuple(i for i in INPUTS if not inputs or i in inputs)
        fitting = [name for name, family in known.items() if set(family.inputs) & set(allowed)]
        for name in names:
            if name not in fitting:
                raise InputError(
                    f"The heads {name!r} take {' or '.join(known[name].inputs)} only; leave them out of --families, "
                    "or give another --inputs."
                )
        return cls(tuple(name for name in fitting if not names or name in names), allowed)

    def unfit(self, trainings: Sequence[tuple[pd.DataFrame, NDArray[np.int8]]]) -> dict[str, str]:
        """The families of which no head can be fitted on one of the training parts, with a sentence each.

        Args:
            trainings: clinical rows and labels of the patients that a head is fitted on.
        """
        # Where there are more, no family has ever too few of a class, and asking all of them takes a second.
        few = [one for one in trainings if np.bincount(one[1], minlength=2).min() < _PLENTY]
        found: dict[str, str] = {}
        for name in self.families:
            for clinical, y in few:
                try:
                    families()[name].check(clinical, y)
                except InputError as error:
                    found[name] = (
                        f"The heads {name!r} are left out: in some folds they cannot be fitted. {error}"
                    )
                    break
        return found

    def without(self, names: Collection[str]) -> "Space":
        """The space without some families.

        Raises:
            ValueError: none is left.
        """
        left = tuple(name for name in self.families if name not in names)
        if not left:
            raise ValueError("no family of heads is left")
        return replace(self, families=left)

    def suggest(self, trial: Draws) -> dict[str, Any]:
        """Draw a point, the family first.

        Returns:
            The arguments of the family's `build`. The point is in the trial's parameters.
        """
        family = families()[trial.suggest_categorical(FAMILY, list(self.families))]
        return family.suggest(_Narrowed(trial, f"{family.name}.inputs", self.inputs))

    def first(self) -> list[dict[str, Any]]:
        """Points to try before anything is known, as parameters of a trial: the head to beat with each input, then
        the families in turn, the quick ones first.
        """
        each = {name: list(self._first_of(families()[name])) for name in self.families}
        turns = zip_longest(*(points for name, points in each.items() if name != _BASELINE))
        in_turn = [point for turn in turns for point in turn if point is not None]
        return each.get(_BASELINE, []) + in_turn

    def _first_of(self, family: HeadFamily) -> Iterator[dict[str, Any]]:
        for point in family.first:
            if point.get("inputs", family.inputs[0]) in self.inputs:
                yield {FAMILY: family.name, **family.enqueued(point)}

    @property
    def takes(self) -> dict[str, list[str]]:
        """Per family, the inputs that its heads can be given, so that a study can be read without the heads' files."""
        return {name: [i for i in families()[name].inputs if i in self.inputs] for name in self.families}

    @cached_property
    def digest(self) -> str:
        """Hex digest of everything that can be drawn: of the parameters that many random points meet."""
        found: set[str] = set()
        for name in self.families:
            only = Space((name,), self.inputs)
            for probe in range(_PROBES):
                drawn = _Recorded(np.random.default_rng(probe))
                only.suggest(drawn)
                found |= drawn.met
        return blake2b("\n".join(sorted(found)).encode(), digest_size=8).hexdigest()


def build_head(params: Mapping[str, Any]) -> Head:
    """The unfitted head of a trial's parameters.

    Raises:
        InputError: no such family, or a parameter is missing.
    """
    family = family_of(params)
    try:
        return family.build(family.suggest(FixedTrial(dict(params))))
    except ValueError as error:
        raise InputError(f"These are not parameters of the heads {family.name!r}: {error}") from error


def family_of(params: Mapping[str, Any]) -> HeadFamily:
    """The family of a trial's parameters.

    Raises:
        InputError: this lymphofeat has no such family.
    """
    name = params.get(FAMILY)
    if name not in families():
        raise InputError(f"This lymphofeat has no heads {name!r}; {_hint(str(name), list(families()))}")
    return families()[str(name)]


def cost_of(params: Mapping[str, Any]) -> str:
    """How dear the head of a trial's parameters is, one of `registry.COSTS`."""
    return family_of(params).cost


@dataclass(frozen=True)
class _Narrowed:
    """A trial that draws one categorical parameter from fewer choices."""

    trial: Draws
    name: str
    choices: tuple[str, ...]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return self.trial.suggest_float(name, low, high, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return self.trial.suggest_int(name, low, high, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name == self.name:
            choices = [choice for choice in choices if choice in self.choices]
        return self.trial.suggest_categorical(name, choices)


class _Recorded:
    """A trial that draws at random and notes what it was asked for."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.met: set[str] = set()

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self._note(name, "float", low, high, log)
        if log:
            return float(np.exp(self._rng.uniform(np.log(low), np.log(high))))
        return float(self._rng.uniform(low, high))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self._note(name, "int", low, high, log)
        return int(self._rng.integers(low, high, endpoint=True))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self._note(name, list(choices))
        return choices[int(self._rng.integers(len(choices)))]

    def _note(self, *what: Any) -> None:
        self.met.add(json.dumps(what))


def _hint(name: str, there: Sequence[str]) -> str:
    near = get_close_matches(name, there, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(there)}."
