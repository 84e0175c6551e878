"""Standard output and standard error, whoever closes them and in whatever encoding they have."""

import codecs
import os
import sys
from contextlib import suppress
from typing import TextIO

__all__ = ["Stream", "speak_any_encoding"]

_ERRORS = "lymphofeat.plain"
_PLAIN = {
    "−": "-", "–": "-", "—": "-", "×": "x", "·": "*", "•": "*", "±": "+/-", "≥": ">=", "≤": "<=", "≈": "~", "→": "->",
    "↓": "v", "✗": "x", "…": "...", "∞": "inf", "½": "1/2", "⁹": "^9", "²": "^2", "³": "^3", "κ": "kappa", "α": "alpha",
    "ε": "epsilon", "σ": "sigma", "“": '"', "”": '"', "’": "'", "‘": "'", "\u00a0": " ", "\u2009": " ", "\u202f": " ",
}  # fmt: skip


class Stream:
    """A stream that whoever reads it may close, and whose disk may be full: the work goes on without it.

    Attributes:
        lost: why something was not written, if that was not the reader's wish.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._closed = stream, False
        self.lost: OSError | None = None

    @property
    def encoding(self) -> str:
        return self._stream.encoding

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, action: object) -> None:
        if self._closed:
            return
        try:
            action()  # type: ignore[operator]
        except OSError as error:
            self._closed = True
            if not isinstance(error, BrokenPipeError):
                self.lost = error
            with suppress(OSError):  # so that Python does not try to write the rest when it ends
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


def speak_any_encoding() -> None:
    """Let standard output and standard error write what their encoding lacks in ASCII, instead of raising."""
    codecs.register_error(_ERRORS, _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ERRORS)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: the usual ASCII for the program's own signs, escapes for names of files."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign) or _escaped(sign) for sign in signs), error.end


def _escaped(sign: str) -> str:
    if "\udc80" <= sign <= "\udcff":  # a byte of a name that is not in the system's encoding
        return f"\\x{ord(sign) - 0xDC00:02x}"
    return sign.encode("ascii", "backslashreplace").decode("ascii")
