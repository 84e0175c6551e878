"""What a head is, and how many fits of one head on one cohort share their work."""

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from threading import Lock, local
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, clone

from ..cache.bags import Bags
from ..cache.split import Split
from ..cohort.clinical import clinical_frame
from ..parallel import thread_pool
from .contributions import Contributions

__all__ = [
    "BatchFit",
    "ExplainsImages",
    "FitCache",
    "Head",
    "HeadMixin",
    "Split",
    "check_probabilities",
    "fit_predict",
    "map_splits",
]

Floats = NDArray[np.float64]
S = TypeVar("S")
T = TypeVar("T")
# Training patients. With fewer, threads spend more on Python's lock than a second core brings.
_LARGE = 512
_ROUNDING = 1e-9


class Head(Protocol):
    """What turns patients into probabilities; scikit-learn's estimator habits, clone-able."""

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> "Head":
        """Learn from n patients: n bags, n rows of `clinical_frame`, (n,) labels 0 and 1; returns itself."""

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant."""

    def get_params(self, *, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments."""


class HeadMixin(ClassifierMixin):  # type: ignore[misc]
    """What every head of this package has beside what it must have."""

    def predict(self, bags: Bags, clinical: pd.DataFrame) -> NDArray[np.int64]:
        """(n,) int64 1 where malignant is at least as probable as reactive; `tune` chooses better thresholds."""
        p: Floats = self.predict_proba(bags, clinical)[:, 1]
        return (p >= 0.5).astype(np.int64)


class FitCache:
    """Results worth keeping between the fits and trials of one cohort; those that cost least per byte go first.

    What is kept must not depend on labels other than through its key. Several threads may ask; where two ask for the
    same array, one makes it and the other waits. Time counts, not only use: of a large cohort, a pass over all images
    and a matrix that is made from it in a moment have the same size (GreedyDual-Size: Cao & Irani, 1997). An array
    costs its own time only, not that of others that were asked for while it was made.

    Args:
        limit: bytes of arrays kept at most.
        threads: that heads may use; they change nothing in the result.
    """

    def __init__(self, limit: int = 1 << 30, threads: int = 1) -> None:
        self.limit = limit
        self.threads = threads
        self._lock = Lock()
        self._kept: dict[Hashable, _Kept] = {}
        self._making: dict[Hashable, Lock] = {}
        self._bytes = 0
        self._within = _Within()
        self._age = 0.0  # the worth of what went last, so that what is no longer asked for goes at last

    def get(self, key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array of `key`, made now if it is not kept. Callers must not write to it."""
        with self._lock:
            if (found := self._found(key)) is not None:
                return found
            made = self._making.setdefault(key, Lock())
        start, before = time.perf_counter(), self._within.seconds
        self._within.seconds = 0.0
        try:
            with made:
                return self._made(key, make)
        finally:
            self._within.seconds = before + time.perf_counter() - start

    def _made(self, key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        with self._lock:
            if (found := self._found(key)) is not None:
                return found
        start = time.perf_counter()
        try:
            array = make()
        finally:
            with self._lock:
                self._making.pop(key, None)
        seconds = time.perf_counter() - start - self._within.seconds
        array.setflags(write=False)
        with self._lock:
            self._keep(key, array, seconds)
        return array

    def _found(self, key: Hashable) -> NDArray[Any] | None:
        one = self._kept.get(key)
        if one is None:
            return None
        one.worth = self._age + one.cost
        return one.array

    def _keep(self, key: Hashable, array: NDArray[Any], seconds: float) -> None:
        if key in self._kept:
            return
        cost = seconds / max(array.nbytes, 1)
        self._kept[key] = _Kept(array, cost, self._age + cost)
        self._bytes += array.nbytes
        while self._bytes > self.limit and len(self._kept) > 1:
            least = min(self._kept, key=lambda one: self._kept[one].worth)
            gone = self._kept.pop(least)
            self._age = gone.worth
            self._bytes -= gone.array.nbytes


class _Within(local):
    """Seconds that a thread spent on other arrays while it makes one."""

    seconds = 0.0


@dataclass
class _Kept:
    """What a `FitCache` keeps of a key.

    Attributes:
        array: the result.
        cost: its own seconds, per byte.
        worth: the array of least worth goes first.
    """

    array: NDArray[Any]
    cost: float
    worth: float


@runtime_checkable
class BatchFit(Protocol):
    """A head that fits many splits of one cohort quicker together than apart, with the same result."""

    def fit_predict_splits(
        self, splits: Sequence[Split], clinical: pd.DataFrame, y: NDArray[np.int8], fit_cache: FitCache
    ) -> list[Floats]:
        """As `fit_predict`."""


@runtime_checkable
class ExplainsImages(Protocol):
    """A fitted head that can tell what each image adds to a patient's log-odds.

    Optional: `lymphofeat explain` leaves out one image at a time where a head has no such method.
    """

    def image_contributions(self, bags: Bags, clinical: pd.DataFrame) -> Contributions | None:
        """The parts of the log-odds of n patients, given as for `predict_proba`.

        Returns:
            None where the head cannot tell with its arguments, or of these patients.
        """


def map_splits(
    work: Callable[[Split, S], T], splits: Sequence[Split], per_split: Sequence[S], fit_cache: FitCache
) -> list[T]:
    """What `work` gives for each split and its element of `per_split`, by several threads where splits are large.

    Args:
        work: arithmetic that lets Python's lock go; safe to run twice at a time.
        splits: of one cohort.
        per_split: one for each split.
        fit_cache: says how many threads there are.
    """
    patients = max((len(split.train) for split in splits), default=0)
    threads = min(fit_cache.threads if patients >= _LARGE else 1, len(splits))
    if threads <= 1:
        return [work(*pair) for pair in zip(splits, per_split, strict=True)]
    with thread_pool(threads) as pool:
        return list(pool.map(work, splits, per_split))


def fit_predict(
    head: Head, splits: Sequence[Split], clinical: pd.DataFrame, y: NDArray[np.int8], fit_cache: FitCache
) -> list[Floats]:
    """Fit a clone of `head` on each split and predict its test patients; `head` itself stays as it is.

    Args:
        head: an unfitted head.
        splits: what to fit on and to predict.
        clinical: (n_patients) rows of the whole cohort; the head is handed its clinical values and nothing else.
        y: (n_patients,) labels; only those of each split's `train` are read.
        fit_cache: work kept from earlier calls with the same cohort.

    Returns:
        Per split, (n_test,) float64 probabilities of malignant.

    Raises:
        FloatingPointError: some are NaN, or outside 0 to 1.
        Exception: whatever the head cannot be fitted for.
    """
    clinical = clinical_frame(clinical)
    if isinstance(head, BatchFit):
        probabilities = head.fit_predict_splits(splits, clinical, y, fit_cache)
    else:
        probabilities = _one_by_one(head, splits, clinical, y)
    for p in probabilities:
        check_probabilities(head, p)
    return probabilities


def check_probabilities(head: Head, p: Floats) -> None:
    """Refuse probabilities that are none: no score may be made of them.

    Raises:
        FloatingPointError: some are NaN, or outside 0 to 1 (by more than rounding).
    """
    wrong = ~((p > -_ROUNDING) & (p < 1 + _ROUNDING))  # NaN as well
    if wrong.any():
        raise FloatingPointError(
            f"{type(head).__name__} gave {wrong.sum()} of {len(p)} patients a probability that is NaN or outside 0–1."
        )


def _one_by_one(
    head: Head, splits: Sequence[Split], clinical: pd.DataFrame, y: NDArray[np.int8]
) -> list[Floats]:
    probabilities = []
    for split in splits:
        model = clone(head).fit(split.bags.select(split.train), clinical.iloc[split.train], y[split.train])
        p = model.predict_proba(split.bags.select(split.test), clinical.iloc[split.test])
        probabilities.append(np.asarray(p[:, 1], dtype=np.float64))
    return probabilities
