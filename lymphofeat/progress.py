"""How long work reports on itself without printing: the command line passes an object that draws a bar."""

from typing import Protocol


class Progress(Protocol):
    """One stretch of countable work at a time; `start` again for the next."""

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        """Begin `total` units of `what`, of which `done` were done by an earlier run."""

    def advance(self, n: int = 1) -> None:
        """`n` more units are done. Called from one thread at a time."""

    def note(self, text: str) -> None:
        """A line for the user that stays on the screen."""

    def stop(self) -> None:
        """The stretch ended, well or not."""


class Silent:
    """The null object: what library callers get unless they ask for more."""

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None: ...

    def advance(self, n: int = 1) -> None: ...

    def note(self, text: str) -> None: ...

    def stop(self) -> None: ...
