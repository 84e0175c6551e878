"""Trainings on threads: steps in order, never two of one training at a time, errors handed on."""

import os
import signal
import time
from threading import Lock

import pytest
import torch

from lymphofeat.heads.neural.schedule import run_all


class Recorded:
    """Writes down what is computed when."""

    def __init__(self, steps: int, fail_at: int | None = None) -> None:
        self.steps, self.fail_at = steps, fail_at
        self.taken, self.threads = 0, set()
        self._alone = Lock()

    def step(self) -> bool:
        assert self._alone.acquire(blocking=False)
        try:
            if self.taken == self.fail_at:
                raise ArithmeticError("broken")
            time.sleep(0)  # lets another thread in
            self.threads.add(torch.get_num_threads())
            self.taken += 1
            return self.taken < self.steps
        finally:
            self._alone.release()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_training_to_its_end(workers: int) -> None:
    before = torch.get_num_threads()
    trainings = [Recorded(steps) for steps in (30, 20, 1, 50)]
    run_all(trainings, workers)
    for training in trainings:
        assert training.taken == training.steps
        assert training.threads == {1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_an_error_ends_all(workers: int) -> None:
    with pytest.raises(ArithmeticError, match="broken"):
        run_all([Recorded(5), Recorded(10**9, fail_at=3), Recorded(5)], workers)


def test_nothing_to_do() -> None:
    run_all([], 2)


def test_ctrl_c_ends_all() -> None:
    """It reaches the thread that waits, none of those that train."""

    class Interrupting(Recorded):
        def step(self) -> bool:
            if self.taken == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return super().step()

    trainings = [Recorded(10**9), Interrupting(10**9)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # processes of xdist ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            run_all(trainings, 2)
    finally:
        signal.signal(signal.SIGINT, before)
