"""Does the same patient get the same decision again? Repeats and seeds as raters.

Flip rate: the share of pairs of runs that decide a patient differently, so 0 where all agree and about 1/2 where each
run tosses a coin. Over all patients, agreement beyond chance: κ = (P̄ − Pₑ)/(1 − Pₑ) with P̄ the mean share of agreeing
pairs and Pₑ = Σ (share of each choice)² (Fleiss, *Measuring nominal scale agreement among many raters*, Psychological
Bulletin 76, 1971). The choices may be decisions, or the parameters that outer folds chose.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ._checks import Floats

__all__ = ["Agreement", "agreement"]


@dataclass(frozen=True)
class Agreement:
    """How alike runs decide.

    Attributes:
        flip_rate: (n,) float64, per patient.
        majority: (n,) the most frequent choice, the smallest of several.
        share_of_majority: (n,) float64, how many of the runs make it.
        kappa: Fleiss' κ; NaN where all runs make one and the same choice for all patients.
    """

    flip_rate: Floats
    majority: NDArray[np.generic]
    share_of_majority: Floats
    kappa: float


def agreement(choices: ArrayLike) -> Agreement:
    """Agreement of runs.

    Args:
        choices: (R, n), a row per run (repeat × seed), a column per patient: decisions, or any values that can be
            compared and sorted.

    Raises:
        InputError: fewer than two runs, or no patients.
    """
    made = np.asarray(choices)
    if made.ndim != 2 or made.shape[0] < 2 or made.shape[1] < 1:
        raise InputError(f"Agreement is of at least two runs × the same patients, not of {made.shape}.")
    values, coded = np.unique(made, return_inverse=True)
    n_runs, n = made.shape
    counts = np.zeros((n, len(values)))
    np.add.at(counts, (np.tile(np.arange(n), n_runs), coded.reshape(-1)), 1)
    alike = (counts * (counts - 1)).sum(axis=1) / (n_runs * (n_runs - 1))
    by_chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    kappa = (float(alike.mean()) - by_chance) / (1 - by_chance) if len(values) > 1 else float("nan")
    top = counts.argmax(axis=1)
    return Agreement(1 - alike, values[top], counts[np.arange(n), top] / n_runs, kappa)
