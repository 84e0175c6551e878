"""Processes that score: their errors travel, killed ones are replaced, and a task that kills them is given up."""

import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from lymphofeat.errors import CacheError, StudyError
from lymphofeat.studies.evaluate import StudySpec, TrialTask
from lymphofeat.studies.space import Space
from lymphofeat.studies.workers import Failure, Pool


@pytest.fixture
def task(tmp_path: Path) -> TrialTask:
    spec = StudySpec(tmp_path / "none.h5", "frozen", 1, "auc", None)
    return TrialTask(spec, 7, Space.of(["logistic"]).default_params()[0], None)


@pytest.mark.slow
def test_an_error_travels_and_a_process_that_was_killed_idle_is_replaced(task: TrialTask) -> None:
    with Pool(jobs=2) as pool:
        for _ in range(2):
            ((asked, result),) = pool.run([task])
            assert asked is task
            assert isinstance(result, Failure)
            assert result.number == 7
            assert isinstance(result.error, CacheError)
            assert "none.h5" in str(result.error)
            assert "Traceback" in result.error.__notes__[0]
            (process,) = multiprocessing.active_children()
            process.kill()
            process.join()
    assert multiprocessing.active_children() == []


def test_a_task_that_two_processes_died_on_is_given_up(task: TrialTask) -> None:
    ended = threading.Event()
    killed: set[int | None] = set()

    def kill_all() -> None:
        while not ended.is_set():
            for process in multiprocessing.active_children():
                process.kill()
                killed.add(process.pid)
            time.sleep(0.05)

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        with (
            pytest.raises(
                StudyError, match=r"Two processes ended \(exit code -9\) while they scored trial 7"
            ),
            Pool(jobs=2) as pool,
        ):
            list(pool.run([task]))
    finally:
        ended.set()
        killer.join()
    assert len(killed) >= 2
    assert multiprocessing.active_children() == []
