"""Several encodings in one head: one of them, several side by side (early), or a head each (late, stacked).

What a search draws for a head is in `lymphofeat.heads.drawn_encodings`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from ...cache.bags import Bags, JoinedBags
from ...errors import InputError
from ..base import ExplainsImages, FitCache, Head, HeadMixin, Split, fit_predict
from ..checks import Legal, check_params
from ..contributions import Contributions
from ..drawn_encodings import JOIN, WEIGHT, encodings_of
from .parts import log_odds, sum_of_parts
from .stacking import INNER_FOLDS, Stacking

__all__ = [
    "LateEncodings",
    "OnEncodings",
    "StackedEncodings",
    "on_encodings",
]

Floats = NDArray[np.float64]


class _WithEncodings(HeadMixin, BaseEstimator):  # type: ignore[misc]
    """What heads on several encodings share.

    Args:
        head: the unfitted head.
        encodings: encoder families that it is given.

    Attributes:
        classes_: (2,) the labels 0 and 1.
    """

    def __init__(self, *, head: Head, encodings: Sequence[str]) -> None:
        self.head = head
        self.encodings = encodings

    @property
    def inputs(self) -> str:
        """What the head is given: "image", "clinical" or "both"."""
        return str(getattr(self.head, "inputs", "both"))

    @property
    def class_weight(self) -> str | None:
        """The head's."""
        found: str | None = getattr(self.head, "class_weight", None)
        return found

    def _parameter_constraints(self) -> Legal:
        names = self.encodings
        several = isinstance(names, list | tuple) and bool(names) and all(isinstance(n, str) for n in names)
        return {
            "head": (hasattr(self.head, "predict_proba"), "a head"),
            "encodings": (several and len(set(names)) == len(names), "different names of encoder families"),
        }

    def _check_params(self) -> None:
        check_params(self, self._parameter_constraints())


class OnEncodings(_WithEncodings):
    """A head that sees some of the encodings that it is given, side by side: early fusion.

    Heads on pooled features find the principal axes of each encoding apart and weigh its block; heads on instances see
    the features of an image one behind the other.

    Args:
        head, encodings: as above.
        weights: by encoder family, the weight of its block; 1 where none is given.

    Attributes:
        head_: the fitted head.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(
        self, *, head: Head, encodings: Sequence[str], weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(head=head, encodings=encodings)
        self.weights = weights

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> Self:
        """Learn from n patients; see `Head`.

        Raises:
            InputError: bad arguments, bags without one of the encodings, or as the head.
        """
        self._check_params()
        self.head_ = clone(self.head).fit(self._seen(bags), clinical, y)
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant."""
        check_is_fitted(self, "head_")
        return np.asarray(self.head_.predict_proba(self._seen(bags), clinical))

    def image_contributions(self, bags: Bags, clinical: pd.DataFrame) -> Contributions | None:
        """As the head tells; None where it cannot."""
        check_is_fitted(self, "head_")
        if not isinstance(self.head_, ExplainsImages):
            return None
        return self.head_.image_contributions(self._seen(bags), clinical)

    def fit_predict_splits(
        self, splits: Sequence[Split], clinical: pd.DataFrame, y: NDArray[np.int8], fit_cache: FitCache
    ) -> list[Floats]:
        """As `fit` and `predict_proba` on each split, as quick as the head is."""
        self._check_params()
        for split in splits:
            self._checked(split.bags)
        seen = [split.only(self.encodings, self.weights) for split in splits]
        return fit_predict(self.head, seen, clinical, y, fit_cache)

    def _seen(self, bags: Bags) -> Bags:
        return self._checked(bags).only(self.encodings, self.weights)

    def _checked(self, bags: Bags) -> JoinedBags:
        there = bags.parts if isinstance(bags, JoinedBags) else {}
        if missing := [name for name in self.encodings if name not in there]:
            raise InputError(
                f"This head needs the encoding {missing[0]}, which its bags ({', '.join(there) or 'of one encoding'}) "
                "lack; give bags under all encodings that it was made for."
            )
        assert isinstance(bags, JoinedBags)
        return bags

    def _parameter_constraints(self) -> Legal:
        weights = self.weights or {}
        good = all(name in self.encodings and 0 < weight < float("inf") for name, weight in weights.items())
        return super()._parameter_constraints() | {
            "weights": (good, "None, or a number above 0 for some of the encodings")
        }


class LateEncodings(_WithEncodings):
    """The same head fitted on each encoding by itself; the mean of their log-odds.

    Attributes:
        parts_: the fitted heads, in the order of `encodings`.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> Self:
        """Learn from n patients; see `Head`.

        Raises:
            InputError: bad arguments, bags without one of the encodings, or as the head.
        """
        self._check_params()
        self.parts_ = [part.fit(bags, clinical, y) for part in _one_each(self.head, self.encodings)]
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant."""
        check_is_fitted(self, "parts_")
        p = _mean_of([part.predict_proba(bags, clinical)[:, 1] for part in self.parts_])
        return np.stack([1 - p, p], axis=1)

    def image_contributions(self, bags: Bags, clinical: pd.DataFrame) -> Contributions | None:
        """What each image adds to the log-odds; see `ExplainsImages`.

        Returns:
            None where a part cannot tell exactly, or where one is surer than e^16 : 1.
        """
        check_is_fitted(self, "parts_")
        weights = [1 / len(self.parts_)] * len(self.parts_)
        return sum_of_parts(self.parts_, weights, 0.0, bags, clinical)

    def fit_predict_splits(
        self, splits: Sequence[Split], clinical: pd.DataFrame, y: NDArray[np.int8], fit_cache: FitCache
    ) -> list[Floats]:
        """As `fit` and `predict_proba` on each split, as quick as the head is."""
        self._check_params()
        said = [
            fit_predict(part, splits, clinical, y, fit_cache) for part in _one_each(self.head, self.encodings)
        ]
        return [_mean_of(of_split) for of_split in zip(*said, strict=True)]


class StackedEncodings(Stacking, _WithEncodings):
    """The same head fitted on each encoding by itself; their log-odds are weighed by a logistic regression.

    Args:
        head, encodings: as of `OnEncodings`.
        C, inner_folds, random_state: as of `Stacking`.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(
        self,
        *,
        head: Head,
        encodings: Sequence[str],
        C: float = 1.0,
        inner_folds: int = INNER_FOLDS,
        random_state: int = 0,
    ) -> None:
        super().__init__(head=head, encodings=encodings)
        self.C = C
        self.inner_folds = inner_folds
        self.random_state = random_state

    def _parts(self) -> list[OnEncodings]:
        return _one_each(self.head, self.encodings)

    def _parameter_constraints(self) -> Legal:
        return super()._parameter_constraints() | self._constraints_of_stacking()


def _one_each(head: Head, encodings: Sequence[str]) -> list[OnEncodings]:
    return [OnEncodings(head=clone(head), encodings=(name,)) for name in encodings]


def _mean_of(probabilities: Sequence[Floats]) -> Floats:
    return np.asarray(expit(np.mean([log_odds(p) for p in probabilities], axis=0)))


def on_encodings(head: Head, params: Mapping[str, Any]) -> Head:
    """The head on the encodings that were drawn for it; itself where none were.

    Args:
        head: unfitted.
        params: by short names, what `suggest_encodings` drew.
    """
    chosen = encodings_of(params)
    if not chosen:
        return head
    join = params.get(JOIN, "early")
    if join == "late":
        return LateEncodings(head=head, encodings=chosen)
    if join == "stacked":
        return StackedEncodings(head=head, encodings=chosen)
    prefix = f"{WEIGHT}."
    weights = {
        name.removeprefix(prefix): float(value) for name, value in params.items() if name.startswith(prefix)
    }
    return OnEncodings(head=head, encodings=chosen, weights=weights or None)
