"""Many trainings on the cores that there are: no core waits for another one's model.

A training is a sequence of steps. Whoever is free takes the training that has waited longest by one step and puts it
back, so that all progress evenly and end together. A step is computed by one thread: which core it was, and how many
there are, changes no bit. (Sharing a step between two cores was slower at every width: the threads waited for each
other and for Python's lock.)
"""

from collections.abc import Sequence
from queue import SimpleQueue
from threading import Lock
from typing import Protocol

from ...parallel import disable_malloc_trim, thread_pool, torch_threads

__all__ = ["Training", "run_all"]


class Training(Protocol):
    """Something that is done in steps."""

    def step(self) -> bool:
        """Take the next step; whether there is another one. Never called by two threads at a time."""


def run_all(trainings: Sequence[Training], workers: int) -> None:
    """Carry out all trainings.

    Args:
        workers: threads at most; each does its arithmetic alone. With 1, everything runs in the caller's thread.

    Raises:
        Whatever a training raises; the others are given up then.
    """
    disable_malloc_trim()
    with torch_threads(1):
        if workers <= 1 or len(trainings) <= 1:
            for training in trainings:
                while training.step():
                    pass
            return
        _BatchLayout(trainings).run(min(workers, len(trainings)))


class _BatchLayout:
    """Threads that take trainings from one queue, a step at a time."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        self._queue: SimpleQueue[Training | None] = SimpleQueue()
        self._unfinished = len(trainings)
        self._lock = Lock()
        for training in trainings:
            self._queue.put(training)

    def run(self, workers: int) -> None:
        with thread_pool(workers, torch_each=1) as pool:
            try:
                for future in [pool.submit(self._work, workers) for _ in range(workers)]:
                    future.result()
            except BaseException:  # Ctrl-C comes to this thread only
                self._dismiss(workers)
                raise

    def _work(self, workers: int) -> None:
        try:
            while (training := self._queue.get()) is not None:
                if training.step():
                    self._queue.put(training)
                elif self._was_last():
                    self._dismiss(workers)
        except BaseException:
            self._dismiss(workers)
            raise

    def _was_last(self) -> bool:
        with self._lock:
            self._unfinished -= 1
            return self._unfinished == 0

    def _dismiss(self, workers: int) -> None:
        for _ in range(workers):
            self._queue.put(None)
