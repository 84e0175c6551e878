"""Would the next run decide alike, choose alike, and how many patients would it take to know the score better?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
    """What the searches inside the outer folds chose; one row per parameter, the first row is the head type.

    An outer fold may average several heads. Each head counts with its weight, so that every fold counts as one, and one
    head per fold is the plain count.

    Columns: parameter, folds (with a head that has it), of (outer folds of all runs), weight (of the heads that have
    it, mean over all outer folds), most_frequent, share (of that weight that chose it), alike (share of pairs of heads
    from two different folds, drawn by their weights, that agree), median (by weight), least, most (of numbers).
    """
    n = len(main.folds_of_runs)
    heads = [
        (k, params, weight) for k, fold in enumerate(main.folds_of_runs) for params, weight in fold.members
    ]
    names = dict.fromkeys(["family", *(name for _, params, _ in heads for name in params)])
    return pd.DataFrame(
        [_chosen(name, [(k, p[name], weight) for k, p, weight in heads if name in p], n) for name in names]
    )


def _chosen(name: str, choices: Sequence[tuple[int, Any, float]], of: int) -> dict[str, Any]:
    """A row of `choices_table` from (fold, value, weight) of the heads that have the parameter."""
    folds, values, given = (list(column) for column in zip(*choices, strict=True))
    weights = np.array(given)
    shown, which = np.unique(
        [f"{v:.3g}" if isinstance(v, float) else "none" if v is None else str(v) for v in values],
        return_inverse=True,
    )
    by_fold = np.zeros((len(set(folds)), len(shown)))  # weight of each value in each fold
    np.add.at(by_fold, (np.unique(folds, return_inverse=True)[1], which), weights)
    total = by_fold.sum(axis=0)
    # Over pairs of different folds: all pairs less those within a fold.
    agreeing = (total**2).sum() - (by_fold**2).sum()
    pairs = total.sum() ** 2 - (by_fold.sum(axis=1) ** 2).sum()
    row: dict[str, Any] = {"parameter": name, "folds": len(by_fold), "of": of, "weight": total.sum() / of}
    row |= {"most_frequent": str(shown[total.round(9).argmax()]), "share": float(total.max() / total.sum())}
    row |= {"alike": float(agreeing / pairs) if len(by_fold) > 1 else float("nan")}
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    spread = (_median(values, weights), min(values), max(values)) if numbers else (float("nan"),) * 3
    return row | dict(zip(("median", "least", "most"), map(float, spread), strict=True))


def _median(values: Sequence[float], weights: NDArray[np.float64]) -> float:
    """The least value with half of the weight at it or below."""
    return float(np.quantile(values, 0.5, weights=weights, method="inverted_cdf"))


def _to_halve(runs: Runs, metric: str, seed: int) -> float:
    try:
        return float(patients_to_halve(runs.weighted(metric), runs.y, groups=runs.groups, seed=seed))
    except InputError:  # every resample scores alike
        return float("nan")
