"""Several trainings at once on a CPU, each with threads of its own: no barrier ever waits for the slower core.

A network's convolutions on two threads wait for each other dozens of times a step; two networks on one thread each
never do. How many threads a training has depends on the machine only, not on how many trainings wait, so that one that
was interrupted goes on with the same arithmetic.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import dataclass

import torch

from ..cohort.problems import counted
from ..parallel import thread_pool, usable_cores
from ..progress import Progress
from ..wording import duration

__all__ = ["Job", "WorkerLayout", "train_all", "worker_layout"]


@dataclass(frozen=True)
class WorkerLayout:
    """How many trainings run at once, and with how many threads each."""

    at_once: int
    threads: int


@dataclass(frozen=True)
class Job:
    """A training that waits.

    Attributes:
        name: of the encoder.
        images: that it learns from in all epochs together.
        epochs: in all.
        work: does it, telling the progress that it is given.
    """

    name: str
    images: int
    epochs: int
    work: Callable[[Progress], None]


def worker_layout(device: torch.device, n_folds: int) -> WorkerLayout:
    """On a CPU one training per core, but not more than folds; on an accelerator one after the other."""
    if device.type != "cpu":
        return WorkerLayout(1, torch.get_num_threads())
    at_once = max(min(usable_cores(), n_folds), 1)
    return WorkerLayout(at_once, max(usable_cores() // at_once, 1))


def train_all(jobs: Sequence[Job], layout: WorkerLayout, progress: Progress) -> None:
    """Do all jobs, with one bar for them together.

    Raises:
        Whatever a job raises first; the others end at their next step, and keep their last checkpoint.
    """
    board = _SharedProgress(jobs, progress)
    progress.start(f"training {counted(len(jobs), 'encoder')}", sum(job.images for job in jobs), "images")
    try:
        with thread_pool(layout.at_once, torch_each=layout.threads) as pool:
            try:
                running = [pool.submit(job.work, _WorkerProgress(board, job)) for job in jobs]
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                board.stopped.set()
            failed = [f.exception() for f in running if f.done()]
            for error in failed:
                if error is not None and not isinstance(error, _Stopped):
                    raise error
    finally:
        progress.stop()


class _Stopped(BaseException):
    """Ends a training because another one failed or the user interrupted."""


class _SharedProgress:
    """What the jobs share: the bar, one at a time, and how long is left."""

    def __init__(self, jobs: Sequence[Job], progress: Progress) -> None:
        self.progress, self.lock, self.stopped = progress, threading.Lock(), threading.Event()
        self.left = {job.name: job.epochs for job in jobs}
        self.done, self.began = 0, time.perf_counter()

    def note(self, job: Job, text: str) -> None:
        self.left[job.name] -= 1
        self.done += 1
        seconds = (time.perf_counter() - self.began) / self.done * sum(self.left.values())
        self.progress.note(f"{job.name}, {text}; {duration(seconds)} left")


class _WorkerProgress:
    """A job's progress: its images move the common bar, its notes get its name and the time left."""

    def __init__(self, board: _SharedProgress, job: Job) -> None:
        self._progress_board, self._job = board, job

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        with self._progress_board.lock:
            self._progress_board.left[self._job.name] -= round(self._job.epochs * done / max(total, 1))
            self._progress_board.progress.advance(done)

    def advance(self, n: int = 1) -> None:
        if self._progress_board.stopped.is_set():
            raise _Stopped
        with self._progress_board.lock:
            self._progress_board.progress.advance(n)

    def note(self, text: str) -> None:
        with self._progress_board.lock:
            self._progress_board.note(self._job, text)

    def stop(self) -> None: ...
