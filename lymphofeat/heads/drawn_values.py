"""Which clinical values a head of a search sees: the declared columns, and whether it may use that a value is missing.

Under names that every head type shares, so that no head file has to know of it, as `drawn_encodings`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .registry import HeadType, TrialLike

if TYPE_CHECKING:
    from .base import Head

__all__ = [
    "BUILT_IN",
    "INDICATOR",
    "VALUES",
    "default_values",
    "indicator_of",
    "suggest_values",
    "values_of",
    "with_values",
]

VALUES, INDICATOR = "clinical_values", "missing_indicator"
BUILT_IN = "age, sex, count"
_SEPARATOR = ", "
_ALONE = 4  # declared columns that are tried alone beside the three: more choices than six no search would get through


def suggest_values(
    draws: TrialLike, head_type: HeadType, declared: Sequence[str], *, missing_indicator: bool
) -> None:
    """Draw what a head that is given clinical values sees of them.

    Age, sex and count; these and all declared columns; these and one of the first four. Whether a value is missing is
    no choice of the search but of its user, and absent where heads may use it: so it was in all studies before it could
    be chosen.

    Args:
        draws: the trial, under the head type's prefix.
        head_type: the head's.
        declared: as `Cache.clinical_values`.
        missing_indicator: whether heads may use that a value is missing.
    """
    if declared and head_type.declared_values:
        draws.suggest_categorical(VALUES, _choices(declared))
    if not missing_indicator:
        draws.suggest_categorical(INDICATOR, (False,))


def default_values(
    point: Mapping[str, Any],
    head_type: HeadType,
    declared: Sequence[str],
    *,
    missing_indicator: bool,
    each: bool,
) -> list[dict[str, Any]]:
    """A point that is tried first, on all declared columns; with `each`, on every choice of them.

    Args:
        point: by the short names that the head type's space draws.
        head_type: the head's.
        declared, missing_indicator: as of `suggest_values`.
    """
    whole = dict(point) if missing_indicator else {**point, INDICATOR: False}
    if not (declared and head_type.declared_values):
        return [whole]
    choices = _choices(declared)
    return [{**whole, VALUES: choice} for choice in (choices if each else choices[:1])]


def values_of(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The declared columns that were drawn.

    Args:
        params: by short names, what `suggest_values` drew.
    """
    drawn = str(params.get(VALUES, BUILT_IN)).removeprefix(BUILT_IN).removeprefix(_SEPARATOR)
    return tuple(drawn.split(_SEPARATOR)) if drawn else ()


def indicator_of(params: Mapping[str, Any]) -> bool:
    """Whether the head may use that a value is missing.

    Args:
        params: by short names, what `suggest_values` drew.
    """
    return bool(params.get(INDICATOR, True))


def with_values(head: "Head", params: Mapping[str, Any]) -> "Head":
    """The unfitted head, told what was drawn; a head, or a part of it, without such an argument stays as it is.

    Args:
        head: unfitted.
        params: by short names, what `suggest_values` drew.
    """
    told = {VALUES: values_of(params), INDICATOR: indicator_of(params)}
    arguments = {
        name: value
        for name in head.get_params(deep=True)
        for argument, value in told.items()
        if name.rpartition("__")[2] == argument
    }
    if arguments:
        head.set_params(**arguments)  # type: ignore[attr-defined]
    return head


def _choices(declared: Sequence[str]) -> tuple[str, ...]:
    """All, none, one."""
    some = [tuple(declared), (), *((value,) for value in declared[:_ALONE])]
    return tuple(dict.fromkeys(_SEPARATOR.join((BUILT_IN, *values)) for values in some))
