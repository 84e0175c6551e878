"""Heads that cannot be fitted cost their trials, not the search."""

import math
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lymphofeat.final import submit
from lymphofeat.heads.boosting import BoostedTrees
from lymphofeat.studies import load_study, tune
from lymphofeat.studies.evaluate import Evaluator
from lymphofeat.studies.load import load_trials
from lymphofeat.studies.sampling import BATCH

from ..helpers.brittle import WAYS, brittle_heads
from ..helpers.caches import frozen_cache
from ..helpers.studies import states_of, trials_of


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("cache") / "c.h5")


@pytest.fixture
def brittle(tmp_path: Path) -> Iterator[None]:
    """Heads that fail in six ways, in this process."""
    with brittle_heads(tmp_path / "heads"):
        yield


@pytest.mark.usefixtures("brittle")
@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_a_search_goes_on_and_keeps_why_each_head_failed(cache: Path, tmp_path: Path, sampler: str) -> None:
    study, trials = tmp_path / "s.db", 3 * BATCH
    summary = tune(cache, study, n_trials=trials, heads=("brittle", "lda"), sampler=sampler, seed=1)
    rows = trials_of(study)
    assert [number for number, *_ in rows] == list(range(trials))
    failed = {number: attrs for number, value, _, attrs in rows if value is None}
    assert {one.number for one in summary.failed} == set(failed)
    assert summary.n_trials == trials
    assert summary.n_scored == trials - len(failed)
    assert states_of(study) == {"COMPLETE": trials - len(failed), "FAIL": len(failed)}
    for number, value, params, attrs in rows:
        way = params.get("brittle.way", "none")
        assert (number in failed) == (way != "none")
        if way == "none":
            assert math.isfinite(value)
        else:
            assert attrs["reason"].startswith(WAYS[way])
            assert set(attrs) <= {"number", "reason", "error", "same_as"}
    assert {params.get("brittle.way") for _, _, params, _ in rows} >= set(WAYS)
    assert summary.best.number not in failed
    assert {trial.number for trial in load_trials(study)} == set(range(trials)) - set(failed)
    assert f"best of {trials - len(failed)} trials by" in summary.caveat
    assert summary.failures[0] == f"{len(failed)} of {trials} trials failed:"
    assert any(
        line.endswith("brittle: There are too few patients for this head; add patients.")
        for line in summary.failures
    )


@pytest.mark.slow
@pytest.mark.usefixtures("brittle")
def test_given_again_no_failed_trial_is_repeated_and_the_end_is_the_same(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = ("brittle", "lda")
    whole = tune(cache, tmp_path / "whole.db", n_trials=4 * BATCH, heads=heads, seed=2)
    for trials in (1, 5, 6, 7, 11, 19, 4 * BATCH):
        tune(cache, tmp_path / "parts.db", n_trials=trials, heads=heads, seed=2)
    assert trials_of(tmp_path / "parts.db") == trials_of(tmp_path / "whole.db")
    assert whole.failed == load_study(tmp_path / "parts.db").failed
    monkeypatch.setattr(Evaluator, "__call__", None)  # nothing is scored any more
    again = tune(cache, tmp_path / "whole.db", n_trials=4 * BATCH, heads=heads, seed=2)
    assert again.failed == whole.failed
    assert submit(cache, tmp_path / "whole.db", tmp_path / "s.csv", ensemble=3).ensemble is not None


@pytest.mark.usefixtures("brittle")
def test_the_sampler_leaves_what_fails(cache: Path, tmp_path: Path) -> None:
    tune(cache, tmp_path / "s.db", n_trials=8 * BATCH, heads=("brittle",), seed=0)
    late = [value is None for _, value, _, _ in trials_of(tmp_path / "s.db")[4 * BATCH :]]
    assert np.mean(late) < 0.6  # of random points, six in seven fail


def test_a_watched_head_that_fails_is_a_failed_trial(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads that take a second are watched fold by fold; they may fail at any fold."""
    calls = failing_folds(monkeypatch, after=9)
    summary = tune(cache, tmp_path / "s.db", n_trials=BATCH + 4, heads=["logistic", "xgboost"], seed=3)
    assert len(calls) > 9
    assert {one.head_type for one in summary.failed} <= {"xgboost"}
    assert summary.n_trials == BATCH + 4


def failing_folds(monkeypatch: pytest.MonkeyPatch, after: int) -> list[int]:
    train, calls = BoostedTrees.fit, []

    @wraps(train)
    def breaks(self: Any, *arguments: Any, **known: Any) -> Any:
        calls.append(1)
        if len(calls) > after:
            raise FloatingPointError("overflow")
        return train(self, *arguments, **known)

    monkeypatch.setattr(BoostedTrees, "fit", breaks)
    return calls
