"""A number with its bounds, and how far the truth may lie from a sample without any error, or without any success.

No resample of a flawless sample differs from it, so a bootstrap interval of it has no width. What is left is how well a
worse pipeline could do by chance: with `tail` the probability that the interval leaves to that side,

    AUC 1                with A^m, m the smaller class: matched at random the patients are m independent pairs, each
                         ordered rightly with probability A. So A < tail^(1/m) is shown to be wrong.
    balanced accuracy 1  with s₀^n₀ s₁^n₁ ≤ B^(1/e), e = max(λ₀/n₀, λ₁/n₁), since B = λ₀ s₀ + λ₁ s₁ ≥ s₀^λ₀ s₁^λ₁ (λ
                         1/2, or the classes' shares of the weight). So B < tail^e is.
    Brier score 0        no patient of n errs at all, though a share q of patients does: (1 − q)^n. The score is at most
                         q, and q > 1 − tail^(1/n) is shown to be wrong.

Average precision and log loss have no such bound; they are not known there (NaN). Where one person has several rows,
n₀, n₁ and n count persons, each once (`persons.Persons.of_class`); λ are the shares of the rows' weight.
"""

from math import isnan
from typing import NamedTuple

__all__ = ["SEEN", "Interval", "Unseen", "unseen", "widened"]

_FLAWLESS = 1e-12


class Interval(NamedTuple):
    """A score on all patients, and the bounds of its interval."""

    value: float
    low: float
    high: float


class Unseen(NamedTuple):
    """How far the truth may lie from a score although no resample does: the sum of 1 − tail^e over exponents e.

    Attributes:
        below, above: exponents, to either side; none where a side cannot be, NaN where it is not known how far.
    """

    below: tuple[float, ...] = ()
    above: tuple[float, ...] = ()

    def less(self, other: "Unseen") -> "Unseen":
        """Of the difference of this score and another."""
        return Unseen(self.below + other.above, self.above + other.below)


SEEN = Unseen()  # nothing that the resamples do not show


def unseen(
    metric: str,
    value: float,
    n_reactive: int,
    n_malignant: int,
    class_weights: tuple[float, float] | None = None,
    persons: tuple[int, int] | None = None,
) -> Unseen:
    """What a score of that many patients cannot see: nothing, unless it is 0 or 1.

    Args:
        metric: one of `metric.METRICS`.
        value: on all patients.
        n_reactive, n_malignant: at least 1 each.
        class_weights: see `scores.balanced_accuracy_score`.
        persons: how many persons the reactive and the malignant rows are of, each person counted once; None: as many.
    """
    if _FLAWLESS < value < 1 - _FLAWLESS or value > 1 + _FLAWLESS:
        return SEEN
    rows = n_reactive, n_malignant
    sizes = [max(n, 1) for n in (rows if persons is None else persons)]  # 0: the one person has rows of both
    weights = [n * w for n, w in zip(rows, class_weights or (1 / n_reactive, 1 / n_malignant), strict=True)]
    exponent = {
        "auc": 1 / min(sizes),
        "balanced_accuracy": max(w / sum(weights) / n for w, n in zip(weights, sizes, strict=True)),
        "brier": 1 / sum(sizes),
    }.get(metric, float("nan"))
    return Unseen(below=(exponent,)) if value > _FLAWLESS else Unseen(above=(exponent,))


def widened(interval: Interval, beyond: Unseen, confidence: float) -> Interval:
    """An interval without width, with what its sample could not see, NaN if not known; any other stays as it is."""
    if interval.high - interval.low > _FLAWLESS:
        return interval
    tail = (1 - confidence) / 2
    low, high = (sum(1 - tail**exponent for exponent in side) for side in beyond)
    if isnan(low + high):
        return Interval(interval.value, low + high, low + high)
    return Interval(interval.value, interval.low - low, interval.high + high)
