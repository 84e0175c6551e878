"""Parts of the cohort: by sex, age, count, size of the bag, and how the date of birth was written."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..estimates.persons import Persons
from ..estimates.scores import Interval
from ..estimates.subgroups import FEWEST
from .runs import NOT_KNOWN, Runs

__all__ = ["SUBGROUP_METRICS", "subgroups_of", "subgroups_table"]

SUBGROUP_METRICS = ("balanced_accuracy", "sensitivity", "specificity", "auc", "brier")
_BANDED = {"age": "age", "lymphocyte_count": "count", "n_images": "images"}
_NAMED = {"sex": "sex", "date_order": "date"}


def subgroups_of(patients: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Name → (n,) bool mask.

    Numbers (age in years, lymphocyte count in 10⁹/l, images of a patient) are cut into thirds of these patients, with
    the band's least and largest value in its name; a missing value is a group of its own. Words (sex, spelling of the
    date of birth) make a group each. Columns that the table lacks are passed over, and groups that hold everyone.

    Args:
        patients: (n,) rows of the scored patients, with any of the columns sex, age, count, n_images, date_order.
    """
    masks: dict[str, NDArray[np.bool_]] = {}
    for column, word in _NAMED.items():
        if column in patients.columns:
            values = patients[column].astype(object).fillna("").astype(str).to_numpy()
            masks |= {f"{word} {v or 'missing'}": values == v for v in np.unique(values)}
    for column, word in _BANDED.items():
        if column in patients.columns:
            masks |= dict(_thirds(word, patients[column].to_numpy(np.float64)))
    return {name: mask for name, mask in masks.items() if mask.any() and not mask.all()}


def subgroups_table(
    runs: Runs, patients: pd.DataFrame, *, n_resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """One row per subgroup: subgroup, n, malignant, and `SUBGROUP_METRICS` with 95 % bounds by patient.

    Where persons have several records, n and malignant count records, and a last column counts `persons`. Metrics are
    empty with fewer than `FEWEST` persons of a class. One of k subgroups misses its interval by chance in
    k times as many cohorts.

    Raises:
        InputError: another number of patients.
    """
    if len(patients) != len(runs.y):
        raise InputError(f"The table has {len(patients)} patients, the predictions {len(runs.y)}.")
    rows = []
    for name, mask in {"all": np.ones(len(runs.y), dtype=bool), **subgroups_of(patients)}.items():
        part = runs.take(mask)
        n_malignant = int(part.y.sum())
        scores: dict[str, Interval] = dict.fromkeys(SUBGROUP_METRICS, NOT_KNOWN)
        persons = Persons.behind(part.y, part.groups)
        if min(persons.of_class) >= FEWEST:
            scores = part.describe(SUBGROUP_METRICS, n_resamples=n_resamples, seed=seed)
        row: dict[str, str | float] = {"subgroup": name, "n": len(part.y), "malignant": n_malignant}
        for metric, interval in scores.items():
            row |= {metric: interval.value, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
        if runs.groups is not None:
            row["persons"] = len(persons)
        rows.append(row)
    return pd.DataFrame(rows)


def _thirds(word: str, values: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    known = np.isfinite(values)
    if not known.all():
        yield f"{word} missing", ~known
    if len(np.unique(values[known])) < 3:
        return
    edges = np.quantile(values[known], [1 / 3, 2 / 3])
    band = np.searchsorted(edges, values, side="left")  # of NaN, the last; masked below
    for k in range(3):
        mask = known & (band == k)
        if mask.any():
            yield f"{word} {_number(values[mask].min())}–{_number(values[mask].max())}", mask


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 20 or value == int(value) else f"{value:.1f}"
