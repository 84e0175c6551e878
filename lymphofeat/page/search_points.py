"""A study's complete trials as points over few parameters, and how much each parameter mattered.

A parameter belongs to a head type ("svm.C"), so that most trials lack most of them. Parameters that several head types
call alike are therefore one axis ("C", also of the image part of a fusion; that of its clinical part is "clinical C").
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..studies.frames import inputs_of
from ..studies.rows import Row
from ..studies.space import HEAD_TYPE
from ..studies.summary import StudySummary

__all__ = ["parameter_shares", "points_of"]

_MOST = 8
_HEAD_TYPE, _GIVEN, _CLINICAL = "head type", "given", "clinical"


def parameter_shares(study: StudySummary) -> pd.DataFrame:
    """Columns parameter (in words) and share, the largest first; empty where there are too few trials."""
    shares = study.importance.shares
    names = [_HEAD_TYPE if name == HEAD_TYPE else _words(name) for name in shares]
    return pd.DataFrame({"parameter": names, "share": list(shares.values())})


def points_of(study: StudySummary, most: int = _MOST) -> tuple[pd.DataFrame, set[str]]:
    """The complete trials over the parameters that mattered most.

    Without importances, those that most trials have are taken. Parameters with one value are left out.

    Args:
        study: with a complete trial.
        most: parameters.

    Returns:
        Indexed by trial: value, and a column per parameter; and those of them that were searched on a logarithmic axis.
    """
    rows = [row for row in study.rows if row.complete]
    points = pd.DataFrame([_point(row, study) for row in rows], index=[row.number for row in rows])
    varied = [name for name in points if points[name].dropna().astype(str).nunique() > 1]
    weight = _weights(study, rows)
    chosen = sorted(varied, key=lambda name: -weight[str(name)])[:most]
    first = [name for name in (_HEAD_TYPE, _GIVEN) if name in chosen]
    kept = points[[*first, *(name for name in chosen if name not in first)]].copy()
    for name in kept:
        kept[name] = _typed(kept[name])
    kept.insert(0, "value", [row.value for row in rows])
    return kept, {name for name in kept if name in _logarithmic(rows)}


def _point(row: Row, study: StudySummary) -> dict[str, Any]:
    """What a trial's head is, by the names of axes; a choice of "none" is a word, for NaN means "no such parameter"."""
    own = {_own_name(row, name): _value(value) for name, value in row.params.items()}
    return {**own, _GIVEN: inputs_of(row, study.provenance["takes"])}


def _value(value: Any) -> Any:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value


def _own_name(row: Row, name: str) -> str:
    if name == HEAD_TYPE:
        return _HEAD_TYPE
    *part, own = name.removeprefix(f"{row.params[HEAD_TYPE]}.").split(".")
    own = _words(f"{_CLINICAL} {own}" if part[:1] == [_CLINICAL] else own)
    return _GIVEN if own == "inputs" else own


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", " ")


def _weights(study: StudySummary, rows: Sequence[Row]) -> dict[str, float]:
    """By axis, the sum of the importances of its parameters; or how many trials have it."""
    shares = study.importance.shares
    axis_of = {name: _own_name(row, name) for row in rows for name in row.params}
    weight: defaultdict[str, float] = defaultdict(float)
    for name, share in shares.items():
        weight[axis_of[name]] += share
    for row in () if shares else rows:
        for name in row.params:
            weight[axis_of[name]] += 1
    return weight


def _typed(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Numbers as float64 where all are; else words."""
    known = column.dropna()
    if all(isinstance(value, int | float | np.number) for value in known):
        return column.astype(np.float64)
    return column.map(_word, na_action="ignore").astype(object)


def _word(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _logarithmic(rows: Iterable[Row]) -> set[str]:
    return {
        _own_name(row, name)
        for row in rows
        for name, distribution in row.distributions.items()
        if getattr(distribution, "log", False)
    }
