"""One bar over all searches of an evaluation, and how long it will take at the pace of the first trials."""

import time
from collections.abc import Callable

from ..progress import Progress
from ..wording import duration

__all__ = ["WholeProgress"]

_MEASURED = 40  # trials, or a twentieth of all if that is more: early trials cost as much as later ones


class WholeProgress:
    """A `Progress` for the searches, which all move one bar; in a sentence it says how long they will take.

    Args:
        progress: the user's.
        total: trials of all searches.
        done: of those that earlier runs finished.
        processes: that score trials; None: an executor's workers.
        clock: seconds.
    """

    def __init__(
        self,
        progress: Progress,
        total: int,
        done: int,
        processes: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress, self._total, self._processes, self._clock = progress, total, processes, clock
        self._done = done
        self._fresh = 0  # scored by this run
        self._left = 0  # of the searches under way
        self._began: float | None = None
        self._told = False
        progress.start("evaluating", total, "trials", done)

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.stop()
        self._left = total
        self._move(done)
        self._began = self._clock() if self._began is None else self._began

    def advance(self, n: int = 1) -> None:
        self._move(n)
        self._fresh += n
        if not self._told and self._fresh >= max(_MEASURED, self._total // 20):
            self._tell()

    def note(self, text: str) -> None:
        self._progress.note(text)

    def stop(self) -> None:
        """The searches under way ended; a grid without further points ends early."""
        self._move(self._left)

    def end(self) -> None:
        """All searches ended, well or not."""
        self._progress.stop()

    def _move(self, n: int) -> None:
        self._left -= n
        self._done += n
        if n:
            self._progress.advance(n)

    def _tell(self) -> None:
        self._told = True
        left = self._total - self._done
        spent = self._clock() - (self._began or 0.0)
        if left > 0:
            processes = {None: "the executor's workers", 1: "1 process"}.get(
                self._processes, f"{self._processes} processes"
            )
            time_left = duration(spent / self._fresh * left)
            self._progress.note(
                f"The evaluation will take about {time_left} more: {left:,} of {self._total:,} trials are left, at "
                f"the pace of the first {self._fresh:,} ({processes})."
            )
