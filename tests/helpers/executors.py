"""Executors that run tasks in this process, and what may happen to them."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any


class Here(Executor):
    """Runs a task when it is submitted, in this process.

    Args:
        before: called with the number of the submission; what it raises is the future's.
        around: the task runs in the context that it gives.
    """

    def __init__(
        self,
        before: Callable[[int], object] = lambda number: None,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.before, self.around, self.submitted = before, around, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.submitted += 1
        try:
            self.before(self.submitted)
            with self.around():
                future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as executors do
            future.set_exception(error)
        return future
