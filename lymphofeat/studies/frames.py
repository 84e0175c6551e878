"""A study's trials and their out-of-fold predictions as tables."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from .rows import Row
from .space import HEAD_TYPE
from .trial import TrialSummary

__all__ = ["inputs_of", "predictions_frame", "trials_frame"]


def inputs_of(row: Row, takes: Mapping[str, Sequence[str]]) -> str:
    """What the row's head is given; head types that take one thing only do not sample it.

    Args:
        row: a finished trial.
        takes: per head type, the inputs that the study searches.
    """
    head_type = str(row.params[HEAD_TYPE])
    return str(row.params.get(f"{head_type}.inputs", takes[head_type][0]))


def trials_frame(rows: Sequence[Row], takes: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Finished trials.

    Args:
        rows: by number.
        takes: as of `inputs_of`.

    Returns:
        Indexed by number: value (the study's metric; NaN of a failed trial, of a stopped one on the patients until
        then), state ("COMPLETE", "PRUNED", "FAIL"), head_type, inputs, and per parameter of any trial a column
        `params_NAME` as in Optuna's `trials_dataframe`, missing where a trial does not have it.
    """
    table = [
        {
            "number": row.number,
            "value": row.value,
            "state": row.trial().state.name,
            "head_type": str(row.params[HEAD_TYPE]),
            "inputs": inputs_of(row, takes),
            **{f"params_{name}": value for name, value in row.params.items() if name != HEAD_TYPE},
        }
        for row in rows
    ]
    return pd.DataFrame(table).set_index("number")


def predictions_frame(trial: TrialSummary, ids: Sequence[str]) -> pd.DataFrame:
    """Out-of-fold predictions.

    Args:
        trial: the trial.
        ids: of its patients.

    Returns:
        One row per patient and repeat, repeats one behind the other: id, label, fold, repeat, probability (of
        malignant), decision (1 where it reaches the threshold of the patient's fold).
    """
    n, repeats = trial.scores.probabilities.shape
    return pd.DataFrame(
        {
            "id": np.tile(np.asarray(ids, dtype=object), repeats),
            "label": np.tile(trial.y, repeats),
            "fold": trial.folds.T.reshape(-1),
            "repeat": np.repeat(np.arange(repeats), n),
            "probability": trial.scores.probabilities.T.reshape(-1),
            "decision": trial.decisions.T.reshape(-1).astype(np.int8),
        }
    )
