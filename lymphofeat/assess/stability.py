"""Would the next run decide alike, choose alike, and how many patients would it take to know the score better?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError
from ..estimates import agreement, patients_to_halve
from ..nested.result import Nested
from .runs import Runs

__all__ = ["choices_table", "patients_table", "stability_table"]

_HALVED = ("balanced_accuracy", "auc")


def patients_table(main: Nested) -> pd.DataFrame:
    """One row per patient: id, label, runs that call it malignant, mean probability, flip_rate.

    The flip rate is the share of pairs of runs that decide differently; NaN with one run.
    """
    runs = Runs.of(main)
    flips = agreement(runs.decisions.T).flip_rate if runs.n_runs > 1 else np.full(len(main.y), np.nan)
    return pd.DataFrame(
        {
            "id": main.ids,
            "label": main.y,
            "called_malignant": runs.decisions.sum(axis=1),
            "runs": runs.n_runs,
            "probability": runs.probabilities.mean(axis=1),
            "flip_rate": flips,
        }
    )


def stability_table(main: Nested, *, seed: int = 0) -> pd.DataFrame:
    """Columns what, value: flip rate and κ of the decisions, spread of the score, patients for half the interval.

    Rows of decisions are NaN with one run; a score that does not vary over resamples leaves its patients NaN.
    """
    runs = Runs.of(main)
    rows: list[tuple[str, float]] = [("runs", runs.n_runs)]
    if runs.n_runs > 1:
        found = agreement(runs.decisions.T)
        flipping = float((found.flip_rate > 0).mean())
        rows += [("mean_flip_rate", float(found.flip_rate.mean())), ("patients_that_flip", flipping)]
        rows += [("fleiss_kappa", found.kappa)]
        for metric in _HALVED:
            each = [runs.run(run).value(metric) for run in range(runs.n_runs)]
            rows += [(f"{metric}_sd_over_runs", float(np.std(each, ddof=1)))]
    else:
        names = ("mean_flip_rate", "patients_that_flip", "fleiss_kappa")
        rows += [(name, float("nan")) for name in names]
    for metric in _HALVED:
        rows.append((f"patients_to_halve_{metric}", _to_halve(runs, metric, seed)))
    return pd.DataFrame(rows, columns=["what", "value"])


def choices_table(main: Nested) -> pd.DataFrame:
    """What the outer folds' searches chose; one row per parameter.

    Columns: parameter, folds (that have it), of (outer folds of all runs), most_frequent, share (of `folds` that chose
    it), alike (share of pairs of folds that agree), median, least, most (of numbers). The first row is the head type.
    """
    names = list(dict.fromkeys(name for fold in main.folds_of_runs for name in fold.params))
    rows = [_chosen("family", [fold.head_type for fold in main.folds_of_runs], len(main.folds_of_runs))]
    for name in names:
        if name != "family":
            values = [fold.params[name] for fold in main.folds_of_runs if name in fold.params]
            rows.append(_chosen(name, values, len(main.folds_of_runs)))
    return pd.DataFrame(rows)


def _chosen(name: str, values: Sequence[Any], of: int) -> dict[str, Any]:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    shown = [f"{v:.3g}" if isinstance(v, float) else str(v) for v in values]
    row: dict[str, Any] = {"parameter": name, "folds": len(values), "of": of}
    if len(values) > 1:
        found = agreement(np.array(shown)[:, None])
        row |= {"most_frequent": str(found.majority[0]), "share": float(found.share_of_majority[0])}
        row |= {"alike": float(1 - found.flip_rate[0])}
    else:
        row |= {"most_frequent": shown[0], "share": 1.0, "alike": float("nan")}
    spread = (np.median(values), min(values), max(values)) if numbers else (float("nan"),) * 3
    return row | dict(zip(("median", "least", "most"), map(float, spread), strict=True))


def _to_halve(runs: Runs, metric: str, seed: int) -> float:
    try:
        return float(patients_to_halve(runs.weighted(metric), runs.y, seed=seed))
    except InputError:  # every resample scores alike
        return float("nan")
