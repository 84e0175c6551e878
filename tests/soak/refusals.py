"""Which cohorts may be refused, and which trials may fail: each sentence with the cohorts that it is true of."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lymphofeat.cache import Cache
from lymphofeat.cohort.folds import persons

from .plan import CohortPlan

__all__ = ["Facts", "allowed"]


@dataclass(frozen=True)
class Facts:
    """What a refusal can be checked against.

    Attributes:
        plan: the cohort's.
        left: persons of the rarer class that remain without the worst 0, 1, … K − 1 folds; empty before there are any.
        mixed: whether a person has records of both classes.
        nested: whether a search leaves an outer fold out.
    """

    plan: CohortPlan
    left: tuple[int, ...] = ()
    mixed: bool = False
    nested: bool = False

    @classmethod
    def of(cls, plan: CohortPlan, cache: Cache | None = None) -> "Facts":
        """Of a cohort whose cache is written, or not yet."""
        if cache is None:
            return cls(plan)
        who, labels = persons(cache.patients), cache.labels
        both = np.intersect1d(who[labels == 0], who[labels == 1])
        each = [_left(who, labels, cache.folds[:, r]) for r in range(cache.folds.shape[1])]
        return cls(plan, tuple(min(counts) for counts in zip(*each, strict=True)), len(both) > 0)

    @property
    def scarce(self) -> bool:
        """Whether some models learn from fewer than two persons of a class: two folds are left out, or three."""
        return not self.left or self.left[min(2 + self.nested, len(self.left) - 1)] < 2


def _left(who: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> list[int]:
    names = np.unique(folds[labels >= 0])
    return [
        min(
            len(np.unique(who[(labels == label) & ~np.isin(folds, out)]))
            for out in combinations(names, n)
            for label in (0, 1)
        )
        for n in range(len(names))
    ]


_Rule = tuple[str, str, Callable[[Facts], bool]]

# A name, a pattern that the sentence holds, and the cohorts of which it may be said.
_RULES: tuple[_Rule, ...] = (
    (
        "fewer persons of a class than folds",
        r"folds need at least \d+ \w+ persons",
        lambda f: (
            min(f.plan.reactive, f.plan.malignant) < f.plan.folds or f.plan.repeated > 0 or f.plan.copies > 0
        ),
    ),
    (
        "persons of both classes fill a fold",
        r"No division into \d+ folds was found",
        lambda f: f.plan.mixed or f.plan.copies > 0,
    ),
    (
        "without a fold, a class is missing",
        r"the patients left to train on lack a class",
        lambda f: f.scarce or f.mixed,
    ),
    (
        "nested cross-validation on two folds",
        r"nested cross-validation needs three",
        lambda f: f.plan.folds < 3,
    ),
    (
        "encoders without two of two folds",
        r"--nested needs at least 3 folds",
        lambda f: f.plan.folds < 3 and f.plan.encoders == "per two folds",
    ),
    (
        "no encoder is blind to two folds",
        r"blind to both",
        lambda f: f.plan.encoders == "per fold" or f.plan.kind == "images",
    ),
    ("no test patient", r"holds no test patient", lambda f: f.plan.test == 0),
    (
        "an ensemble's fold lacks a class",
        r"the patients left to choose an ensemble on lack a class",
        # The rule is chosen without one fold within another, which leaves nobody of two folds.
        lambda f: f.scarce or f.mixed or f.plan.folds < 3,
    ),
    (
        "features from another toolkit",
        r"came? from elsewhere|another toolkit|imported",
        lambda f: f.plan.kind != "images",
    ),
    ("nobody left to validate an encoder", r"so nobody can validate", lambda f: f.scarce),
    ("one person of a class", r"One class has a single training patient", lambda f: f.scarce),
    ("inner folds with persons of both classes", r"would leave one class to train on", lambda f: f.mixed),
    ("early stopping with few of a class", r"[Ee]arly stopping", lambda f: f.scarce or f.mixed),
)


def allowed(sentence: str, facts: Facts) -> str | None:
    """The name of the refusal, if the sentence is one that this cohort deserves."""
    for name, pattern, deserved in _RULES:
        if re.search(pattern, sentence) and deserved(facts):
            return name
    return None
