"""Tasks on any executor: processes of this machine, Dask's workers, a cluster's jobs. The executor is its caller's.

A task travels as bytes beside what it needs of the process that scores it, which says so in a sentence where that is
not there. The function that travels raises nothing, so that whatever a future raises is its worker's or executor's end.
"""

import asyncio
import os
import pickle
import platform
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__
from ..cache.reader import open_cache
from ..errors import CacheError, InputError, LymphofeatError, StudyError
from ..heads.registry import find_head_type, foreign_heads, register_again, registered
from ..parallel import one_thread, torch_threads, usable_cores
from ..storage.trailing_digest import digest_at_end
from .evaluate import Evaluator, TrialResult, TrialTask
from .space import HEAD_TYPE
from .workers import TRIES, Failure, packed, scored

__all__ = ["Elsewhere", "Needs", "score_elsewhere", "versions"]

_COMPUTE = ("numpy", "scipy", "scikit-learn", "torch", "xgboost")  # whose versions decide the last bits
_PAUSE = 0.2  # seconds between two looks at futures that are not those of concurrent.futures
_KEPT = "The finished trials are kept, and the same command goes on."


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
        executor: anything with `submit`, whose futures have `done`, `result` and `cancel`. It is never shut down.

    Raises:
        InputError: it has no `submit`.
    """

    def __init__(self, executor: Executor) -> None:
        if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
            raise InputError(
                f"executor={executor!r} has no method submit; give an executor such as "
                "concurrent.futures.ProcessPoolExecutor() or a Dask client's get_executor()."
            )
        self._executor = executor

    def run(self, tasks: Sequence[TrialTask]) -> Iterator[tuple[TrialTask, TrialResult | Failure]]:
        """See `Workers`; the most expensive tasks are handed over first.

        Raises:
            StudyError: the executor is gone, or workers ended twice on the same task.
            InputError: a head type was registered where no other process can import it.
        """
        each = {path: _needs(path) for path in {task.spec.cache for task in tasks}}
        tries: Counter[int] = Counter()
        flying: dict[Future[bytes], TrialTask] = {}
        try:
            for task in sorted(tasks, key=lambda task: -task.expense):
                flying[self._submitted(task, each[task.spec.cache])] = task
            while flying:
                for future in _first_done(flying):
                    task = flying.pop(future)
                    error: BaseException | None = None
                    try:
                        found = future.result()
                    except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001 - executors have their own
                        error = raised
                    if error is None:
                        yield task, pickle.loads(found)
                        continue
                    tries[id(task)] += self._deaths(task, error)
                    if tries[id(task)] >= TRIES:
                        raise StudyError(_ended(task, error)) from error
                    flying[self._submitted(task, each[task.spec.cache])] = task
        finally:
            for future in flying:
                future.cancel()

    def _submitted(self, task: TrialTask, needs: Needs) -> "Future[bytes]":
        away = replace(task, spec=replace(task.spec, cache=needs.cache))
        # The last argument makes no two calls equal: Dask would answer the second with what became of the first.
        try:
            return self._executor.submit(
                score_elsewhere, pickle.dumps(away), task.number, needs, uuid.uuid4().hex
            )
        except Exception as error:
            raise StudyError(self._gone(error)) from error

    def _deaths(self, task: TrialTask, error: BaseException) -> int:
        """How many workers ended on the task.

        Raises:
            StudyError: it was not the worker that ended, but the executor, or the worker cannot begin any task.
        """
        for cause in _causes(error):
            if isinstance(cause, ImportError | AttributeError):
                raise StudyError(
                    f"A worker could not begin trial {task.number} ({_text(cause)}); install lymphofeat "
                    f"{__version__} on every worker, and the packages of its heads. {_KEPT}"
                ) from error
        client = getattr(
            self._executor, "_client", None
        )  # Dask's, whose futures are merely cancelled when it is gone
        if client is not None and getattr(client, "status", "running") != "running":
            raise StudyError(self._gone(error)) from error
        return 1 + int(getattr(error, "allowed_failures", 0))  # Dask's KilledWorker counts for itself

    def _gone(self, error: BaseException) -> str:
        name = type(self._executor).__name__
        if isinstance(error, BrokenExecutor):
            return (
                f"A process of the executor ended ({_text(error)}), the usual cause is too little memory, and "
                f"{name} takes no more tasks. The finished trials are kept: make a new executor, and the same call "
                "goes on."
            )
        if getattr(self._executor, "_client", None) is not None:
            return f"The Dask scheduler is gone ({_text(error)}); start it again. {_KEPT}"
        return f"The executor {name} takes no more tasks ({_text(error)}); make a new one. {_KEPT}"


def versions() -> dict[str, str]:
    """Of everything that the bits of a score depend on, in this process; "" where it is not installed."""
    found = {"lymphofeat": __version__, "Python": ".".join(platform.python_version_tuple()[:2])}
    for name in _COMPUTE:
        try:
            found[name] = version(name).partition("+")[0]  # without what tells builds for GPUs from others
        except PackageNotFoundError:
            found[name] = ""
    return found


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
            _check_versions(needs)  # before the task is unpickled, whose classes may have changed
            evaluator = _evaluator(needs)
            task: TrialTask = pickle.loads(payload)
            _check_head(task, needs)
        except Exception as error:  # noqa: BLE001 - raised by who asked
            return packed(Failure(number, error))
        with torch_threads(1), one_thread():
            return packed(scored(evaluator, task))


def _check_versions(needs: Needs) -> None:
    here = versions()
    for name, wanted in needs.versions.items():
        if here.get(name, "") != wanted:
            found = f"has {name} {here[name]}" if here.get(name) else f"lacks {name}"
            raise StudyError(
                f"The worker on {_host()} {found}, and this process has {name} {wanted or 'missing'}: the results "
                f"could differ. Install the same versions on both. {_KEPT}"
            )


def _evaluator(needs: Needs) -> Evaluator:
    if _State.needs != needs or _State.evaluator is None:
        try:
            contents = _contents(needs.cache)
            open_cache(needs.cache)
        except (CacheError, OSError) as error:
            raise CacheError(
                f"The worker on {_host()} cannot read the cache {needs.cache}: {_text(error)} Workers read it by this "
                f"path, so put it on a file system that all machines share. {_KEPT}"
            ) from error
        if contents != needs.contents:
            raise CacheError(
                f"The worker on {_host()} finds another file at {needs.cache} than this process; put the cache on a "
                f"file system that all machines share. {_KEPT}"
            )
        try:
            register_again(needs.heads)
        except LymphofeatError as error:
            raise StudyError(f"The worker on {_host()} lacks a head type: {error} {_KEPT}") from error
        _State.evaluator, _State.needs = Evaluator(processes=usable_cores()), needs
    return _State.evaluator


def _check_head(task: TrialTask, needs: Needs) -> None:
    name = str(task.params.get(HEAD_TYPE))
    try:
        there = find_head_type(name) is not None
    except InputError as error:
        raise StudyError(f"The worker on {_host()} cannot load its head types: {error} {_KEPT}") from error
    if not there:
        package = needs.modules.get(name, "lymphofeat").partition(".")[0]
        raise StudyError(
            f"The worker on {_host()} has no head type {name!r}; install the package {package} there, as here. {_KEPT}"
        )


def _needs(path: Path) -> Needs:
    modules = {name: module for name, (_, module) in foreign_heads().items()}
    return Needs(versions(), path.absolute(), _contents(path), registered(), modules)


def _contents(path: Path) -> str:
    """Differs between any two caches with a digest at their end, otherwise between those of different sizes."""
    digest = digest_at_end(path)
    return str(path.stat().st_size) if digest is None else digest.hex()


def _first_done(futures: "dict[Future[bytes], TrialTask]") -> "list[Future[bytes]]":
    """Those that are done, at least one; submitit's jobs are no futures of `concurrent.futures`."""
    each: list[Any] = list(futures)
    if all(isinstance(one, Future) for one in each):
        done, _ = wait(each, return_when=FIRST_COMPLETED)
        return [one for one in each if one in done]
    while not (found := [one for one in each if one.done()]):
        time.sleep(_PAUSE)
    return found


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what it was raised from; chains may run in a circle."""
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and not any(cause is one for one in found):
        found.append(cause)
        cause = cause.__cause__
    return found


def _ended(task: TrialTask, error: BaseException) -> str:
    return (
        f"Two workers ended while they scored trial {task.number} ({_text(error)}); the usual cause is too little "
        "memory: give each worker more. The finished trials are kept, and the same command scores this one again."
    )


def _text(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()) if str(error) else type(error).__name__


def _host() -> str:
    return f"{socket.gethostname()} (process {os.getpid()})"
