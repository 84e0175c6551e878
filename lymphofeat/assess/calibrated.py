"""Probabilities made right inside the outer folds: fitted on inner predictions, applied to the fold."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..estimates import CALIBRATORS, error_if_calibrated
from ..estimates.persons import one_row_each
from ..nested.result import Nested, NestedFold
from .runs import Runs

__all__ = ["CALIBRATION_METRICS", "calibrated", "calibration_table", "inner_of"]

Floats = NDArray[np.float64]

CALIBRATION_METRICS = ("log_loss", "brier", "calibration_slope", "calibration_intercept", "calibration_error")


def inner_of(
    nested: Nested, fold: NestedFold, *, one_each: bool = False
) -> tuple[NDArray[np.int8], Floats] | None:
    """(m,) labels and inner out-of-fold probabilities of a fold's training patients; None where a class is missing.

    They come from models that saw neither the patient nor the fold.

    Args:
        nested, fold: which one.
        one_each: one record of each person only, for what asks for independent patients.
    """
    known = ~np.isnan(fold.inner)
    known[fold.rows] = False
    if one_each and nested.groups is not None:
        known[known] = one_row_each(nested.y[known], nested.groups[known])
    y = nested.y[known]
    return (y, fold.inner[known]) if len(np.unique(y)) == 2 else None


def calibrated(nested: Nested, method: str) -> Floats | None:
    """(n, runs) float64 probabilities, each calibrated by what inner predictions of its fold's training part taught.

    Args:
        nested: whose probabilities.
        method: one of `estimates.CALIBRATORS`.

    Returns:
        None where some fold has no inner predictions of both classes.
    """
    found = np.full(nested.probabilities.shape, np.nan)
    for fold in nested.folds_of_runs:
        inner = inner_of(nested, fold)
        if inner is None:
            return None
        y, p = inner
        found[fold.rows, fold.run] = CALIBRATORS[method]().fit(p, y).transform(fold.probabilities)
    return found


def calibration_table(nested: Nested, *, n_resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """One row per calibrator and one, "none", of the probabilities as they are.

    Columns: calibrator, `CALIBRATION_METRICS` with 95 % bounds by patient, and `error_if_calibrated` with bounds: what
    perfect probabilities would show on as many patients, which the calibration error is to be read beside.
    Calibrators are left out where folds have no inner predictions.
    """
    runs = Runs.of(nested)
    each = {"none": runs}
    for method in CALIBRATORS:
        p = calibrated(nested, method)
        if p is not None:
            each[method] = runs.with_probabilities(p)
    rows = []
    for method, these in each.items():
        row: dict[str, str | float] = {"calibrator": method}
        for metric, interval in these.describe(
            CALIBRATION_METRICS, n_resamples=n_resamples, seed=seed
        ).items():
            row |= {metric: interval.value, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
        perfect = [error_if_calibrated(p, groups=nested.groups, seed=seed) for p in these.probabilities.T]
        names = ("error_if_calibrated", "error_if_calibrated_low", "error_if_calibrated_high")
        rows.append(row | dict(zip(names, np.mean(perfect, axis=0).tolist(), strict=True)))
    return pd.DataFrame(rows)
