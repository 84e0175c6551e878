"""What `tune` tries: the head types, where a search begins, and the head that a point stands for.

A point is a choice of a head type and a point of that head type's own space, which its head file declares. What a
choice makes meaningless is not drawn.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from optuna.trial import FixedTrial

from ..cache.split import JOINT
from ..errors import InputError
from ..heads.drawn_encodings import default_encodings, encodings_of, suggest_encodings
from ..heads.drawn_values import default_values, suggest_values, with_values
from ..heads.registry import HeadType, PrefixedTrial, TrialLike, find_head_type, head_types
from ..wording import did_you_mean

if TYPE_CHECKING:
    from ..heads.base import Head

__all__ = [
    "HEAD_TYPE",
    "INPUTS",
    "LEFT_OUT",
    "Space",
    "build_head",
    "cost_of",
    "drawn_encodings",
    "head_type_of",
    "own_params",
]

HEAD_TYPE = "family"  # the parameter that says which head type a point belongs to
INPUTS = ("clinical", "image", "both")
# Where a study keeps the head types that cannot be fitted on its folds, with a sentence each; absent if there are none.
LEFT_OUT = "left_out"
_BASELINE = "logistic"  # the head to beat: tried first, whatever else there is
_PROBES = 200  # random points behind a space's digest
_known: dict["Space", tuple[HeadType, set[str]]] = {}  # by spaces of one head type; see `_met`
_PLENTY = 10  # patients of a class, with which no head type is asked whether that is enough


@dataclass(frozen=True)
class Space:
    """Head types and what they may be given.

    Attributes:
        head types: names, in the registry's order.
        inputs: of `INPUTS`, in its order.
        encodings: encoder families among which a head's are drawn, at least two; empty: there is nothing to draw.
        missing_indicators: whether heads may use that a clinical value is missing.
        declared: declared clinical columns among which a head's are drawn, as `Cache.clinical_values`.
    """

    head_types: tuple[str, ...]
    inputs: tuple[str, ...] = INPUTS
    encodings: tuple[str, ...] = ()
    missing_indicators: bool = False
    declared: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, names: Sequence[str] = (), inputs: Sequence[str] = (), *, missing_indicators: bool = False
    ) -> "Space":
        """The space of these head types and inputs; all of them where none is named.

        Raises:
            InputError: a name that nothing has, or a head type that takes none of the inputs.
        """
        names, inputs = ((one,) if isinstance(one, str) else one for one in (names, inputs))
        known = head_types()
        for given, there, what in ((names, list(known), "head type"), (inputs, list(INPUTS), "input")):
            for name in given:
                if name not in there:
                    raise InputError(f"There is no {what} {name!r}{did_you_mean(name, there)}.")
        allowed = tuple(i for i in INPUTS if not inputs or i in inputs)
        fitting = [name for name, head_type in known.items() if set(head_type.inputs) & set(allowed)]
        for name in names:
            if name not in fitting:
                raise InputError(
                    f"The heads {name!r} take {' or '.join(known[name].inputs)} only; leave them out of --heads, "
                    "or give another --inputs."
                )
        kept = tuple(name for name in fitting if not names or name in names)
        return cls(kept, allowed, missing_indicators=missing_indicators)

    def on(self, encoder_family: str, declared: Sequence[str] = ()) -> "Space":
        """The space on an encoder family, or on several with `JOINT` between their names, and on declared columns."""
        names = tuple(encoder_family.split(JOINT))
        return replace(self, encodings=names if len(names) > 1 else (), declared=tuple(declared))

    def unfit(self, trainings: Sequence[tuple[pd.DataFrame, NDArray[np.int8]]]) -> dict[str, str]:
        """The head types of which no head can be fitted on one of the training parts, with a sentence each.

        Args:
            trainings: clinical rows and labels of the patients that a head is fitted on.
        """
        # Where there are more, no head type has ever too few of a class, and asking all of them takes a second.
        few = [one for one in trainings if np.bincount(one[1], minlength=2).min() < _PLENTY]
        found: dict[str, str] = {}
        for name in self.head_types:
            for clinical, y in few:
                try:
                    head_types()[name].check(clinical, y)
                except InputError as error:
                    found[name] = (
                        f"The heads {name!r} are left out: in some folds they cannot be fitted. {error}"
                    )
                    break
        return found

    def without(self, names: Collection[str]) -> "Space":
        """The space without some head types.

        Raises:
            ValueError: none is left.
        """
        left = tuple(name for name in self.head_types if name not in names)
        if not left:
            raise ValueError("no head type is left")
        return replace(self, head_types=left)

    def suggest(self, trial: TrialLike) -> dict[str, Any]:
        """Draw a point, the head type first.

        Returns:
            The arguments of the head type's `build`. The point is in the trial's parameters.
        """
        head_type = head_types()[trial.suggest_categorical(HEAD_TYPE, list(self.head_types))]
        restricted = RestrictedTrial(trial, f"{head_type.name}.inputs", self.inputs)
        point = head_type.suggest(restricted)
        inputs, draws = restricted.drawn(head_type.inputs[0]), PrefixedTrial(trial, head_type.name)
        if self.encodings and inputs != "clinical":
            suggest_encodings(draws, head_type, self.encodings)
        if inputs != "image":
            suggest_values(draws, head_type, self.declared, missing_indicator=self.missing_indicators)
        return point

    def default_params(self) -> list[dict[str, Any]]:
        """Points to try before anything is known, as parameters of a trial: the head to beat with each input, then
        the head types in turn, the quick ones first.
        """
        each = {name: list(self._defaults_of(head_types()[name])) for name in self.head_types}
        turns = zip_longest(*(points for name, points in each.items() if name != _BASELINE))
        in_turn = [point for turn in turns for point in turn if point is not None]
        return each.get(_BASELINE, []) + in_turn

    def _defaults_of(self, head_type: HeadType) -> Iterator[dict[str, Any]]:
        for point in head_type.default_params:
            inputs = point.get("inputs", head_type.inputs[0])
            if inputs not in self.inputs:
                continue
            points: Sequence[Mapping[str, Any]] = [point]
            baseline = head_type.name == _BASELINE
            if self.encodings and inputs != "clinical":
                points = default_encodings(point, head_type, self.encodings, each=baseline)
            if inputs != "image":
                each = baseline and inputs == "clinical"
                points = [
                    one
                    for some in points
                    for one in default_values(
                        some, head_type, self.declared, missing_indicator=self.missing_indicators, each=each
                    )
                ]
            for one in points:
                yield {HEAD_TYPE: head_type.name, **head_type.enqueued(one)}

    @property
    def takes(self) -> dict[str, list[str]]:
        """Per head type, the inputs that its heads can be given, for reading a study without the heads' files."""
        return {name: [i for i in head_types()[name].inputs if i in self.inputs] for name in self.head_types}

    @cached_property
    def digest(self) -> str:
        """Hex digest of everything that can be drawn: of the parameters that many random points meet."""
        found: set[str] = set()
        for name in self.head_types:
            found |= _met(replace(self, head_types=(name,)), head_types()[name])
        return blake2b("\n".join(sorted(found)).encode(), digest_size=8).hexdigest()


def _met(space: Space, head_type: HeadType) -> set[str]:
    """What random points of a space of one head type meet; an evaluation asks for each of its searches."""
    known = _known.get(space)
    if known is None or known[0] is not head_type:  # one of the same name was registered
        met: set[str] = set()
        for probe in range(_PROBES):
            drawn = ReplayTrial(np.random.default_rng(probe))
            space.suggest(drawn)
            met |= drawn.met
        known = _known[space] = head_type, met
    return known[1]


def build_head(params: Mapping[str, Any]) -> "Head":
    """The unfitted head of a trial's parameters.

    Raises:
        InputError: no such head type, or a parameter is missing.
    """
    head_type = head_type_of(params)
    try:
        head = head_type.build(**head_type.suggest(FixedTrial(dict(params))))
    except ValueError as error:
        raise InputError(f"These are not parameters of the heads {head_type.name!r}: {error}") from error
    head = with_values(head, own_params(params))
    if not drawn_encodings(params):
        return head
    from ..heads.fusion.encodings import on_encodings  # scikit-learn, a second or two

    return on_encodings(head, own_params(params))


def head_type_of(params: Mapping[str, Any]) -> HeadType:
    """The head type of a trial's parameters.

    Raises:
        InputError: this lymphofeat has no such head type.
    """
    name = params.get(HEAD_TYPE)
    found = find_head_type(str(name))
    if found is None:
        raise InputError(f"This lymphofeat has no heads {name!r}{did_you_mean(str(name), head_types())}.")
    return found


def drawn_encodings(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The encodings that were drawn for a trial's head; empty where there were none to draw."""
    return encodings_of(own_params(params))


def own_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's parameters by their short names."""
    prefix = f"{params[HEAD_TYPE]}."
    return {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}


def cost_of(params: Mapping[str, Any]) -> str:
    """How expensive the head of a trial's parameters is, one of `registry.COSTS`."""
    return head_type_of(params).cost


@dataclass
class RestrictedTrial:
    """A trial that draws one categorical parameter from fewer choices, and notes what it drew."""

    trial: TrialLike
    name: str
    choices: tuple[str, ...]
    _found: str | None = None

    def drawn(self, otherwise: str) -> str:
        """The parameter; `otherwise` if it was not asked for."""
        return otherwise if self._found is None else self._found

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return self.trial.suggest_float(name, low, high, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return self.trial.suggest_int(name, low, high, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name != self.name:
            return self.trial.suggest_categorical(name, choices)
        found = self.trial.suggest_categorical(name, [choice for choice in choices if choice in self.choices])
        self._found = str(found)
        return found


class ReplayTrial:
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
