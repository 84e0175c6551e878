"""Triage: decide the certain patients, refer the others, and limit how many of the decided are wrong.

A patient's certainty is how far p lies from the threshold on its side of it, as a share of that side: (p −
threshold)/(1 − threshold) or (threshold − p)/threshold. Patients more certain than a limit t are decided. The target
error, at confidence 1 − δ:

    P(wrong | decided) ≤ ε

*Learn then test* (Angelopoulos et al., Annals of Applied Statistics 19, 2025): every limit is a null hypothesis "its
error is above ε", and the loosest limit is taken of which the null is rejected with family-wise error δ. The limits
tried are the certainty of the m-th most certain patient. Given it, those more certain are independent draws among the
patients surer than it, so that with w wrong of them P(Binomial(m − 1, ε) ≤ w) is a p-value (its inverse is the
Clopper–Pearson bound); a Hoeffding–Bentkus bound (Bates et al., Journal of the ACM 68, 2021) may take its place.

- "fixed-sequence" tests m = m₀, m₀ + 1, …, n at level δ until one is not rejected. m₀ is where `allowed` wrong ones
  could still be rejected, hence known beforehand. It keeps δ where surer patients are wrong less often: then the
  first true null is the first limit below the certainty t* at which the error reaches ε; given which m that is, the
  m − 1 more certain ones are independent draws above t*, wrong with probability ε. Exact where no two are equally
  certain.
- "bonferroni" tests the most certain 5 %, 10 %, … 100 % at level δ/20 each and takes the loosest rejected. It needs no
  such order.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ._checks import Floats, labels_and_probabilities, share
from .conformal import REFER
from .exact import share_interval
from .scores import Interval

__all__ = ["Bound", "Search", "Triage", "p_value_above", "triage"]

Search = Literal["fixed-sequence", "bonferroni"]
Bound = Literal["clopper-pearson", "hoeffding-bentkus"]
_BONFERRONI = 20


@dataclass(frozen=True)
class Triage:
    """Which patients are decided at a target error.

    Attributes:
        error, confidence: the target error ε, and 1 − δ.
        threshold: malignant at p ≥ threshold.
        limit: patients more certain than this are decided; infinite where nobody can be decided.
        n: patients it was found on.
        n_decided, n_wrong: of them.
    """

    error: float
    confidence: float
    threshold: float
    limit: float
    n: int
    n_decided: int
    n_wrong: int

    @property
    def decided(self) -> Interval:
        """The share decided, with its Clopper–Pearson interval as of a limit fixed beforehand."""
        return share_interval(self.n_decided, self.n)

    def decide(self, p: ArrayLike) -> NDArray[np.int8]:
        """(n,) probabilities of label 1 → (n,) decisions 0, 1 or `REFER`."""
        _, probabilities = labels_and_probabilities(np.zeros(len(np.asarray(p))), p)
        certainties = certainty(probabilities, self.threshold) > self.limit
        return np.where(certainties, probabilities >= self.threshold, REFER).astype(np.int8)


def triage(
    y: ArrayLike,
    p: ArrayLike,
    error: float,
    *,
    confidence: float = 0.95,
    threshold: float = 0.5,
    search: Search = "fixed-sequence",
    bound: Bound = "clopper-pearson",
    allowed: int = 1,
) -> Triage:
    """Decide as many patients as the target error allows.

    Args:
        y: (n,) labels 0 and 1.
        p: (n,) probabilities of label 1 from one model that saw none of the patients; out-of-fold ones of several
            models stand in for it.
        error: ε, in (0, 1).
        confidence: 1 − δ, in (0, 1).
        threshold: in (0, 1), not chosen on these patients.
        search, bound: see the module's docstring.
        allowed: wrong patients that the fixed sequence may meet at its start. More make it start later, where a single
            error is no end, but it then cannot decide fewer patients than it starts with.

    Raises:
        InputError: bad values or lengths.
    """
    labels, probabilities = labels_and_probabilities(y, p)
    share("target error", error)
    delta = 1 - share("confidence", confidence)
    share("threshold", threshold)
    if allowed < 0:
        raise InputError(f"The number of wrong patients allowed at the start is 0 or more, not {allowed}.")
    certainties = certainty(probabilities, threshold)
    wrong = (probabilities >= threshold) != labels
    limits = np.append(
        np.sort(certainties)[::-1], -1.0
    )  # of the m-th most certain, m = 1 … n; and nobody referred
    above = np.searchsorted(np.sort(certainties), limits, side="right")
    decided = len(certainties) - above
    failed = np.concatenate([[0], np.cumsum(wrong[np.argsort(-certainties, kind="stable")])])[decided]
    if search == "bonferroni":
        tried = np.unique(
            np.ceil(np.arange(1, _BONFERRONI + 1) * len(certainties) / _BONFERRONI).astype(np.intp)
        )
        tested = p_value_above(failed[tried], decided[tried], error, bound) <= delta / _BONFERRONI
        accepted = tried[tested]
    else:
        tried = np.unique(decided, return_index=True)[1]  # equally certain patients make one limit
        tried = tried[decided[tried] >= _least_decided(len(certainties), error, delta, bound, allowed)]
        passed = p_value_above(failed[tried], decided[tried], error, bound) <= delta
        accepted = tried[np.logical_and.accumulate(passed)]
    if not len(accepted):
        return Triage(error, confidence, threshold, np.inf, len(certainties), 0, 0)
    last = accepted[-1]
    return Triage(
        error,
        confidence,
        threshold,
        float(limits[last]),
        len(certainties),
        int(decided[last]),
        int(failed[last]),
    )


def certainty(p: Floats, threshold: float) -> Floats:
    """(n,) in [0, 1]: how far p lies from the threshold, as a share of its side."""
    return np.asarray(
        np.where(p >= threshold, (p - threshold) / (1 - threshold), (threshold - p) / threshold)
    )


def p_value_above(wrong: ArrayLike, n: ArrayLike, error: float, bound: Bound = "clopper-pearson") -> Floats:
    """p-value of "more than the share `error` is wrong", having seen `wrong` of `n`.

    "hoeffding-bentkus": min(exp(−n h(min(w/n, ε), ε)), e P(Binomial(n, ε) ≤ w)), h the relative entropy of two coins.
    """
    from scipy.stats import binom  # a second or more to import

    w, m = np.asarray(wrong, dtype=np.float64), np.asarray(n, dtype=np.float64)
    tail = binom.cdf(w, m, error)
    if bound == "clopper-pearson":
        return np.asarray(tail)
    seen = np.minimum(np.divide(w, m, out=np.ones_like(m), where=m > 0), error)
    entropy = _times_log(seen, seen / error) + _times_log(1 - seen, (1 - seen) / (1 - error))
    return np.asarray(np.minimum(1.0, np.minimum(np.exp(-m * entropy), np.e * tail)))


def _times_log(x: Floats, ratio: Floats) -> Floats:
    return np.asarray(x * np.log(ratio, out=np.zeros_like(ratio), where=ratio > 0))


def _least_decided(n: int, error: float, delta: float, bound: Bound, allowed: int) -> int:
    """The fewest decided patients of which `allowed` wrong ones would be rejected; n if none."""
    decided = np.arange(n + 1)
    enough = np.flatnonzero(p_value_above(np.minimum(allowed, decided), decided, error, bound) <= delta)
    return int(enough[0]) if len(enough) else n
