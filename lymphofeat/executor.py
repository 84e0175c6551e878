"""Tasks on any executor: processes of this machine, Dask's workers, a cluster's jobs. The executor is its caller's.

A function that travels to a worker should raise nothing, but return its error: then whatever a future raises is its
worker's or executor's end.
"""

import asyncio
import pickle
import platform
import socket
import time
import traceback
import uuid
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from os import getpid
from typing import Any, Generic, TypeVar

from . import __version__
from .errors import InputError, LymphofeatError

__all__ = [
    "TRIES",
    "Kind",
    "answer",
    "answered",
    "check_executor",
    "check_versions",
    "error_text",
    "going_on",
    "hand_out",
    "host",
    "travelling",
    "versions",
]

TRIES = 2  # workers that may end on one task
_PAUSE = 0.2  # seconds between two looks at futures that are not those of concurrent.futures
_EACH = 4  # tasks under way per worker
_WIDE = 64  # and in all, where it is not known how many workers there are

T = TypeVar("T")


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of task: how it is handed over, and how its sentences read.

    Attributes:
        call: the function that travels, and its arguments. It takes a text besides, last, which makes no two calls
            equal: Dask would answer the second with what became of the first.
        doing: what a worker did with a task when it ended, such as "scored trial 3".
        name: of a task, such as "trial 3".
        error: what is raised.
        kept: what is not lost when it is raised, such as "The finished trials are kept".
        besides: what workers need besides lymphofeat, such as "and the packages of its heads"; "" for nothing.
    """

    call: Callable[[T], tuple[Callable[..., bytes], tuple[Any, ...]]]
    doing: Callable[[T], str]
    name: Callable[[T], str]
    error: type[LymphofeatError]
    kept: str
    besides: str = ""

    @property
    def goes_on(self) -> str:
        """What most of its sentences end with."""
        return going_on(self.kept)


def going_on(kept: str) -> str:
    """The end of a sentence that says what is not lost, such as "The finished trials are kept"."""
    return f"{kept}, and the same command goes on."


@dataclass
class _UnderWay(Generic[T]):
    task: T
    deaths: int = 0


def check_executor(executor: object) -> None:
    """Look whether something is an executor.

    Raises:
        InputError: it has no `submit`.
    """
    if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
        raise InputError(
            f"executor={executor!r} has no method submit; give an executor such as "
            "concurrent.futures.ProcessPoolExecutor() or a Dask client's get_executor()."
        )


def hand_out(
    executor: Executor, tasks: Iterable[T], kind: Kind[T], *, at_once: int | None = None
) -> Generator[tuple[T, bytes], None, None]:
    """Each task and what its function returned, as soon as it is known, in any order.

    A task whose worker ended is handed over again, once. Tasks under way are cancelled when the iterator is closed or
    an error leaves it. The executor is never shut down.

    Args:
        executor: anything with `submit`, whose futures have `done`, `result` and `cancel`.
        tasks: taken from as places become free.
        kind: theirs.
        at_once: most tasks under way; by default a few per worker.

    Raises:
        LymphofeatError: of the class `kind.error`: the executor is gone, or workers ended twice on the same task.
    """
    left, most = iter(tasks), at_once or _places(executor)
    flying: dict[Future[bytes], _UnderWay[T]] = {}
    try:
        while True:
            for task in islice(left, most - len(flying)):
                flying[_submitted(executor, task, kind)] = _UnderWay(task)
            if not flying:
                return
            for future in _first_done(flying):
                one = flying.pop(future)
                error: BaseException | None = None
                try:
                    found = future.result()
                except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001 - executors have their own
                    error = raised
                if error is None:
                    yield one.task, found
                    continue
                one.deaths += _deaths(executor, one.task, kind, error)
                if one.deaths >= TRIES:
                    raise kind.error(_ended(one, kind, error)) from error
                flying[_submitted(executor, one.task, kind)] = one
    finally:
        for future in flying:
            future.cancel()


def _submitted(executor: Executor, task: T, kind: Kind[T]) -> "Future[bytes]":
    # As bytes: Dask's scheduler unpickles what is handed over, and would import torch for it.
    payload = pickle.dumps(kind.call(task))
    try:
        return executor.submit(_called, payload, uuid.uuid4().hex)
    except Exception as error:
        raise kind.error(_gone(executor, kind, error)) from error


def _called(payload: bytes, token: str) -> bytes:
    """Call what `Kind.call` gave, in this process, whichever it is."""
    function, arguments = pickle.loads(payload)
    found: bytes = function(*arguments, token)
    return found


def _deaths(executor: Executor, task: T, kind: Kind[T], error: BaseException) -> int:
    """How many workers ended on the task.

    Raises:
        LymphofeatError: it was not the worker that ended, but the executor, or the worker cannot begin any task.
    """
    client = _client(executor)
    where = "every worker" if client is None else "Dask's scheduler and every worker"
    for cause in _causes(error):
        if isinstance(cause, ImportError | AttributeError):
            raise kind.error(
                f"A worker could not begin {kind.name(task)} ({error_text(cause)}); install lymphofeat {__version__} "
                f"on {where}{', ' * bool(kind.besides)}{kind.besides}. {kind.goes_on}"
            ) from error
    # Dask's futures are merely cancelled when its scheduler is gone.
    if client is not None and getattr(client, "status", "running") != "running":
        raise kind.error(_gone(executor, kind, error)) from error
    return 1 + int(getattr(error, "allowed_failures", 0))  # Dask's KilledWorker counts for itself


def _gone(executor: Executor, kind: Kind[T], error: BaseException) -> str:
    name = type(executor).__name__
    if isinstance(error, BrokenExecutor):
        return (
            f"A process of the executor ended ({error_text(error)}), the usual cause is too little memory, and {name} "
            f"takes no more tasks. {kind.kept}: make a new executor, and the same call goes on."
        )
    if _client(executor) is not None:
        return f"The Dask scheduler is gone ({error_text(error)}); start it again. {kind.goes_on}"
    return f"The executor {name} takes no more tasks ({error_text(error)}); make a new one. {kind.goes_on}"


def _ended(one: _UnderWay[T], kind: Kind[T], error: BaseException) -> str:
    n = "Two" if one.deaths == 2 else str(one.deaths)
    return (
        f"{n} workers ended while they {kind.doing(one.task)} ({error_text(error)}); the usual cause is too little "
        f"memory: give each worker more. {kind.kept}, and the same command goes on with this one."
    )


def _client(executor: Executor) -> Any:
    return getattr(executor, "_client", None)


def _places(executor: Executor) -> int:
    """How many tasks are under way at once: enough that no worker waits, few enough for this process's memory."""
    workers = getattr(executor, "_max_workers", None)
    client = _client(executor)
    if client is not None:
        try:
            workers = sum(client.nthreads().values())
        except Exception:  # noqa: BLE001 - a scheduler that is gone says so when the first task is handed over
            return _WIDE
    return _EACH * workers if isinstance(workers, int) and workers > 0 else _WIDE


def _first_done(futures: "dict[Future[bytes], _UnderWay[T]]") -> "list[Future[bytes]]":
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


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Of lymphofeat, Python (3.x) and the packages in this process; "" of one that is not installed."""
    found = {"lymphofeat": __version__, "Python": ".".join(platform.python_version_tuple()[:2])}
    return found | {name: _installed(name) for name in packages}


@once
def _installed(package: str) -> str:
    """The version, without what tells builds for GPUs from others; workers ask before each task."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return ""


def check_versions(wanted: dict[str, str], kind: type[LymphofeatError], goes_on: str) -> None:
    """Refuse to be a worker of other versions than those of the process that handed the task over.

    Args:
        wanted: of `versions` there.
        kind: of the error.
        goes_on: what the sentence ends with.

    Raises:
        LymphofeatError: of the class `kind`: this process has other versions.
    """
    here = versions([name for name in wanted if name not in ("lymphofeat", "Python")])
    for name, there in wanted.items():
        if here[name] != there:
            found = f"has {name} {here[name]}" if here[name] else f"lacks {name}"
            raise kind(
                f"The worker on {host()} {found}, and this process has {name} {there or 'missing'}: the results could "
                f"differ. Install the same versions on both. {goes_on}"
            )


def host() -> str:
    """This process in a sentence, such as "node7 (process 4711)"."""
    return f"{socket.gethostname()} (process {getpid()})"


def error_text(error: BaseException) -> str:
    """An error in one line, its class first."""
    return " ".join(f"{type(error).__name__}: {error}".split()) if str(error) else type(error).__name__


@dataclass(frozen=True)
class _Raised:
    """An error that a worker's work ended with."""

    error: Exception


def answer(work: Callable[[], object]) -> bytes:
    """What a function that travels returns of its work: the result, or the error that it raised, for `answered`."""
    try:
        return pickle.dumps(work())
    except Exception as error:  # noqa: BLE001 - raised again by `answered`
        return pickle.dumps(_Raised(travelling(error)))


def answered(found: bytes) -> Any:
    """The result that `answer` packed.

    Raises:
        Exception: the work's, if it ended with one.
    """
    result = pickle.loads(found)
    if isinstance(result, _Raised):
        raise result.error
    return result


def travelling(error: Exception) -> Exception:
    """An error with its traceback as a note, which a pickled one loses; or its text, where it cannot be pickled."""
    error.add_note("".join(traceback.format_exception(error)))
    try:  # not every exception can be, nor be made anew from what was
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - exceptions may define any of both
        return RuntimeError(repr(error))
    return error
