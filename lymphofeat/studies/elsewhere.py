"""Trials on any executor: each worker opens the cache by its path and scores one trial at a time."""

import pickle
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError, LymphofeatError, StudyError
from ..executor import Kind, check_executor, check_versions, going_on, hand_out, host, versions
from ..heads.registry import find_head_type, foreign_heads, register_again, registered
from ..parallel import one_thread, torch_threads, usable_cores
from ..scoring.shared_cache import COMPUTE, SharedCache
from .evaluate import Evaluator, TrialResult, TrialTask
from .space import HEAD_TYPE
from .workers import Failure, packed, scored

__all__ = ["Elsewhere", "Needs", "score_elsewhere"]

_KEPT = "The finished trials are kept"
_GOES_ON = going_on(_KEPT)


@dataclass(frozen=True)
class Needs:
    """What a worker must have to give the same bits.

    Attributes:
        versions: of `versions`.
        cache: the file, absolute.
        contents: what tells the file from others of its name.
        heads: of `registry.registered`.
        modules: of head types that other packages bring, by name.
    """

    versions: dict[str, str]
    cache: Path
    contents: str
    heads: tuple[tuple[str, str], ...]
    modules: dict[str, str]


class Elsewhere:
    """An executor's workers; those on other machines read the cache by its path.

    Args:
        executor: of `executor.hand_out`. It is never shut down.

    Raises:
        InputError: it has no `submit`.
    """

    def __init__(self, executor: Executor) -> None:
        check_executor(executor)
        self._executor = executor

    def run(self, tasks: Sequence[TrialTask]) -> Iterator[tuple[TrialTask, TrialResult | Failure]]:
        """See `Workers`; the most expensive tasks are handed over first.

        Raises:
            StudyError: the executor is gone, or workers ended twice on the same task.
            InputError: a head type was registered where no other process can import it.
        """
        each = {path: _needs(path) for path in {task.spec.cache for task in tasks}}

        def call(task: TrialTask) -> tuple[Any, tuple[Any, ...]]:
            needs = each[task.spec.cache]
            away = replace(task, spec=replace(task.spec, cache=needs.cache))
            return score_elsewhere, (pickle.dumps(away), task.number, needs)

        kind = Kind[TrialTask](
            call,
            doing=lambda task: f"scored trial {task.number}",
            name=lambda task: f"trial {task.number}",
            error=StudyError,
            kept=_KEPT,
            besides="and the packages of its heads",
        )
        ordered = sorted(tasks, key=lambda task: -task.expense)
        for task, found in hand_out(self._executor, ordered, kind):
            yield task, pickle.loads(found)


class _State:
    """Of this process, as a worker: one task at a time, since libraries' numbers of threads are the process's.

    Attributes:
        lock: held by the task that is scored.
        needs: those that `evaluator` was made for.
        evaluator: keeps what tasks share; the last one only.
    """

    lock = threading.Lock()
    needs: Needs | None = None
    evaluator: Evaluator | None = None


def score_elsewhere(payload: bytes, number: int, needs: Needs, token: str) -> bytes:
    """Score a task in this process, whichever it is.

    Args:
        payload: the pickled task.
        number: the task's.
        needs: what must be so here.
        token: makes the call unlike every other.

    Returns:
        The pickled `TrialResult`, or `Failure` where the error is not the head's.
    """
    with _State.lock:
        try:
            # Before the task is unpickled, whose classes may have changed.
            check_versions(needs.versions, StudyError, _GOES_ON)
            evaluator = _evaluator(needs)
            task: TrialTask = pickle.loads(payload)
            _check_head(task, needs)
        except Exception as error:  # noqa: BLE001 - raised by who asked
            return packed(Failure(number, error))
        with torch_threads(1), one_thread():
            return packed(scored(evaluator, task))


def _evaluator(needs: Needs) -> Evaluator:
    if _State.needs != needs or _State.evaluator is None:
        SharedCache(needs.cache, needs.contents).open(_GOES_ON)
        try:
            register_again(needs.heads)
        except LymphofeatError as error:
            raise StudyError(f"The worker on {host()} lacks a head type: {error} {_GOES_ON}") from error
        _State.evaluator, _State.needs = Evaluator(processes=usable_cores()), needs
    return _State.evaluator


def _check_head(task: TrialTask, needs: Needs) -> None:
    name = str(task.params.get(HEAD_TYPE))
    try:
        there = find_head_type(name) is not None
    except InputError as error:
        raise StudyError(f"The worker on {host()} cannot load its head types: {error} {_GOES_ON}") from error
    if not there:
        package = needs.modules.get(name, "lymphofeat").partition(".")[0]
        raise StudyError(
            f"The worker on {host()} has no head type {name!r}; install the package {package} there, as here. "
            f"{_GOES_ON}"
        )


def _needs(path: Path) -> Needs:
    modules = {name: module for name, (_, module) in foreign_heads().items()}
    shared = SharedCache.of(path)
    return Needs(versions(COMPUTE), shared.path, shared.contents, registered(), modules)
