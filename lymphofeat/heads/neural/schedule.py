"""Many trainings on the cores that there are: no core waits for another one's model.

A training is a sequence of steps, and a step one or more parts that can be computed side by side. Whoever finishes the
last part of a step takes the step and hands out the next. Which core computes what changes nothing in the result:
parts are added up in their order, not in that of their coming.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Lock
from typing import Protocol

import torch

from ...encoder.frozen import keep_freed_memory

__all__ = ["Training", "one_thread_each", "run_all"]


class Training(Protocol):
    """Something that is done in steps of parts."""

    @property
    def parts(self) -> int:
        """How many parts each step has."""

    def compute(self, part: int) -> None:
        """Compute one part of the present step; called for different parts at the same time."""

    def advance(self) -> bool:
        """Take the step, after all its parts; whether there is another one."""


def run_all(trainings: Sequence[Training], workers: int) -> None:
    """Carry out all trainings.

    Args:
        workers: threads at most; each does its arithmetic alone. With 1, everything runs in the caller's thread.

    Raises:
        Whatever a training raises; the others are given up then.
    """
    keep_freed_memory()
    with one_thread_each():
        if workers <= 1 or not trainings:
            for training in trainings:
                _run_alone(training)
            return
        _Crew(trainings).run(min(workers, sum(t.parts for t in trainings)))


def _run_alone(training: Training) -> None:
    more = True
    while more:
        for part in range(training.parts):
            training.compute(part)
        more = training.advance()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let torch compute with one thread inside the block, so that the bits do not depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Crew:
    """Threads that take parts from one queue."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        self._queue: SimpleQueue[tuple[Training, int] | None] = SimpleQueue()
        self._left = {id(t): t.parts for t in trainings}
        self._unfinished = len(trainings)
        self._lock = Lock()
        self._trainings = trainings

    def run(self, workers: int) -> None:
        for training in self._trainings:
            self._hand_out(training)
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for future in [pool.submit(self._work, workers) for _ in range(workers)]:
                future.result()

    def _hand_out(self, training: Training) -> None:
        for part in range(training.parts):
            self._queue.put((training, part))

    def _work(self, workers: int) -> None:
        try:
            while (task := self._queue.get()) is not None:
                training, part = task
                training.compute(part)
                if self._was_last_part(training):
                    self._go_on(training, workers)
        except BaseException:
            self._dismiss(workers)
            raise

    def _was_last_part(self, training: Training) -> bool:
        with self._lock:
            self._left[id(training)] -= 1
            if self._left[id(training)]:
                return False
            self._left[id(training)] = training.parts
            return True

    def _go_on(self, training: Training, workers: int) -> None:
        if training.advance():
            self._hand_out(training)
            return
        with self._lock:
            self._unfinished -= 1
            done = self._unfinished == 0
        if done:
            self._dismiss(workers)

    def _dismiss(self, workers: int) -> None:
        for _ in range(workers):
            self._queue.put(None)
