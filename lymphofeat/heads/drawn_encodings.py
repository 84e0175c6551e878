"""What a search draws for a head where it was given several encodings: which of them, how joined, with which weights.

Under names that every head type shares, so that no head file has to know of it. The heads themselves are in
`lymphofeat.heads.fusion.encodings`; reading a study needs only this.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from ..cache.split import JOINT
from .registry import HeadType, TrialLike

__all__ = ["JOIN", "JOINS", "WEIGHT", "default_encodings", "encodings_of", "suggest_encodings"]

# Pooled features side by side in one table; the mean of the heads' log-odds; a regression on the heads' log-odds.
JOINS = ("early", "late", "stacked")
_ENCODINGS, JOIN, WEIGHT = "encodings", "join", "weight"
_LEAST, _MOST = 0.25, 4.0  # weight of an encoding's block against the first one's


def suggest_encodings(draws: TrialLike, head_type: HeadType, encodings: Sequence[str]) -> None:
    """Draw which of several encodings a head is given, and how they are joined.

    One of them, two, or all. Stacking fits a head many times on inner folds, so only cheap heads are stacked.

    Args:
        draws: the trial, under the head type's prefix.
        head_type: the head's.
        encodings: encoder families, at least two.
    """
    chosen = draws.suggest_categorical(_ENCODINGS, _choices(encodings)).split(JOINT)
    if len(chosen) == 1:
        return
    joins = JOINS if head_type.cost == "cheap" else JOINS[:2]
    if draws.suggest_categorical(JOIN, joins) == "early" and head_type.weighs_encodings:
        for name in chosen[1:]:
            draws.suggest_float(f"{WEIGHT}.{name}", _LEAST, _MOST, log=True)


def default_encodings(
    point: Mapping[str, Any], head_type: HeadType, encodings: Sequence[str], *, each: bool
) -> list[dict[str, Any]]:
    """A point that is tried first, on all encodings side by side; with `each`, on every choice of them.

    Args:
        point: by the short names that the head type's space draws.
        head_type: the head's.
        encodings: encoder families, at least two.
    """
    found = []
    for choice in reversed(_choices(encodings)) if each else [JOINT.join(encodings)]:
        chosen = choice.split(JOINT)
        how: dict[str, Any] = {_ENCODINGS: choice}
        if len(chosen) > 1:
            how[JOIN] = "early"
            if head_type.weighs_encodings:
                how |= {f"{WEIGHT}.{name}": 1.0 for name in chosen[1:]}
        found.append({**point, **how})
    return found


def encodings_of(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The encoder families that were drawn; empty where none were.

    Args:
        params: by short names, what `suggest_encodings` drew.
    """
    return tuple(str(params[_ENCODINGS]).split(JOINT)) if _ENCODINGS in params else ()


def _choices(encodings: Sequence[str]) -> tuple[str, ...]:
    """One, two, all."""
    sizes = sorted({1, 2, len(encodings)})
    return tuple(JOINT.join(some) for size in sizes for some in combinations(encodings, size))
