"""Parts of the cohort: by sex, age, count, size of the bag, and how the date of birth was written."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..estimates.persons import Persons
from ..estimates.scores import Interval
from ..estimates.subgroups import FEWEST
from .answer import COMPARED
from .runs import NOT_KNOWN, Runs, compare_runs

__all__ = ["LOW_COUNTS", "SUBGROUP_METRICS", "gains_table", "subgroups_of", "subgroups_table"]

SUBGROUP_METRICS = ("balanced_accuracy", "sensitivity", "specificity", "auc", "brier")
LOW_COUNTS = "count ≤ "  # how the name of the half begins that a count alone does not decide
_BANDED = {"age": "age", "lymphocyte_count": "count", "n_images": "images"}
_NAMED = {"sex": "sex", "date_order": "date"}


def subgroups_of(patients: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Name → (n,) bool mask.

    Numbers (age in years, lymphocyte count in 10⁹/l, images of a patient) are cut into thirds of these patients, with
    the band's least and largest value in its name; a missing value is a group of its own. Words (sex, spelling of the
    date of birth) make a group each. Those whose count is at most the median, the half that a count alone does not
    decide, are a group beside the thirds. Columns that the table lacks are passed over, and groups that hold everyone.

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
    if "lymphocyte_count" in patients.columns:
        counts = patients["lymphocyte_count"].to_numpy(np.float64)
        if np.isfinite(counts).any():
            median = float(np.nanmedian(counts))
            masks[f"{LOW_COUNTS}{median:.3g}"] = counts <= median
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
    rows = []
    for name, part in _parts(runs, patients):
        scores: dict[str, Interval] = dict.fromkeys(SUBGROUP_METRICS, NOT_KNOWN)
        if _are_enough(part):
            scores = part.describe(SUBGROUP_METRICS, n_resamples=n_resamples, seed=seed)
        rows.append(_row(name, part, scores))
    return pd.DataFrame(rows)


def gains_table(
    main: Runs, clinical: Runs, patients: pd.DataFrame, *, n_resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Whom images help: the main pipeline less clinical values alone, a row per subgroup.

    Columns as of `subgroups_table`, for the differences by `COMPARED`, of the paired bootstrap. They are not adjusted
    for their number.

    Raises:
        InputError: another number of patients.
    """
    rows = []
    there = dict(_parts(clinical, patients))
    for name, part in _parts(main, patients):
        gains = dict.fromkeys(COMPARED, NOT_KNOWN)
        if _are_enough(part):
            gains = {
                metric: compare_runs(part, there[name], metric, n_resamples=n_resamples, seed=seed).difference
                for metric in COMPARED
            }
        rows.append(_row(name, part, gains))
    return pd.DataFrame(rows)


def _parts(runs: Runs, patients: pd.DataFrame) -> Iterator[tuple[str, Runs]]:
    """Everyone, and each subgroup.

    Raises:
        InputError: another number of patients.
    """
    if len(patients) != len(runs.y):
        raise InputError(f"The table has {len(patients)} patients, the predictions {len(runs.y)}.")
    for name, mask in {"all": np.ones(len(runs.y), dtype=bool), **subgroups_of(patients)}.items():
        yield name, runs.take(mask)


def _are_enough(part: Runs) -> bool:
    return min(Persons.behind(part.y, part.groups).of_class) >= FEWEST


def _row(name: str, part: Runs, scores: Mapping[str, Interval]) -> dict[str, str | float]:
    row: dict[str, str | float] = {"subgroup": name, "n": len(part.y), "malignant": int(part.y.sum())}
    for metric, interval in scores.items():
        row |= {metric: interval.value, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
    if part.groups is not None:
        row["persons"] = len(Persons.behind(part.y, part.groups))
    return row


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
