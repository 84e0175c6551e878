"""SIGTERM, by which schedulers end a program (Slurm, systemd, `docker stop`): it ends as by Ctrl-C, and within 10 s.

Python runs a signal's handler only between two steps of its main thread, and what is at work in other threads is waited
for: one long call into a library would keep the program beyond the moment at which schedulers send SIGKILL. A thread
therefore ends the process if the command has not ended by then. Nothing is lost by that which SIGKILL would spare: what
is finished lies in files that are whole or can be gone on with.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

__all__ = ["EXIT_CODE", "Terminated", "at_stop", "sigterm_ends", "terminated"]

EXIT_CODE = 128 + 15  # as of a program that SIGTERM killed
_PATIENCE = 8.0  # seconds; `docker stop` waits for 10 before SIGKILL, Slurm for 30


class Terminated(KeyboardInterrupt):
    """SIGTERM has arrived. All that is to be done at Ctrl-C is to be done now."""


class _State:
    """Of this process.

    Attributes:
        arrived: whether SIGTERM has.
        sentence: what the command that is at work says when it is stopped.
    """

    arrived = False
    sentence = ""


_state = _State()


def terminated() -> bool:
    """Whether SIGTERM has arrived since `sigterm_ends` began."""
    return _state.arrived


@contextmanager
def at_stop(sentence: str) -> Iterator[None]:
    """What is said inside the block if the process has to be ended without waiting for the command."""
    before, _state.sentence = _state.sentence, sentence
    try:
        yield
    finally:
        _state.sentence = before


@contextmanager
def sigterm_ends(patience: float = _PATIENCE) -> Iterator[None]:
    """Let SIGTERM raise `Terminated` in the block, and end the process if the block is not left soon after.

    Nothing is changed where SIGTERM is ignored, as the caller of the program wished, nor outside the main thread, which
    alone has signals.

    Args:
        patience: seconds until the process is ended.
    """
    _state.arrived = False
    if (
        threading.current_thread() is not threading.main_thread()
        or os.name == "nt"  # which sends no SIGTERM
        or signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    ):
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    left = threading.Event()
    before = signal.signal(signal.SIGTERM, _raise)
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, left, patience), daemon=True).start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGTERM, before)
        os.close(writer)  # which ends the thread


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # a second one would stop the tidying up
    _state.arrived = True
    raise Terminated


def _watch(reader: int, left: threading.Event, patience: float) -> None:
    """Wait for the number of the signal, which the system writes at once, whatever the main thread does."""
    while numbers := os.read(reader, 64):
        if signal.SIGTERM in numbers and not left.wait(patience):
            with suppress(OSError):
                os.write(2, f"\nEnded by SIGTERM; {_state.sentence}\n".encode("ascii", "replace"))
            os._exit(EXIT_CODE)
    os.close(reader)
