"""Which images drive the prediction: what each image of a patient adds to the log-odds of malignant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from ..cache.bags import Bags
from ..heads.base import ExplainsImages

__all__ = ["ImageContributions", "Method", "image_contributions", "leave_one_out", "log_odds_of"]

Floats = NDArray[np.float64]

# exact, attention: the head's own answer, see `lymphofeat.heads.contributions`. leave-one-out: what the log-odds lose
# without the image. none: the head sees no image.
Method = Literal["exact", "attention", "leave-one-out", "none"]
_NEAREST = 1e-12


@dataclass(frozen=True)
class ImageContributions:
    """One patient.

    Attributes:
        method: how they were found, see `Method`.
        values: (n_i,) float64 log-odds, above 0 towards malignant; NaN for an only image left out.
        weights: (n_i,) float64 attention, adding up to 1; None without.
        logit: the patient's log-odds under the head.
    """

    method: Method
    values: Floats
    weights: Floats | None
    logit: float


def image_contributions(head: Any, bags: Bags, clinical: pd.DataFrame) -> list[ImageContributions]:
    """What the head itself tells of its images, else what leaving one image out changes.

    Args:
        head: fitted.
        bags, clinical: n patients, as for `predict_proba`.
    """
    logits = log_odds_of(head, bags, clinical)
    method: Method = "none"
    values: Sequence[Floats] = [np.zeros(n) for n in bags.lengths.tolist()]
    weights: Sequence[Floats] | None = None
    if getattr(head, "inputs", None) != "clinical":
        told = head.image_contributions(bags, clinical) if isinstance(head, ExplainsImages) else None
        if told is None:
            method, values = "leave-one-out", leave_one_out(head, bags, clinical)
        else:
            method, values, weights = told.method, told.images, told.weights
            logits = told.logits if method == "exact" else logits
    return [
        ImageContributions(method, values[i], None if weights is None else weights[i], float(logits[i]))
        for i in range(len(bags))
    ]


def leave_one_out(head: Any, bags: Bags, clinical: pd.DataFrame) -> list[Floats]:
    """Per patient (n_i,): the log-odds less those without the image; NaN for the only image of a patient.

    Heads do not look at the order of the images, so the bag without image j is the n − 1 images that follow it in the
    bag put down twice: nothing is copied per image.
    """
    whole = log_odds_of(head, bags, clinical)
    found = []
    for i, n in enumerate(bags.lengths.tolist()):
        if n == 1:
            found.append(np.full(1, np.nan))
            continue
        starts = np.arange(1, n + 1, dtype=np.int64)
        rows = np.tile(bags.starts[i] + np.arange(n, dtype=np.int64), 2)
        without = bags.of_rows(rows, starts, np.full(n, n - 1, dtype=np.int64))
        row = clinical.iloc[np.full(n, i)]
        found.append(whole[i] - log_odds_of(head, without, row))
    return found


def log_odds_of(head: Any, bags: Bags, clinical: pd.DataFrame) -> Floats:
    """(n,) log-odds of malignant; probabilities are kept 1e-12 from 0 and 1."""
    p = np.clip(head.predict_proba(bags, clinical)[:, 1], _NEAREST, 1 - _NEAREST)
    return np.asarray(logit(p), dtype=np.float64)
