"""Heads that fail in as many ways as a search draws, for tests of what becomes of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lymphofeat.heads
from lymphofeat.heads import registry
from lymphofeat.heads.registry import head_types

# A head file that a search finds in every process, whose heads fail in as many ways as it draws.
BRITTLE = '''
"""Heads that fail."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from lymphofeat.errors import InputError
from lymphofeat.heads.registry import HeadType

WAYS = ("none", "sentence", "nan", "infinite", "linalg", "value", "zero")


class Brittle(ClassifierMixin, BaseEstimator):
    def __init__(self, *, way="none", turn=0.5):
        self.way, self.turn = way, turn

    def fit(self, bags, clinical, y):
        if self.way == "sentence":
            raise InputError("There are too few patients for this head; add patients.")
        if self.way == "linalg":
            raise np.linalg.LinAlgError(f"{len(y)}-th leading minor is not positive definite")
        if self.way == "value":
            raise ValueError("Input X contains NaN.")
        if self.way == "zero":
            raise ZeroDivisionError("division by zero")
        self.share_ = float(np.mean(y)) * self.turn
        return self

    def predict_proba(self, bags, clinical):
        p = np.full(len(bags), self.share_)
        p[0] = {"nan": np.nan, "infinite": np.inf}.get(self.way, self.share_)
        return np.stack([1 - p, p], axis=1)


def space(draws):
    return {"way": draws.suggest_categorical("way", WAYS), "turn": draws.suggest_float("turn", 0.1, 1.0)}


HEAD_TYPE = HeadType(
    name="brittle", summary="Heads that fail.", source="here", cost="cheap", space=space,
    build=Brittle, inputs=("clinical",), default_params=tuple(
        {"way": way, "turn": 0.5} for way in WAYS
    ),
)
'''
# How the reason of each failure begins.
WAYS = {
    "sentence": "There are too few patients for this head; add patients.",
    "nan": "FloatingPointError: Brittle gave 1 of ",
    "infinite": "FloatingPointError: Brittle gave 1 of ",
    "linalg": "LinAlgError: ",
    "value": "ValueError: Input X contains NaN.",
    "zero": "ZeroDivisionError: division by zero",
}


@contextmanager
def brittle_heads(folder: Path) -> Iterator[None]:
    """Make the head type `brittle` known to this process, from a file in `folder`, until the block ends."""
    folder.mkdir()
    (folder / "brittle.py").write_text(BRITTLE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lymphofeat.heads, "__path__", [*lymphofeat.heads.__path__, str(folder)])
        _forget_head_types()
        yield
    _forget_head_types()


def _forget_head_types() -> None:
    for kept in (registry._own_head_types, head_types):
        kept.cache_clear()
