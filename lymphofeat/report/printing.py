"""The one way to the terminal: text as it is, never read as markup, in whatever encoding the terminal has."""

import codecs
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

__all__ = ["PlainTable", "Stream", "show", "speak_any_encoding", "terminal"]

Part = str | tuple[str, str]  # text, or text and its style

_ERRORS = "lymphofeat.plain"
_PLAIN = {
    "−": "-", "–": "-", "—": "-", "×": "x", "·": "*", "•": "*", "±": "+/-", "≥": ">=", "≤": "<=", "≈": "~", "→": "->",
    "↓": "v", "✗": "x", "…": "...", "∞": "inf", "½": "1/2", "⁹": "^9", "²": "^2", "³": "^3", "κ": "kappa", "α": "alpha",
    "ε": "epsilon", "σ": "sigma", "“": '"', "”": '"', "’": "'", "‘": "'", "\u00a0": " ", "\u2009": " ", "\u202f": " ",
}  # fmt: skip


def show(console: Console, *parts: Part | Table, wrap: bool = True) -> None:
    """Print a line of parts, each a text or a text with its style; or one table.

    Brackets, colons and backslashes of a part are what they are: nothing in it is markup.

    Args:
        console: where to.
        parts: of the line; none: an empty line.
        wrap: break the line at the terminal's width.
    """
    line = Text()
    for part in parts:
        if isinstance(part, Table):
            console.print(part)
            return
        line.append(*((part,) if isinstance(part, str) else part))
    console.print(line, soft_wrap=not wrap)


class PlainTable(Table):
    """A table without lines whose cells and titles are text as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            box=None, pad_edge=False, **{"header_style": "bold", "title_justify": "left", **options}
        )

    def add_column(self, header: RenderableType = "", *args: Any, **options: Any) -> None:
        """As `Table.add_column`."""
        super().add_column(_text(header), *args, **options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """As `Table.add_row`."""
        super().add_row(*map(_text, cells), **options)


def _text(cell: RenderableType | None) -> RenderableType:
    return Text(cell) if isinstance(cell, str) else cell or Text()


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


def terminal(stream: TextIO | Stream, *, quiet: bool = False) -> Console:
    """A console that takes no text for markup or for the name of an emoji."""
    return Console(file=stream, quiet=quiet, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]


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
