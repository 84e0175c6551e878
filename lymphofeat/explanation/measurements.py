"""Which measurements drive the prediction, where the features have names: what is large or small in the cells.

A measurement is taken out of a patient's bag by giving its mean over the cells, or its spread among them, the typical
value of the training patients; the cells keep everything else. What the log-odds lose is its contribution. For a head
that is linear in the bag's mean this is weight × (value − typical value), exactly; for others, contributions need not
add up, since measurements work together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.bags import Bags, JoinedBags
from ..cache.encoding import Encoding
from ..cache.pooling import pool, pooled_names
from ..cache.split import Split
from .images import in_batches, log_odds_of

__all__ = ["measurement_contributions", "measurement_tables"]

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
    rows: NDArray[np.int64],
    train: NDArray[np.int64],
) -> list[dict[str, float]]:
    """What each measurement of some patients adds to the log-odds of malignant.

    Args:
        head: fitted on `train`.
        split: whose bags the head sees.
        encodings: behind them.
        clinical: (n_patients,) rows.
        rows: (n,) of the patients.
        train: (m,) rows whose means are typical.

    Returns:
        Per patient, pooled name ("nucleus_area_mean", "nucleus_area_std") → log-odds, above 0 towards malignant; empty
        where no encoding has names.
    """
    found: list[dict[str, float]] = [{} for _ in rows]
    for part in _parts(split.bags, encodings):
        names = pooled_names(part.names, "mean+std")
        if getattr(head, "inputs", None) == "clinical":
            for one in found:
                one |= dict.fromkeys(names, 0.0)
            continue
        typical = pool(part.bags.select(train), "mean+std").mean(axis=0)
        each = len(names) + 1
        order = np.arange(len(rows), dtype=np.int64)
        for some in in_batches(order, each * split.bags.lengths[rows]):
            changed = [_changed(np.asarray(part.bags[row], dtype=np.float64), typical) for row in rows[some]]
            asked = np.repeat(rows[some], each)
            given = _in_place_of(split.bags, part, list(chain.from_iterable(changed)), asked)
            log_odds = log_odds_of(head, given, clinical.iloc[asked]).reshape(len(some), each)
            for k, those in zip(some.tolist(), log_odds, strict=True):
                found[k] |= dict(zip(names, (those[-1] - those[:-1]).tolist(), strict=True))
    return found


def measurement_tables(
    contributions: Sequence[Mapping[str, float]],
    bags: Bags,
    encodings: Sequence[Encoding],
    rows: NDArray[np.int64],
    train: NDArray[np.int64],
    labels: NDArray[np.int8],
) -> list[pd.DataFrame]:
    """Patients' measurements beside those of labelled training patients, towards malignant first.

    Args:
        contributions: per patient, of `measurement_contributions`, or a mean of several.
        bags, encodings: all patients'.
        rows: (n,) of the patients.
        train: (m,) rows of the training patients.
        labels: (n_patients,) 0 or 1 of those.

    Returns:
        Per patient, columns measurement (pooled name), contribution (log-odds), value, above_reactive and
        above_malignant (the share of the training patients of that label whose value is smaller, ties counted half),
        n_reactive, n_malignant.
    """
    found: list[list[tuple[Any, ...]]] = [[] for _ in rows]
    for part in _parts(bags, encodings):
        names = pooled_names(part.names, "mean+std")
        pooled = pool(part.bags.select(rows), "mean+std")
        values = [pool(part.bags.select(train[labels[train] == label]), "mean+std") for label in (0, 1)]
        for table, own, of_patient in zip(found, pooled, contributions, strict=True):
            above = [((v < own).mean(axis=0) + (v <= own).mean(axis=0)) / 2 for v in values]
            table += [
                (name, of_patient[name], own[i], above[0][i], above[1][i], len(values[0]), len(values[1]))
                for i, name in enumerate(names)
            ]
    columns = [
        "measurement", "contribution", "value", "above_reactive", "above_malignant", "n_reactive", "n_malignant",
    ]  # fmt: skip
    return [
        pd.DataFrame(table, columns=columns).sort_values(
            "contribution", ascending=False, kind="stable", ignore_index=True
        )
        for table in found
    ]


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
