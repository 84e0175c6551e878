"""Whom a pipeline decides rightly and wrongly: the confusion matrix, and the wrongly decided patients by ID."""

import numpy as np
import pandas as pd

from ..nested.result import Nested
from .runs import Runs

__all__ = ["confusion_table", "wrong_table"]


def confusion_table(main: Nested) -> pd.DataFrame:
    """Two rows: label, n, called_reactive, called_malignant; patients, on average over the runs."""
    runs = Runs.of(main)
    called = runs.decisions.mean(axis=1)
    rows = [
        {
            "label": label,
            "n": int((runs.y == label).sum()),
            "called_reactive": float((1 - called[runs.y == label]).sum()),
            "called_malignant": float(called[runs.y == label].sum()),
        }
        for label in (0, 1)
    ]
    return pd.DataFrame(rows)


def wrong_table(main: Nested) -> pd.DataFrame:
    """The patients whom some run decides wrongly: id, label, wrong_runs, runs, probability (mean over the runs).

    Those whom most runs decide wrongly first, of equals those with the probability furthest from their label.
    """
    runs = Runs.of(main)
    wrong = (runs.decisions != (runs.y == 1)[:, None]).sum(axis=1)
    probability = runs.probabilities.mean(axis=1)
    table = pd.DataFrame(
        {
            "id": main.ids,
            "label": runs.y,
            "wrong_runs": wrong,
            "runs": runs.n_runs,
            "probability": probability,
        }
    )
    order = np.lexsort((-np.abs(probability - runs.y), -wrong))
    found: pd.DataFrame = table.iloc[order[wrong[order] > 0]].reset_index(drop=True)
    return found
