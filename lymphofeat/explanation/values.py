"""What each clinical value of a patient adds to the log-odds, and how it compares with the training patients'."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.bags import Bags
from ..cohort.clinical import CLINICAL_COLUMNS
from ..cohort.values import Declared, is_missing, value_text
from .images import log_odds_of

__all__ = ["seen_columns", "value_contributions", "value_table"]

_UNITS = {"age": "years", "lymphocyte_count": "10⁹/l"}
_NAMES = {"lymphocyte_count": "lymphocyte count"}


def value_contributions(
    head: Any,
    bags: Bags,
    clinical: pd.DataFrame,
    rows: NDArray[np.int64],
    training: NDArray[np.int64],
    names: Sequence[str],
) -> list[dict[str, float]]:
    """Per clinical value, the log-odds minus those with the typical value of the training patients in its place.

    Typical is the median of numbers, and the commonest of other values. Shares need not add up.

    Args:
        head: fitted on `training`.
        bags, clinical: the whole cohort.
        rows: (n,) of the patients.
        training: (m,) rows of the training patients.
        names: columns of `clinical`.

    Returns:
        Per patient, log-odds, above 0 towards malignant; none of a head on images only.
    """
    if getattr(head, "inputs", None) == "image":
        return [{} for _ in rows]
    own, typical = clinical.iloc[rows], _typical(clinical.iloc[training], names)
    tables = [own, *(own.assign(**{name: [typical[name]] * len(rows)}) for name in names)]
    given = bags.select(np.tile(rows, len(tables)))
    log_odds = log_odds_of(head, given, pd.concat(tables)).reshape(len(tables), len(rows))
    return [dict(zip(names, (one[0] - one[1:]).tolist(), strict=True)) for one in log_odds.T]


def value_table(
    contributions: Mapping[str, float],
    clinical: pd.DataFrame,
    declared: Declared,
    row: int,
    train: NDArray[np.int64],
    labels: NDArray[np.int8],
) -> pd.DataFrame:
    """The clinical values beside those of labelled training patients, towards malignant first.

    Args:
        contributions: of `value_contributions`, or a mean of several.
        clinical: all patients' values.
        declared: the declared columns.
        row: the patient.
        train: (m,) rows of the training patients.
        labels: (n_patients,) 0 or 1 of those.

    Returns:
        Columns value (its name), text ("11.2 g/dl"), contribution (log-odds), above_reactive and above_malignant (the
        share of the known values of training patients of that label that are smaller, ties counted half; NaN of a value
        that is missing, or is no number), n_reactive, n_malignant (of those).
    """
    rows = []
    for name, contribution in contributions.items():
        own = clinical[name].iloc[row]
        above, known = [], []
        for label in (0, 1):
            others = clinical[name].iloc[train[labels[train] == label]]
            comparable = _is_number(name, declared) and not is_missing(own)
            values = others.dropna().to_numpy(np.float64) if comparable else np.empty(0)
            above.append(
                float(((values < own).mean() + (values <= own).mean()) / 2) if len(values) else np.nan
            )
            known.append(len(values))
        rows.append((_NAMES.get(name, name), _text(name, own, declared), contribution, *above, *known))
    columns = [
        "value",
        "text",
        "contribution",
        "above_reactive",
        "above_malignant",
        "n_reactive",
        "n_malignant",
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("contribution", ascending=False, kind="stable", ignore_index=True)


def _is_number(name: str, declared: Declared) -> bool:
    return name in _UNITS or (name in declared and declared[name].kind == "number")


def _text(name: str, value: Any, declared: Declared) -> str:
    if name in declared:
        return value_text(declared[name], value)
    if is_missing(value):
        return "missing"
    return str(value) if name == "sex" else f"{value:.4g} {_UNITS[name]}"


def _typical(table: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """The training patients' median or commonest value."""
    found: dict[str, Any] = {}
    for name in names:
        known = table[name][[not is_missing(value) for value in table[name]]]
        numbers = pd.api.types.is_numeric_dtype(table[name]) and not set(known.unique()) <= {0.0, 1.0}
        missing = np.nan if pd.api.types.is_numeric_dtype(table[name]) else ""
        found[name] = (known.median() if numbers else known.mode().iloc[0]) if len(known) else missing
    return found


def seen_columns(declared: Declared, names: Sequence[str]) -> tuple[str, ...]:
    """The columns of a clinical table that heads look at: age, sex, lymphocyte_count, and the declared ones named."""
    return (*CLINICAL_COLUMNS, *(name for name in declared if name in names))
