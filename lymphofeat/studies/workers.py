"""Who scores the points: this process, or several that each open the cache for themselves; or see `elsewhere`.

Processes get one task at a time over a pipe of their own, so that it is known what a killed one was working on: its
task goes to a new process. They end when this process does, however it ends, because their pipe ends.
"""

import contextlib
import multiprocessing
import pickle
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Protocol, Self

from ..errors import StudyError
from ..executor import travelling
from ..heads.registry import register_again, registered
from ..parallel import cores_each, hold_threads
from .evaluate import Evaluator, TrialResult, TrialTask

__all__ = ["TRIES", "Failure", "Inline", "Pool", "Workers", "packed", "scored"]

TRIES = 2  # processes that may die on one task
_SECONDS_TO_END = 5.0


@dataclass(frozen=True)
class Failure:
    """A task that could not be scored for a reason that is not its head's, so that the search ends.

    Attributes:
        number: the task's.
        error: what to raise.
    """

    number: int
    error: Exception


class Workers(Protocol):
    """Scores tasks."""

    def run(self, tasks: Sequence[TrialTask]) -> Iterator[tuple[TrialTask, TrialResult | Failure]]:
        """Each task and what comes of it as soon as it is known, in any order."""


class Inline:
    """This process, one task after the other."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    def run(self, tasks: Sequence[TrialTask]) -> Iterator[tuple[TrialTask, TrialResult | Failure]]:
        """See `Workers`."""
        for task in tasks:
            yield task, scored(self._evaluator, task)


class Pool:
    """Processes that are started when they are first needed and ended with the block.

    Args:
        jobs: processes, ≥ 2. Together they use no more threads than there are cores.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._members: list[_Member] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self._members:
            member.end(at_once=kind is not None)
        self._members.clear()

    def run(self, tasks: Sequence[TrialTask]) -> Iterator[tuple[TrialTask, TrialResult | Failure]]:
        """See `Workers`; the most expensive tasks are begun first.

        Raises:
            StudyError: two processes ended on the same task.
        """
        left = deque(sorted(tasks, key=lambda task: -task.expense))
        tries: Counter[int] = Counter()  # by the task's identity: numbers of different studies may be equal
        while True:
            self._hand_out(left, tries)
            busy = [(member, member.task) for member in self._members if member.task is not None]
            if not busy:
                return
            ready = wait([member.pipe for member, _ in busy])
            for member, task in busy:
                if member.pipe not in ready:
                    continue
                try:
                    result = member.receive()
                except (EOFError, OSError):
                    self._bury(member)
                    if tries[id(task)] >= TRIES:
                        raise StudyError(_killed(task, member)) from None
                    left.appendleft(task)
                else:
                    yield task, result

    def _hand_out(self, left: deque[TrialTask], tries: Counter[int]) -> None:
        while left:
            idle = next((m for m in self._members if m.task is None), None)
            if idle is None:
                if len(self._members) >= self._jobs:
                    return
                idle = _Member.start(self._jobs)
                self._members.append(idle)
            task = left.popleft()
            try:
                idle.send(task)
            except OSError:  # it was killed while it had nothing to do
                self._bury(idle)
                left.appendleft(task)
                continue
            tries[id(task)] += 1

    def _bury(self, member: "_Member") -> None:
        member.end(at_once=True)
        self._members.remove(member)


@dataclass
class _Member:
    """One process of a pool.

    Attributes:
        process: the process.
        pipe: to and from it.
        task: what it is working on.
    """

    process: SpawnProcess
    pipe: Connection
    task: TrialTask | None = None

    @classmethod
    def start(cls, jobs: int) -> "_Member":
        # Not forked: BLAS, OpenMP and torch hold threads and locks that a fork would leave behind.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, jobs, registered()), daemon=True)
        process.start()
        theirs.close()  # so that the pipe ends with the process
        return cls(process, ours)

    def send(self, task: TrialTask) -> None:
        self.pipe.send(task)
        self.task = task

    def receive(self) -> TrialResult | Failure:
        result: TrialResult | Failure = pickle.loads(self.pipe.recv_bytes())
        self.task = None
        return result

    def end(self, *, at_once: bool) -> None:
        self.pipe.close()
        if at_once:
            self.process.kill()
        self.process.join(_SECONDS_TO_END)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _serve(pipe: Connection, jobs: int, heads: Sequence[tuple[str, str]]) -> None:
    """The life of a process: score what comes until nothing can come any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that the user started
    evaluator: Evaluator | None = None

    def score(task: TrialTask) -> TrialResult:
        nonlocal evaluator
        if evaluator is None:
            hold_threads(cores_each(jobs))
            register_again(heads)
            evaluator = Evaluator(processes=jobs)
        return evaluator(task)

    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            task = pipe.recv()
            pipe.send_bytes(packed(scored(score, task)))


def packed(answer: TrialResult | Failure) -> bytes:
    """What another process unpickles; of an error that cannot travel, its text."""
    if isinstance(answer, Failure):
        return pickle.dumps(Failure(answer.number, travelling(answer.error)))
    return pickle.dumps(answer)


def scored(score: Callable[[TrialTask], TrialResult], task: TrialTask) -> TrialResult | Failure:
    """The task's result, or its failure where that is not its head's."""
    try:
        return score(task)
    except Exception as error:  # noqa: BLE001 - raised by who asked
        return Failure(task.number, error)


def _killed(task: TrialTask, member: _Member) -> str:
    code = member.process.exitcode
    return (
        f"Two processes ended (exit code {code}) while they scored trial {task.number}; the usual cause is too "
        "little memory: give fewer --jobs. The finished trials are kept, and the same command scores this one again."
    )
