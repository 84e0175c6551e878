"""Trainings on threads: every part once, steps in order, errors handed on."""

from threading import Lock

import pytest
import torch

from lymphofeat.heads.neural.schedule import run_all


class Recorded:
    """Writes down what is computed when."""

    def __init__(self, parts: int, steps: int, fail_at: int | None = None) -> None:
        self.parts, self.steps, self.fail_at = parts, steps, fail_at
        self.step, self.log, self.threads = 0, [], set()
        self._lock = Lock()

    def compute(self, part: int) -> None:
        if self.step == self.fail_at:
            raise ArithmeticError("broken")
        with self._lock:
            self.log.append((self.step, part))
            self.threads.add(torch.get_num_threads())

    def advance(self) -> bool:
        assert sorted(self.log[-self.parts :]) == [(self.step, part) for part in range(self.parts)]
        self.step += 1
        return self.step < self.steps


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_part_once_and_steps_in_order(workers: int) -> None:
    before = torch.get_num_threads()
    trainings = [Recorded(parts, steps) for parts, steps in ((1, 30), (2, 20), (3, 1), (2, 50))]
    run_all(trainings, workers)
    for training in trainings:
        assert len(training.log) == training.parts * training.steps
        assert training.threads == {1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_an_error_ends_all(workers: int) -> None:
    with pytest.raises(ArithmeticError, match="broken"):
        run_all([Recorded(2, 5), Recorded(2, 10**9, fail_at=3), Recorded(1, 5)], workers)


def test_nothing_to_do() -> None:
    run_all([], 2)
