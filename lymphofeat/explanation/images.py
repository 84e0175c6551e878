"""Which images drive the prediction: what each image of a patient adds to the log-odds of malignant."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from ..cache.bags import Bags
from ..heads.base import ExplainsImages

__all__ = [
    "ImageContributions",
    "Method",
    "contribution_table",
    "image_contributions",
    "in_batches",
    "leave_one_out",
    "log_odds_of",
]

Floats = NDArray[np.float64]

# exact, attention: the head's own answer, see `lymphofeat.heads.contributions`. leave-one-out: what the log-odds lose
# without the image. none: the head sees no image.
Method = Literal["exact", "attention", "leave-one-out", "none"]
_NEAREST = 1e-12
_IMAGES_AT_ONCE = 1 << 17  # 256 MiB of 512 features


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
    found = [np.full(n, np.nan) for n in bags.lengths.tolist()]
    several = np.flatnonzero(bags.lengths > 1)
    for some in in_batches(several, bags.lengths[several] * (bags.lengths[several] - 1)):
        lengths = bags.lengths[some]
        first = np.cumsum(2 * lengths) - 2 * lengths
        rows = [np.tile(bags.starts[i] + np.arange(bags.lengths[i], dtype=np.int64), 2) for i in some]
        starts = [k + np.arange(1, n + 1, dtype=np.int64) for k, n in zip(first, lengths, strict=True)]
        without = bags.of_rows(np.concatenate(rows), np.concatenate(starts), np.repeat(lengths - 1, lengths))
        log_odds = log_odds_of(head, without, clinical.iloc[np.repeat(some, lengths)])
        for i, those in zip(some.tolist(), np.split(log_odds, np.cumsum(lengths)[:-1]), strict=True):
            found[i] = whole[i] - those
    return found


def contribution_table(
    names: Sequence[str], found: Sequence[tuple[ImageContributions, float]]
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """The images of a patient under several heads.

    Args:
        names: (n_images,) in the bag's order.
        found: of each fitted head, and its share of the whole.

    Returns:
        The table `Explanation.images`, and where the image of each row stands in the bag.
    """
    attention = [(one.weights, share) for one, share in found if one.weights is not None]
    attended = sum(share for _, share in attention)
    table = {
        "image": names,
        "contribution": np.sum([share * one.values for one, share in found], axis=0),
        "attention": np.sum([share / attended * weights for weights, share in attention], axis=0)
        if attention
        else np.nan,
    }
    ordered = pd.DataFrame(table).sort_values("contribution", ascending=False, kind="stable")
    return ordered.reset_index(drop=True), ordered.index.to_numpy(np.int64)


def log_odds_of(head: Any, bags: Bags, clinical: pd.DataFrame) -> Floats:
    """(n,) log-odds of malignant; probabilities are kept 1e-12 from 0 and 1."""
    p = np.clip(head.predict_proba(bags, clinical)[:, 1], _NEAREST, 1 - _NEAREST)
    return np.asarray(logit(p), dtype=np.float64)


def in_batches(rows: NDArray[np.int64], images: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The rows in runs, so that a head is asked about some hundred thousand images at a time, or about one patient.

    Args:
        rows: (n,) of patients.
        images: (n,) that a head is asked about for each.
    """
    run = np.cumsum(images) // _IMAGES_AT_ONCE
    for number in np.unique(run):
        yield rows[run == number]
