"""Which measurements drive the prediction, where the features have names: what is large or small in the cells.

A measurement is taken out of a patient's bag by giving its mean over the cells, or its spread among them, the typical
value of the training patients; the cells keep everything else. What the log-odds lose is its contribution. For a head
that is linear in the bag's mean this is weight × (value − typical value), exactly; for others, contributions need not
add up, since measurements work together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.bags import Bags, JoinedBags
from ..cache.encoding import Encoding
from ..cache.pooling import pool, pooled_names
from ..cache.split import Split
from .images import log_odds_of

__all__ = ["measurement_contributions", "measurement_table"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Part:
    """One encoding with names, and how its bags stand in for those of a head.

    Attributes:
        names: (D,) of the features.
        bags: all patients'.
        encoder_family: its key in `JoinedBags`.
    """

    names: Sequence[str]
    bags: Bags
    encoder_family: str


def measurement_contributions(
    head: Any,
    split: Split,
    encodings: Sequence[Encoding],
    clinical: pd.DataFrame,
    row: int,
    train: NDArray[np.int64],
) -> dict[str, float]:
    """What each measurement of one patient adds to the log-odds of malignant.

    Args:
        head: fitted on `train`.
        split: whose bags the head sees.
        encodings: behind them.
        clinical: (n_patients,) rows.
        row: the patient.
        train: (m,) rows whose means are typical.

    Returns:
        Pooled name ("nucleus_area_mean", "nucleus_area_std") → log-odds, above 0 towards malignant; empty where no
        encoding has names.
    """
    found: dict[str, float] = {}
    for part in _parts(split.bags, encodings):
        names = pooled_names(part.names, "mean+std")
        if getattr(head, "inputs", None) == "clinical":
            found |= dict.fromkeys(names, 0.0)
            continue
        typical = pool(part.bags.select(train), "mean+std").mean(axis=0)
        changed = _changed(np.asarray(part.bags[row], dtype=np.float64), typical)
        rows = np.full(len(names) + 1, row)
        given = _in_place_of(split.bags, part, changed, rows)
        log_odds = log_odds_of(head, given, clinical.iloc[rows])
        found |= dict(zip(names, (log_odds[-1] - log_odds[:-1]).tolist(), strict=True))
    return found


def measurement_table(
    contributions: Mapping[str, float],
    bags: Bags,
    encodings: Sequence[Encoding],
    row: int,
    train: NDArray[np.int64],
    labels: NDArray[np.int8],
) -> pd.DataFrame:
    """The measurements beside those of labelled training patients, towards malignant first.

    Args:
        contributions: of `measurement_contributions`, or a mean of several.
        bags, encodings: all patients'.
        row: the patient.
        train: (m,) rows of the training patients.
        labels: (n_patients,) 0 or 1 of those.

    Returns:
        Columns measurement (pooled name), contribution (log-odds), value, above_reactive and above_malignant (the share
        of the training patients of that label whose value is smaller, ties counted half), n_reactive, n_malignant.
    """
    rows = []
    for part in _parts(bags, encodings):
        own = pool(part.bags.select(np.array([row])), "mean+std")[0]
        values = {k: pool(part.bags.select(train[labels[train] == k]), "mean+std") for k in (0, 1)}
        above = {k: ((v < own).mean(axis=0) + (v <= own).mean(axis=0)) / 2 for k, v in values.items()}
        for i, name in enumerate(pooled_names(part.names, "mean+std")):
            rows.append(
                (name, contributions[name], own[i], above[0][i], above[1][i], len(values[0]), len(values[1]))
            )
    columns = [
        "measurement", "contribution", "value", "above_reactive", "above_malignant", "n_reactive", "n_malignant",
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("contribution", ascending=False, kind="stable", ignore_index=True)


def _parts(bags: Bags, encodings: Sequence[Encoding]) -> list[_Part]:
    """The encodings with names."""
    return [
        _Part(
            e.names, bags.parts[e.encoder_family] if isinstance(bags, JoinedBags) else bags, e.encoder_family
        )
        for e in encodings
        if e.names is not None
    ]


def _changed(bag: Floats, typical: Floats) -> list[NDArray[np.float32]]:
    """The bag with each feature's mean, then with each feature's spread, made typical, and last as it is."""
    width = bag.shape[1]
    mean, spread = bag.mean(axis=0), bag.std(axis=0)
    factor = np.divide(typical[width:], spread, out=np.ones(width), where=spread > 0)
    moved, stretched = bag + (typical[:width] - mean), mean + (bag - mean) * factor
    found = []
    for other in (moved, stretched):
        for k in range(width):
            one = bag.astype(np.float32)
            one[:, k] = other[:, k]
            found.append(one)
    return [*found, bag.astype(np.float32)]


def _in_place_of(
    bags: Bags, part: _Part, changed: Sequence[NDArray[np.float32]], rows: NDArray[np.int64]
) -> Bags:
    own = Bags.from_list(changed)
    if not isinstance(bags, JoinedBags):
        return own
    parts = {name: one.select(rows) for name, one in bags.parts.items()}
    return JoinedBags(parts | {part.encoder_family: own}, bags.weights)
