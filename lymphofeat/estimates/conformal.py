"""Split conformal prediction sets for two classes: who can be decided, who is referred.

The set of a patient holds each label whose nonconformity 1 − p(label) is at most the k-th smallest of those that n
calibration patients have with their own label (Papadopoulos et al., ECML 2002; Vovk, Gammerman & Shafer, *Algorithmic
Learning in a Random World*, 2005). Two guarantees, for a new patient exchangeable with those:

- on average over calibration cohorts: k = ⌈(n + 1)(1 − ε)⌉ gives P(label in set) ≥ 1 − ε;
- for this cohort, at confidence 1 − δ: the smallest k with P(Beta(k, n + 1 − k) ≥ 1 − ε) ≥ 1 − δ (Vovk, *Conditional
  validity of inductive conformal predictors*, ACML 2012).

By class (`class_conditional`), k is taken for each label among its own patients, and the guarantee holds for reactive
and malignant patients each. A set of one label is a decision, one of both a referral. An empty set is given its
likelier label: coverage only grows. So at most ε of *all* patients are decided wrongly; what share of the *decided* is
wrong is the target error of `triage`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ._checks import Floats, labels_and_probabilities, share

__all__ = ["REFER", "Conformal", "calibration_rank", "split_conformal"]

REFER = -1


@dataclass(frozen=True)
class Conformal:
    """Prediction sets at one target error.

    Attributes:
        error: ε.
        confidence: 1 − δ of the target error for this cohort, or None for the one on average.
        limits: (2,) the largest nonconformity with which label 0, label 1 is in the set; infinite where the calibration
            patients are too few for any smaller one.
    """

    error: float
    confidence: float | None
    limits: Floats

    def sets(self, p: ArrayLike) -> NDArray[np.bool_]:
        """(n,) probabilities of label 1 → (n, 2) bool, whether label 0, label 1 is in the set; never none."""
        _, malignant = labels_and_probabilities(np.zeros(len(np.asarray(p))), p)
        inside = _nonconformity(malignant) <= self.limits
        empty = ~inside.any(axis=1)
        inside[empty, (malignant[empty] >= 0.5).astype(np.intp)] = True
        return np.asarray(inside)

    def decide(self, p: ArrayLike) -> NDArray[np.int8]:
        """(n,) probabilities of label 1 → (n,) decisions 0, 1 or `REFER`."""
        inside = self.sets(p)
        return np.where(inside.all(axis=1), REFER, inside[:, 1]).astype(np.int8)


def split_conformal(
    y: ArrayLike,
    p: ArrayLike,
    error: float,
    *,
    confidence: float | None = None,
    class_conditional: bool = False,
) -> Conformal:
    """Calibrate prediction sets.

    Args:
        y: (n,) labels 0 and 1, both present.
        p: (n,) probabilities of label 1 from one model that saw none of the patients. Out-of-fold probabilities of
            several models are only nearly exchangeable with those of the model that meets the new patients.
        error: ε, in (0, 1).
        confidence: 1 − δ, in (0, 1); None for the target error on average over calibration cohorts.
        class_conditional: whether the target error holds for either class.

    Raises:
        InputError: one class only, bad values or lengths.
    """
    labels, malignant = labels_and_probabilities(y, p)
    share("target error", error)
    if confidence is not None:
        share("confidence", confidence)
    if labels.all() or not labels.any():
        raise InputError("Prediction sets need calibration patients of both classes, labelled 0 and 1.")
    own = _nonconformity(malignant)[np.arange(len(labels)), labels.astype(np.intp)]
    groups = (own[~labels], own[labels]) if class_conditional else (own, own)
    return Conformal(error, confidence, np.array([_limit(scores, error, confidence) for scores in groups]))


def calibration_rank(n: int, error: float) -> int:
    """k = ⌈(n + 1)(1 − ε)⌉: a new value exceeds the k-th smallest of n exchangeable ones with probability ≤ ε.

    n + 1 where they are too few for any to do.
    """
    return int(np.ceil((n + 1) * (1 - error) - 1e-9))  # a float: 19.000000000000004 means 19


def _nonconformity(malignant: Floats) -> Floats:
    """(n,) probabilities of label 1 → (n, 2) nonconformity of label 0 and of label 1."""
    return np.column_stack([malignant, 1 - malignant])


def _limit(scores: Floats, error: float, confidence: float | None) -> float:
    n = len(scores)
    if confidence is None:
        k = calibration_rank(n, error)
    else:
        from scipy.stats import beta  # a second or more to import

        ranks = np.arange(1, n + 1)
        enough = np.flatnonzero(beta.sf(1 - error, ranks, n + 1 - ranks) >= confidence)
        k = int(ranks[enough[0]]) if len(enough) else n + 1
    return float(np.sort(scores)[k - 1]) if k <= n else np.inf
