"""The table of nested predictions, as arrays."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..assess.runs import Runs

__all__ = ["has_role", "ids_of", "name_of", "runs_of"]


def has_role(predictions: pd.DataFrame, role: str) -> bool:
    """Whether a pipeline of that role is in the table."""
    return bool((predictions["role"] == role).any())


def name_of(predictions: pd.DataFrame, role: str) -> str:
    """The name of the pipeline of a role; of several, the first."""
    return str(predictions.loc[predictions["role"] == role, "pipeline"].iloc[0])


def ids_of(predictions: pd.DataFrame, role: str = "main") -> list[str]:
    """(n,) the patients of `runs_of`, in their order."""
    return [str(one) for one in _by_patient(predictions, role, "label").index]


def runs_of(predictions: pd.DataFrame, role: str = "main") -> Runs:
    """The predictions of a pipeline as arrays, a column per run.

    Args:
        predictions: the table `predictions` of an evaluation; a column `person`, where there is one, says which records
            are of one person.
        role: of the pipeline.
    """

    def values(column: str) -> NDArray[np.float64]:
        return np.asarray(_by_patient(predictions, role, column).to_numpy(np.float64))

    persons = None
    if "person" in predictions.columns:
        persons = values("person")[:, 0].astype(np.int64)
    return Runs(
        values("label")[:, 0].astype(np.int8), values("probability"), values("decision") > 0, values("score"), persons
    )  # fmt: skip


def _by_patient(predictions: pd.DataFrame, role: str, column: str) -> pd.DataFrame:
    """(patients, runs)."""
    rows = (predictions["role"] == role) & (predictions["pipeline"] == name_of(predictions, role))
    return predictions[rows].pivot(index="id", columns="run", values=column)
