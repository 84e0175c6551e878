"""Progress on standard error: a bar on a terminal, a line every so often in a file (Slurm, nohup)."""

import sys
import threading
import time
from collections.abc import Callable

from tqdm import tqdm

from ..wording import duration

__all__ = ["Bar", "Lines"]


class Bar:
    """A `lymphofeat.progress.Progress` on a terminal: rate and time left."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.stop()
        self._bar = tqdm(
            desc=what, total=total, initial=done, unit=f" {unit}", leave=False, dynamic_ncols=True, smoothing=0.1
        )  # fmt: skip

    def advance(self, n: int = 1) -> None:
        if self._bar is not None:
            self._bar.update(n)

    def note(self, text: str) -> None:
        tqdm.write(text, file=sys.stderr)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


_FIRST = 10.0  # seconds until a stretch of work is told of; what ends before is not
_LATER = 60.0  # seconds between lines …
_SLOWER = 0.1  # … or this share of the time since the start, if that is more …
_LATEST = 600.0  # … but not more than so many seconds
_STEP = 0.1  # a line for each further tenth, if the last one is _FIRST seconds old
_CHECKED = 1.0  # seconds


class Lines:
    """A `lymphofeat.progress.Progress` where there is no terminal: a line after 10 s, then each minute or each 10 %.

    After ten minutes the minute becomes a tenth of the time since the start. A thread looks at the clock, so that a
    line comes also where a single unit takes long.

    Args:
        write: takes a line; standard error by default.
        clock: seconds.
        watch: whether a thread looks at the clock; without one, only `advance` does.
    """

    def __init__(
        self,
        write: Callable[[str], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        watch: bool = True,
    ) -> None:
        self._write, self._clock, self._watch = write or _to_stderr, clock, watch
        self._lock = threading.RLock()
        self._stretch: _Stretch | None = None
        self._ended = threading.Event()

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.stop()
        with self._lock:
            self._stretch = _Stretch(what, total, unit, done, self._clock())
        if self._watch:
            self._ended = threading.Event()
            threading.Thread(target=self._look, args=(self._ended,), daemon=True).start()

    def advance(self, n: int = 1) -> None:
        with self._lock:
            if self._stretch is not None:
                self._stretch.done += n
        self.tell()

    def note(self, text: str) -> None:
        with self._lock:
            self._write(text)

    def stop(self) -> None:
        self._ended.set()
        with self._lock:
            if self._stretch is not None and self._stretch.lines:
                self._write(self._stretch.last(self._clock()))
            self._stretch = None

    def tell(self) -> None:
        """Write a line if it is time for one."""
        with self._lock:
            if self._stretch is not None and self._stretch.is_due(now := self._clock()):
                self._write(self._stretch.line(now))

    def _look(self, ended: threading.Event) -> None:
        while not ended.wait(_CHECKED):
            self.tell()


class _Stretch:
    """One stretch of work, and what was told of it."""

    def __init__(self, what: str, total: int, unit: str, done: int, began: float) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, done
        self.before, self.began = done, began
        self.lines, self.told, self.told_at = 0, done, began

    def is_due(self, now: float) -> bool:
        since = now - self.told_at
        if self.lines == 0 or since < _FIRST:
            return since >= _FIRST
        wait = min(max(_LATER, _SLOWER * (now - self.began)), _LATEST)
        return since >= wait or self.done - self.told >= _STEP * self.total > 0

    def line(self, now: float) -> str:
        self.lines, self.told, self.told_at = self.lines + 1, self.done, now
        spent, here = now - self.began, self.done - self.before
        left = self.total - self.done
        rest = f", about {duration(spent / here * left)} left" if here > 0 and left > 0 else ""
        return f"{self.what}: {self._amount()}, {duration(spent)}{rest}"

    def last(self, now: float) -> str:
        end = "done" if self.done >= self.total else "stopped"
        return f"{self.what}: {self._amount()}, {end} after {duration(now - self.began)}"

    def _amount(self) -> str:
        share = f" ({100 * self.done // self.total} %)" if self.total else ""
        plural = self.unit if self.unit.endswith("s") else f"{self.unit}s"
        return f"{self.done:,} of {self.total:,} {plural}{share}"


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
