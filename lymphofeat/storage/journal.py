"""What long work has found so far: one line of JSON per piece of it, added when the piece is done.

A line is written whole and brought to the disk before the next piece begins; what a kill leaves of a line is cut off
when the file is opened again. Lines are found by a key that covers everything their numbers depend on, so a ledger may
serve many caches, and a line that no longer fits is simply not found. Each line holds a digest of itself.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import StudyError
from .atomic import sync
from .locks import locked
from .seals import sealed, unsealed

__all__ = ["Ledger", "open_ledger"]


_BEGINNING = b'{"key": "'


class Ledger:
    """An open ledger; see `open_ledger`."""

    def __init__(self, path: Path, entries: dict[str, dict[str, Any]]) -> None:
        self.path = path
        self._entries = entries

    def get(self, key: str) -> dict[str, Any] | None:
        """The entry of `key`, or None."""
        return self._entries.get(key)

    def add(self, key: str, entry: Mapping[str, Any]) -> None:
        """Keep an entry of JSON values.

        Raises:
            StudyError: the file cannot be written.
        """
        line = json.dumps(sealed({"key": key, **entry})) + "\n"
        try:
            new = not self.path.exists()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            if new:
                sync(self.path.parent)
        except OSError as error:
            raise StudyError(
                f"{self.path} cannot be written ({error.strerror}); free disk space or unlock the file, then run the "
                "same command again: its content is kept."
            ) from error
        self._entries[key] = dict(entry)


@contextlib.contextmanager
def open_ledger(path: Path) -> Iterator[Ledger]:
    """Hold the ledger for this process and read it; made when something is added.

    Raises:
        StudyError: another process holds it, its folder cannot be written, or it is no ledger.
    """
    with locked(path, StudyError, doing="in use"):
        yield Ledger(path, _read(path))


def _read(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if _is_torn(content[whole:]):  # a kill in the middle of a line
        os.truncate(path, whole)
        content = content[:whole]
    entries: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(content.splitlines(), 1):
        try:
            entry = unsealed(json.loads(line))
            entries[entry.pop("key")] = entry
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise StudyError(
                f"{path}, line {number}: not what lymphofeat writes there; move the file away to start again."
            ) from error
    return entries


def _is_torn(tail: bytes) -> bool:
    """Whether a line without its end is the beginning of one of ours, and not of a file that is not ours."""
    return bool(tail) and tail.startswith(_BEGINNING[: len(tail)])
