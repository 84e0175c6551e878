"""The head types that `tune` draws from: each head file declares its own, this module finds them.

A head file holds the estimator, a function that draws its parameters, and at the bottom a `HEAD_TYPE`. Nothing else has
to be edited to add one; see docs/adding-a-head.md. Head types of other packages come by an entry point of the group
`lymphofeat.heads`, or are registered by `register`.
"""

import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError

if TYPE_CHECKING:
    from .base import Head

__all__ = [
    "COSTS",
    "GROUP",
    "HeadType",
    "PrefixedTrial",
    "TrialLike",
    "find_head_type",
    "foreign_heads",
    "head_types",
    "register",
    "register_again",
    "registered",
]

# Of scoring one point of the space on 163 patients of 100 images, 5 folds with inner thresholds, one core: tenths of a
# second, about a second, several seconds.
COSTS = ("cheap", "moderate", "expensive")
_INPUTS = ("image", "both")
GROUP = "lymphofeat.heads"  # of entry points
_NOTEBOOK = "__main__"

_registered: dict[
    str, tuple["HeadType", str]
] = {}  # by name: the head type and the module that registered it


class TrialLike(Protocol):
    """What a search space needs of a trial; `optuna.Trial` and `optuna.trial.FixedTrial` have it."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


class PrefixedTrial:
    """A trial that draws under longer names, "<prefix>.<name>", so that no two head types' parameters meet.

    Args:
        trial: what draws; may itself be an `PrefixedTrial`.
        prefix: the head type's name; "" leaves the names as they are.
        fixed: parameters by their short names that are not drawn but have this value.
        among: parameters by their short names that are drawn among these choices instead of their own.
    """

    def __init__(
        self,
        trial: TrialLike,
        prefix: str,
        fixed: Mapping[str, Any] | None = None,
        among: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        self._trial, self._fixed, self._among = trial, dict(fixed or {}), dict(among or {})
        self._prefix = f"{prefix}." if prefix else ""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """As Optuna's."""
        if name in self._fixed:
            return float(self._fixed[name])
        return self._trial.suggest_float(self._prefix + name, low, high, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """As Optuna's."""
        if name in self._fixed:
            return int(self._fixed[name])
        return self._trial.suggest_int(self._prefix + name, low, high, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """As Optuna's."""
        if name in self._fixed:
            return self._fixed[name]
        return self._trial.suggest_categorical(self._prefix + name, self._among.get(name, choices))


def _any_patients(clinical: pd.DataFrame, y: NDArray[np.int8]) -> None:
    """Two classes suffice."""


@dataclass(frozen=True)
class HeadType:
    """Heads of one kind: what they are, where they come from, and which of them are worth trying.

    Attributes:
        name: what studies and reports call it; lower case, no dot.
        summary: one sentence for `lymphofeat heads`.
        source: paper or formula.
        cost: one of `COSTS`.
        space: draws a point: short names → values. What a choice makes meaningless is not drawn. `suggest`
            calls it with the head type's prefix.
        build: (a point as `suggest` returns it, as keyword arguments) → the unfitted head; the head's class itself
            where the point is its arguments.
        default_params: sensible points by the short names that `space` draws, to be tried before anything is known.
        inputs: what it can be given: "clinical", "image", "both". A head type with more than one draws it as "inputs";
            one with a single one does not draw it.
        check: (clinical rows, labels of training patients) → raises `InputError` where no head of the head type can be
            fitted on them; `tune` then leaves the head type out. Both classes are there.
        weighs_encodings: whether the weight of an encoding's block in the table matters to its heads, so that a search
            over several encodings draws it: heads on pooled features that penalise or measure distances.
        declared_values: whether its heads, or parts of them, have the argument `clinical_values` (`Design` has), so
            that a search draws which declared clinical columns they see.
    """

    name: str
    summary: str
    source: str
    cost: str
    space: Callable[[TrialLike], dict[str, Any]]
    build: "Callable[..., Head]"
    default_params: tuple[Mapping[str, Any], ...] = ()
    inputs: tuple[str, ...] = _INPUTS
    check: Callable[[pd.DataFrame, NDArray[np.int8]], object] = _any_patients
    weighs_encodings: bool = False
    declared_values: bool = False

    def suggest(self, trial: TrialLike, fixed: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Draw a point from a trial, whose parameters are called "<head type>.<name>".

        To get the point of a finished trial back, pass `optuna.trial.FixedTrial(trial.params)`: a point may hold
        more than was drawn.

        Args:
            trial: an Optuna trial.
            fixed: short names that are not drawn but have this value, such as {"inputs": "image"}.
        """
        return self.space(PrefixedTrial(trial, self.name, fixed))

    def enqueued(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """A point of `default_params` under the names that the trial calls its parameters by, for `enqueue_trial`."""
        return {f"{self.name}.{name}": value for name, value in point.items()}


@cache
def head_types() -> Mapping[str, HeadType]:
    """Every head type by name, sorted by cost, then by name.

    Looks for a `HEAD_TYPE` in each module of this package and of its parts, in the entry points of the group
    `lymphofeat.heads`, and among what was registered; importing them takes a second or two.

    Raises:
        InputError: a package that a head file needs is not installed, two files declare one name, or an entry point
            names no head type.
    """
    found = dict(_own_head_types())
    for name, (head_type, where) in foreign_heads().items():
        if name in found:
            raise InputError(
                f"{where} declares the head type {name!r}, which lymphofeat has already; rename it."
            )
        found[name] = head_type
    return dict(sorted(found.items(), key=lambda item: (COSTS.index(item[1].cost), item[0])))


def find_head_type(name: str) -> HeadType | None:
    """The head type of that name, None if there is none; files are imported until it is found.

    Raises:
        InputError: as `head_types`.
    """
    if not head_types.cache_info().currsize:
        for module in _modules():
            head_type = _declared(module)
            if head_type is not None and head_type.name == name:
                return head_type
    return head_types().get(name)


def register(head_type: HeadType, module: str | None = None) -> None:
    """Add a head type of one's own to those that `tune` searches.

    With several jobs, the worker processes import the module that registered it, so it lies in a file that can be
    imported; from a notebook, jobs=1. A package that is installed names its head types in an entry point instead,
    `[project.entry-points."lymphofeat.heads"]`, and everything finds them.

    Args:
        head_type: it; one that was registered under the same name before is replaced.
        module: the name of the module that registers it, by default the caller's.

    Raises:
        InputError: lymphofeat has a head type of that name.
    """
    if not isinstance(head_type, HeadType):
        raise InputError(f"A head type is a lymphofeat.heads.HeadType, not {type(head_type).__name__}.")
    if head_type.name in _own_head_types():
        raise InputError(f"lymphofeat has heads {head_type.name!r} already; give yours another name.")
    where = module or _caller()
    _registered[head_type.name] = head_type, where
    head_types.cache_clear()


def _caller() -> str:
    """The module that called the function that asks."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = None if frame is None else frame.f_back
    return _NOTEBOOK if frame is None else str(frame.f_globals.get("__name__", _NOTEBOOK))


def registered() -> tuple[tuple[str, str], ...]:
    """Name and module of each head type that was registered: what a worker process must know.

    Raises:
        InputError: one was registered in a notebook or at a prompt, which no other process can import.
    """
    for name, (_, module) in _registered.items():
        if module == _NOTEBOOK and not hasattr(sys.modules.get(_NOTEBOOK), "__file__"):
            raise InputError(
                f"The heads {name!r} were registered in a notebook, which worker processes cannot import; put them "
                "into a file beside it and import that, or give jobs=1."
            )
    return tuple((name, module) for name, (_, module) in _registered.items())


def register_again(what: Sequence[tuple[str, str]]) -> None:
    """In another process: import the modules of `registered`, so that they register their head types here, too.

    Raises:
        InputError: a module cannot be imported, or registers no such head type when it is imported.
    """
    for name, module in what:
        if module not in (_NOTEBOOK, "__mp_main__"):  # multiprocessing runs the main script again by itself
            try:
                found = getattr(import_module(module), "HEAD_TYPE", None)
            except ImportError as error:
                raise InputError(
                    f"A worker process cannot import {module}, which registers {name!r}: {error}"
                ) from error
            if name not in _registered and isinstance(found, HeadType) and found.name == name:
                register(found, module)
        if name not in _registered:
            raise InputError(
                f"{module} does not register the heads {name!r} when it is imported, as worker processes do; call "
                "lymphofeat.heads.register at its top level, or give jobs=1."
            )


def foreign_heads() -> Mapping[str, tuple[HeadType, str]]:
    """The head types of other packages by name, each with the name of its module.

    Raises:
        InputError: an entry point that cannot be loaded, or is no head type.
    """
    return {**_installed_heads(), **_registered}


@cache
def _installed_heads() -> Mapping[str, tuple[HeadType, str]]:
    found: dict[str, tuple[HeadType, str]] = {}
    for point in entry_points(group=GROUP):
        of = f" of {point.dist.name}" if point.dist is not None else ""
        try:
            head_type = point.load()
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"The entry point {point.name}{of} in the group {GROUP} cannot be loaded ({error}); mend or remove the "
                "package."
            ) from error
        if not isinstance(head_type, HeadType):
            raise InputError(
                f"The entry point {point.name}{of} in the group {GROUP} is no HeadType; mend the package."
            )
        found[head_type.name] = head_type, point.module
    return found


@cache
def _own_head_types() -> Mapping[str, HeadType]:
    """Those of this package.

    Raises:
        InputError: a package that a head file needs is not installed, or two files declare one name.
    """
    found: dict[str, HeadType] = {}
    for name in _modules():
        head_type = _declared(name)
        if head_type is None:
            continue
        if head_type.name in found:
            raise InputError(
                f"Two head files declare the head type {head_type.name!r}, the second is {name}; rename one."
            )
        found[head_type.name] = head_type
    return found


def _declared(module: str) -> HeadType | None:
    """The head type that a module of this package declares.

    Raises:
        InputError: a package that it needs is not installed.
    """
    try:
        head_type = getattr(import_module(module), "HEAD_TYPE", None)
    except ModuleNotFoundError as error:
        raise InputError(
            f"The head file {module} needs the package {error.name}, which is not installed; "
            f"`pip install {error.name}` adds it."
        ) from error
    return head_type if isinstance(head_type, HeadType) else None


def _modules() -> Iterator[str]:
    """Full names of the modules that may declare a head type: those of this package, then of the packages in it."""
    packages = [str(__package__)]
    while packages:
        package = packages.pop(0)
        for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
            if module.ispkg:
                packages.append(module.name)
            else:
                yield module.name
