"""Errors that concern all trials end a search; those of single heads do not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lymphofeat.errors import CacheError, InputError, LeakageError, StudyError
from lymphofeat.studies import evaluate as evaluate_module
from lymphofeat.studies import tune
from lymphofeat.studies.sampling import BATCH

from ..helpers.caches import frozen_cache
from ..helpers.studies import states_of

QUICK = ("lda", "logistic")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("cache") / "c.h5")


def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[int], Exception | None]) -> list[int]:
    """Let the scoring of the n-th head end in what `fails` gives for n, counted from 0."""
    score_plan, calls = evaluate_module.score_plan, []

    def scored(*arguments: Any, **known: Any) -> Any:
        calls.append(1)
        error = fails(len(calls) - 1)
        if error is not None:
            raise error
        return score_plan(*arguments)

    monkeypatch.setattr(evaluate_module, "score_plan", scored)
    return calls


@pytest.mark.parametrize(
    ("error", "raised", "sentence"),
    [
        (LeakageError("it leaks"), LeakageError, "it leaks"),
        (CacheError("the cache is gone"), CacheError, "the cache is gone"),
        (OSError(5, "Input/output error"), OSError, "Input/output error"),
        (MemoryError("Unable to allocate 9 GiB"), StudyError, "memory is used up"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
            StudyError,
            "memory is used up",
        ),
    ],
)
def test_what_concerns_all_ends_the_search_and_is_tried_again(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: type[Exception],
    sentence: str,
) -> None:  # fmt: skip
    failing(monkeypatch, lambda n: error if n == 3 else None)
    with pytest.raises(raised, match=sentence):
        tune(cache, tmp_path / "s.db", n_trials=10, heads=QUICK)
    assert states_of(tmp_path / "s.db") == {"COMPLETE": BATCH - 1}
    monkeypatch.undo()
    summary = tune(cache, tmp_path / "s.db", n_trials=10, heads=QUICK)
    assert summary.n_trials == 10
    assert not summary.failed


@pytest.mark.parametrize("first", [0, BATCH])
def test_the_same_unexpected_error_in_most_of_a_batch_ends_the_search(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    failing(monkeypatch, lambda n: RuntimeError(f"no. {n} broke") if first <= n < first + 5 else None)
    with pytest.raises(StudyError, match=r"5 trials of 8 failed alike.*RuntimeError: no\. \d+ broke"):
        tune(cache, tmp_path / "s.db", n_trials=3 * BATCH, heads=QUICK)
    assert states_of(tmp_path / "s.db") == {"COMPLETE": first + 3}
    monkeypatch.undo()
    assert not tune(cache, tmp_path / "s.db", n_trials=3 * BATCH, heads=QUICK).failed


@pytest.mark.parametrize(
    "fails",
    [
        lambda n: RuntimeError("broke") if n < 4 else None,
        lambda n: RuntimeError("abcdefgh"[n]) if n < 7 else None,
        lambda n: InputError("There are too few patients.") if n < 7 else None,
    ],
    ids=["half of a batch", "different errors", "foreseen"],
)
def test_fewer_or_different_or_foreseen_errors_do_not(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Callable[[int], Exception | None]
) -> None:
    failing(monkeypatch, fails)
    summary = tune(cache, tmp_path / "s.db", n_trials=2 * BATCH, heads=QUICK)
    assert summary.n_trials == 2 * BATCH
    assert len(summary.failed) in (4, 7)


def test_a_study_of_failures_alone_says_so(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda _: InputError("There are too few patients."))
    for _ in range(2):
        with pytest.raises(
            StudyError, match=r"no trial that was scored to its end.*\n3 of 3 trials failed: log"
        ):
            tune(cache, tmp_path / "s.db", n_trials=3, heads=["logistic"])
