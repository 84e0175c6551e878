"""Trials on executors: the same bits as alone, ended workers, and what a worker lacks in a sentence."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar

import pytest
from joblib.externals.loky import get_reusable_executor

import lymphofeat
from lymphofeat.errors import CacheError, InputError, StudyError
from lymphofeat.studies import elsewhere, tune
from lymphofeat.studies.elsewhere import Elsewhere, score_elsewhere
from lymphofeat.studies.evaluate import StudySpec, TrialTask
from lymphofeat.studies.space import Space
from lymphofeat.studies.workers import Failure

from ..helpers.caches import frozen_cache
from ..helpers.executors import Here
from ..helpers.studies import states_of, trials_of

OPTIONS: dict[str, Any] = {"n_trials": 10, "heads": ("lda", "logistic"), "seed": 4}


class Job:
    """As of submitit: no future of concurrent.futures."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        return self.found

    def cancel(self) -> None:
        """Nothing to be cancelled."""


class Jobs:
    """As of submitit: no executor of concurrent.futures."""

    def submit(self, fn: Callable[..., Any], *args: Any) -> Job:
        return Job(fn(*args))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("cache") / "c.h5")


@pytest.fixture(scope="module")
def alone(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one process."""
    path = tmp_path_factory.mktemp("alone") / "s.db"
    tune(cache, path, **OPTIONS)
    return path


@pytest.fixture
def task(cache: Path) -> TrialTask:
    return TrialTask(
        StudySpec(cache, "frozen", 1, "auc", None), 7, Space.of(["logistic"]).default_params()[0], None
    )


def check_same(path: Path, alone: Path) -> None:
    assert trials_of(path) == trials_of(alone)
    assert states_of(path) == states_of(alone)


@pytest.mark.parametrize("executor", [Here(), Jobs()], ids=["executor", "jobs that are no futures"])
def test_a_study_is_the_same_on_executors_in_this_process(
    cache: Path, alone: Path, tmp_path: Path, executor: Any
) -> None:
    tune(cache, tmp_path / "s.db", executor=executor, **OPTIONS)
    check_same(tmp_path / "s.db", alone)


def test_threads_score_one_task_at_a_time_and_the_executor_stays_open(
    cache: Path, alone: Path, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(3) as pool:
        tune(cache, tmp_path / "s.db", executor=pool, **OPTIONS)
        assert pool.submit(len, "abc").result() == 3
    check_same(tmp_path / "s.db", alone)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["standard", "loky"])
def test_processes_give_the_same_bits_and_a_killed_one_ends_in_a_sentence_that_is_true(
    cache: Path, alone: Path, tmp_path: Path, kind: str
) -> None:
    def made() -> Executor:
        if kind == "loky":
            pool: Executor = get_reusable_executor(2)
            return pool
        return ProcessPoolExecutor(2, mp_context=get_context("spawn"))

    with made() as first:
        killer = threading.Timer(0.0, lambda: os.kill(first.submit(os.getpid).result(), signal.SIGKILL))
        killer.start()
        killer.join()
        with pytest.raises(StudyError, match=r"takes no more tasks.*make a new executor"):
            tune(cache, tmp_path / "s.db", executor=first, **OPTIONS)
    with made() as second:
        tune(cache, tmp_path / "s.db", executor=second, **OPTIONS)
    check_same(tmp_path / "s.db", alone)


def test_a_worker_that_ends_costs_its_task_only(cache: Path, alone: Path, tmp_path: Path) -> None:
    def ended(number: int) -> None:
        if number in (2, 5):
            raise TimeoutError

    executor = Here(ended)
    tune(cache, tmp_path / "s.db", executor=executor, **OPTIONS)
    check_same(tmp_path / "s.db", alone)
    assert executor.submitted == n_scored(alone) + 2


def n_scored(alone: Path) -> int:
    """Trials that were scored: copies of others are not."""
    return sum("same_as" not in attrs for *_, attrs in trials_of(alone))


def test_a_task_on_which_two_workers_end_is_given_up_and_goes_on_later(
    cache: Path, alone: Path, tmp_path: Path
) -> None:
    def always(number: int) -> None:
        if number > 4:
            raise TimeoutError("60 s")

    with pytest.raises(
        StudyError, match=r"Two workers ended while they scored trial \d+ \(TimeoutError: 60 s\)"
    ):
        tune(cache, tmp_path / "s.db", executor=Here(always), **OPTIONS)
    assert len(trials_of(tmp_path / "s.db")) == 4
    tune(cache, tmp_path / "s.db", **OPTIONS)
    check_same(tmp_path / "s.db", alone)


def test_an_executor_that_is_closed_and_what_is_none(cache: Path, tmp_path: Path) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(StudyError, match="ThreadPoolExecutor takes no more tasks"):
        tune(cache, tmp_path / "s.db", executor=pool, **OPTIONS)
    for wrong in (3, ThreadPoolExecutor):
        with pytest.raises(InputError, match="has no method submit"):
            tune(cache, tmp_path / "s.db", executor=wrong, **OPTIONS)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="exclude each other"):
        tune(cache, tmp_path / "s.db", executor=Here(), jobs=2, **OPTIONS)


def error_of(task: TrialTask, needs: elsewhere.Needs) -> Exception:
    found = pickle.loads(score_elsewhere(pickle.dumps(task), task.number, needs, ""))
    assert isinstance(found, Failure)
    assert found.number == task.number
    return found.error


def test_a_worker_of_other_versions_says_both(task: TrialTask, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = elsewhere._needs(task.spec.cache)
    for name, other, said in (
        ("torch", "1.0", f"has torch {needs.versions['torch']}, and this process has torch 1.0"),
        (
            "lymphofeat",
            "9.9",
            f"has lymphofeat {lymphofeat.__version__}, and this process has lymphofeat 9.9",
        ),
        ("pandora", "1.2", "lacks pandora, and this process has pandora 1.2"),
    ):
        error = error_of(task, replace(needs, versions=needs.versions | {name: other}))
        assert isinstance(error, StudyError)
        assert said in str(error)


def test_a_worker_without_the_cache_or_with_another_names_path_and_machine(
    task: TrialTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    needs = elsewhere._needs(task.spec.cache)
    error = error_of(task, replace(needs, cache=tmp_path / "none.h5"))
    assert isinstance(error, CacheError)
    assert f"The worker on node7 (process {os.getpid()}) cannot read the cache {tmp_path / 'none.h5'}" in str(
        error
    )
    other = frozen_cache(tmp_path / "other.h5", seed=1)
    error = error_of(task, replace(needs, cache=other))
    assert f"finds another file at {other} than this process" in str(error)


def test_a_worker_without_a_head_type_names_its_package(task: TrialTask) -> None:
    needs = replace(elsewhere._needs(task.spec.cache), modules={"spectral": "hospital.heads"})
    error = error_of(replace(task, params={"family": "spectral"}), needs)
    assert "no head type 'spectral'; install the package hospital there" in str(error)
    error = error_of(task, replace(needs, heads=(("spectral", "hospital.heads"),)))
    assert "lacks a head type: A worker process cannot import hospital.heads" in str(error)


def test_what_cannot_begin_on_a_worker_is_not_taken_for_its_death(task: TrialTask) -> None:
    def fails(number: int) -> None:
        raise RuntimeError("deserialization") from ModuleNotFoundError("No module named 'lymphofeat'")

    executor = Here(fails)
    with pytest.raises(StudyError, match=r"No module named 'lymphofeat'\); install lymphofeat"):
        list(Elsewhere(executor).run([task]))
    assert executor.submitted == 1


def test_what_is_under_way_is_cancelled_with_the_search(task: TrialTask) -> None:
    class Waiting(Here):
        futures: ClassVar["list[Future[Any]]"] = []

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
            self.futures.append(Future() if self.futures else super().submit(fn, *args, **kwargs))
            return self.futures[-1]

    executor = Waiting()
    found: Iterator[Any] = Elsewhere(executor).run([task, replace(task, number=8)])
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert executor.futures[1].cancelled()


@pytest.mark.slow
def test_an_evaluation_is_the_same_on_an_executor(tmp_path: Path) -> None:
    cache = frozen_cache(tmp_path / "c.h5", n_folds=3, n_repeats=1)
    executor = Here()
    options: dict[str, Any] = {"n_trials": 1, "heads": ["logistic"]}
    one, other = (
        lymphofeat.evaluate(cache, tmp_path / name, **options, **how)
        for name, how in (("a.db", {}), ("b.db", {"executor": executor}))
    )
    assert executor.submitted > 0
    for found, expected in zip((other.main, *other.others), (one.main, *one.others), strict=True):
        assert found.name == expected.name
        assert found.probabilities.tobytes() == expected.probabilities.tobytes()
        assert (found.decisions == expected.decisions).all()
