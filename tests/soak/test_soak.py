"""The soak itself: a few of its cohorts, and that it sees what it is there to see."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lymphofeat.errors import InputError
from lymphofeat.heads.linear import Logistic
from lymphofeat.heads.registry import head_types
from lymphofeat.studies.space import HEAD_TYPE, Space

from . import run
from .cohorts import patients
from .plan import CohortPlan
from .points import covering_points, points_of
from .run import soak
from .table import read_record, table

SEED = 0
QUICK = 7  # a cohort without per-fold encoders or long bags
MANY = range(200)


@pytest.mark.parametrize("number", [3, 18])  # features with a long bag; image files
def test_cohorts_go_through(number: int, tmp_path: Path) -> None:
    result = soak(SEED, number, tmp_path, short=True)
    assert not result.failures, result.failures
    assert sum(result.trials.values()) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 7, 8])
def test_more_cohorts_go_through(number: int, tmp_path: Path) -> None:
    result = soak(SEED, number, tmp_path)
    assert not result.failures, result.failures


def test_a_number_determines_its_cohort() -> None:
    assert CohortPlan.of(SEED, 5) == CohortPlan.of(SEED, 5)
    assert CohortPlan.of(SEED, 5) != CohortPlan.of(SEED, 6) != CohortPlan.of(SEED + 1, 6)
    pd.testing.assert_frame_equal(patients(CohortPlan.of(SEED, 5)), patients(CohortPlan.of(SEED, 5)))


def test_cohorts_reach_the_ends_of_what_they_are_drawn_from() -> None:
    plans = [CohortPlan.of(SEED, number) for number in MANY]
    labelled = [plan.reactive + plan.malignant for plan in plans]
    assert min(labelled) < 18
    assert max(labelled) > 300
    assert max(max(plan.lengths) for plan in plans) > 4000
    assert {min(plan.dim, 2) for plan in plans} == {1, 2}
    assert max(plan.dim for plan in plans) > 1200
    assert min(plan.scale for plan in plans) < 1e-10
    assert max(plan.scale for plan in plans) > 1e10
    assert {name for plan in plans for name in plan.heads} == set(head_types())
    assert max(plan.n_images * plan.dim for plan in plans) <= 4_000_000  # memory


class _Every:
    """A trial that takes the choice it is told to and notes all there are."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.met = rng, set[tuple[str, str]]()

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return low

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return low

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        self.met |= {(name, repr(choice)) for choice in choices}
        return choices[self.rng.integers(len(choices))]


def test_points_meet_every_choice_of_every_head() -> None:
    scored = [point for number in range(len(covering_points())) for point in points_of(number, 2)]
    for name in head_types():
        there = {(k, repr(v)) for point in scored if point[HEAD_TYPE] == name for k, v in point.items()}
        asked = _Every(np.random.default_rng(0))
        for _ in range(300):
            Space((name,)).suggest(asked)
        assert asked.met <= there


def _nan(self: Any, values: np.ndarray) -> np.ndarray:
    return np.full((len(values), 2), np.nan)


def _warning(self: Any, values: np.ndarray) -> np.ndarray:
    warnings.warn("overflow", RuntimeWarning, stacklevel=1)
    return np.full((len(values), 2), 0.5)


def _crash(self: Any, values: np.ndarray) -> np.ndarray:
    raise ZeroDivisionError("planted")


def _refusal(self: Any, values: np.ndarray) -> np.ndarray:
    raise InputError("One class has a single training patient.")  # which is not true of this cohort


@pytest.mark.parametrize("fault", [_nan, _warning, _crash, _refusal])
def test_a_planted_fault_is_a_failure(fault: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Logistic, "predict_proba", fault)
    logistic = next(point for point in covering_points() if point[HEAD_TYPE] == "logistic")
    monkeypatch.setattr(run, "points_of", lambda number, n: [logistic])
    for step in ("tune", "submit", "export", "tune_clinical", "predict_clinical"):
        monkeypatch.setattr(run._Run, step, lambda *_: None)
    result = soak(SEED, QUICK, tmp_path, short=True)
    assert [failure["step"] for failure in result.failures] == ["point logistic"]
    assert "cohorts 7" in table([result])


def test_a_record_goes_on_after_a_kill(tmp_path: Path) -> None:
    whole = run.Result(SEED, 4, "small", "small", seconds={"tune": 1.5}, trials={"logistic": 3})
    path = tmp_path / "record.jsonl"
    path.write_text(whole.json() + "\n" + json.dumps({"seed": 0, "number": 5})[:-4], encoding="utf-8")
    assert read_record(path) == [whole]
