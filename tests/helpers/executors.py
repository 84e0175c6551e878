"""Executors that run tasks in this process, and what may happen to them."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any


class Here(Executor):
    """Runs a task when it is submitted, in this process.

    Args:
        around: called with the number of the submission; the task runs in its context, and what it raises is the
            future's.
    """

    def __init__(
        self, around: Callable[[int], AbstractContextManager[object]] = lambda _: nullcontext()
    ) -> None:
        self.around, self.submitted = around, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.submitted += 1
        try:
            with self.around(self.submitted):
                future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as executors do
            future.set_exception(error)
        return future
