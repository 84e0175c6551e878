"""A process per device of this machine, as an executor: how several GPUs encode and train side by side."""

import multiprocessing
import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from .executor import travelling
from .parallel import cores_each

__all__ = ["DeviceProcesses", "ProcessEndedError", "device_processes"]

_SECONDS_TO_END = 5.0
_VISIBLE = "CUDA_VISIBLE_DEVICES"


class ProcessEndedError(Exception):
    """A process ended while it worked on a task; the next task of its device gets a new one."""


@contextmanager
def device_processes(devices: Sequence[str]) -> Iterator["DeviceProcesses"]:
    """Processes that end with the block: at once when it is left by an error, else after the tasks under way.

    They also end when this process does, however it ends.

    Args:
        devices: of each process, such as "cuda:1", which then is its only GPU, or "cpu".
    """
    executor = DeviceProcesses(devices)
    try:
        yield executor
    except BaseException:
        executor.kill()
        raise
    finally:
        executor.shutdown()


class DeviceProcesses(Executor):
    """One process per device, each with a task at a time, started when it is first needed.

    A task whose process ended has a `ProcessEndedError` for its result.

    Args:
        devices: see `device_processes`.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self._max_workers = len(devices)  # as ProcessPoolExecutor has it: who hands tasks out looks at it
        self._tasks: queue.SimpleQueue[tuple[Future[Any], bytes] | None] = queue.SimpleQueue()
        self._processes: dict[int, SpawnProcess] = {}
        self._lock = threading.Lock()
        self._ended = self._killed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(number, device), daemon=True)
            for number, device in enumerate(devices)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """As of concurrent.futures."""
        future: Future[Any] = Future()
        with self._lock:
            if self._ended:
                raise RuntimeError("the processes have ended")
            self._tasks.put((future, pickle.dumps((fn, args, kwargs))))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """As of concurrent.futures."""
        with self._lock:
            if not self._ended:
                self._ended = True
                if cancel_futures:
                    self._cancel()
                for _ in self._threads:
                    self._tasks.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def kill(self) -> None:
        """End all processes now; tasks under way and waiting are lost."""
        with self._lock:
            self._ended = self._killed = True
            self._cancel()
            for process in self._processes.values():
                process.kill()
            for _ in self._threads:
                self._tasks.put(None)

    def _cancel(self) -> None:
        with suppress(queue.Empty):
            while (task := self._tasks.get_nowait()) is not None:
                task[0].cancel()

    def _serve(self, number: int, device: str) -> None:
        """The life of a thread that keeps the process of a device busy."""
        pipe: Connection | None = None
        while (task := self._tasks.get()) is not None:
            future, work = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                pipe = pipe or self._start(number, device)
                pipe.send_bytes(work)
                found = pipe.recv_bytes()
            except (EOFError, OSError):
                code = self._bury(number)
                pipe = None
                future.set_exception(ProcessEndedError(f"exit code {code}"))
                continue
            try:
                raised, result = pickle.loads(found)
            except Exception as error:  # noqa: BLE001 - of classes that cannot be made here
                raised, result = True, error
            (future.set_exception if raised else future.set_result)(result)
        if pipe is not None:
            pipe.close()
            self._bury(number)

    def _start(self, number: int, device: str) -> Connection:
        # Not forked: CUDA, OpenMP and torch hold threads and locks that a fork would leave behind.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_live, args=(theirs, device, self._max_workers), daemon=True)
        with self._lock:
            if self._killed:
                raise EOFError
            process.start()
            self._processes[number] = process
        theirs.close()  # so that the pipe ends with the process
        return ours

    def _bury(self, number: int) -> int | None:
        """Wait for the end of a process whose pipe has ended: its exit code."""
        process = self._processes.pop(number, None)
        if process is None:
            return None
        process.join(_SECONDS_TO_END)
        if process.is_alive():
            process.kill()
            process.join()
        return process.exitcode


def _live(pipe: Connection, device: str, processes: int) -> None:
    """The life of a process: do what comes until nothing can come any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that the user started
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["LOKY_MAX_CPU_COUNT"] = str(cores_each(processes))  # which `usable_cores` honours
    kind, _, number = device.partition(":")
    if kind == "cuda":
        os.environ[_VISIBLE] = _gpu(int(number or 0))  # before CUDA looks at it, at its first call
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            work = pipe.recv_bytes()
            try:
                function, arguments, named = pickle.loads(work)
                found = pickle.dumps((False, function(*arguments, **named)))
            except Exception as error:  # noqa: BLE001 - the future's
                found = pickle.dumps((True, travelling(error)))
            pipe.send_bytes(found)


def _gpu(number: int) -> str:
    """A GPU's name for CUDA, by its number among those that this process may use."""
    visible = [name.strip() for name in os.environ.get(_VISIBLE, "").split(",") if name.strip()]
    return visible[number] if number < len(visible) else str(number)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
