"""What a study keeps of a trial and of itself, as JSON values that come back bit by bit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..scoring.score import TrialScores
from ..storage.json_arrays import pack, unpack

__all__ = [
    "scores_from_attrs",
    "scores_to_attrs",
]


def scores_to_attrs(scores: TrialScores) -> dict[str, Any]:
    """User attributes of a trial: few, because each is a row of the database.

    `values` and `folds` are for reading (folds[metric][repeat][fold], null where a fold has one class),
    `oof` holds the probabilities of the labelled patients, `thresholds` the thresholds and how they were chosen.
    """
    return {
        "values": scores.values,
        "folds": {name: _or_null(table) for name, table in scores.folds.items()},
        "cuts": {"at": scores.thresholds.tolist(), "inner": scores.inner.tolist()},
        "oof": pack(scores.probabilities),
    }


def scores_from_attrs(attrs: Mapping[str, Any]) -> TrialScores:
    """The scores of `scores_to_attrs`, equal in every bit.

    Raises:
        KeyError, ValueError, TypeError: an attribute is missing or of another kind.
    """
    return TrialScores(
        probabilities=unpack(attrs["oof"]),
        thresholds=np.array(attrs["cuts"]["at"], dtype=np.float64),
        inner=np.array(attrs["cuts"]["inner"], dtype=bool),
        folds={name: np.array(table, dtype=np.float64) for name, table in attrs["folds"].items()},
        values=dict(attrs["values"]),
    )


def _or_null(table: NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in table]
