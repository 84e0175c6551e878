"""The progress bar that the command line shows."""

import sys

from tqdm import tqdm


class Bar:
    """A `lymphofeat.progress.Progress` on standard error: rate and time left; nothing where it is no terminal."""

    def __init__(self, *, shown: bool | None = None) -> None:
        self._shown = sys.stderr.isatty() if shown is None else shown
        self._bar: tqdm[None] | None = None

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.stop()
        self._bar = tqdm(
            desc=what, total=total, initial=done, unit=f" {unit}", disable=not self._shown, leave=False,
            dynamic_ncols=True, smoothing=0.1,
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
