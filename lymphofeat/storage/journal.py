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

__all__ = ["Ledger", "open_ledger", "read_ledger"]


_BEGINNING = b'{"key": "'


class Ledger:
    """An open ledger; see `open_ledger`."""

    def __init__(
        self,
        path: Path,
        entries: dict[str, dict[str, Any]],
        known: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        self.path = path
        self._entries = entries
        self._known = known or {}

    @property
    def entries(self) -> Mapping[str, dict[str, Any]]:
        """The entries of the file, by their keys."""
        return self._entries

    def get(self, key: str) -> dict[str, Any] | None:
        """The entry of `key`, or None."""
        return self._entries.get(key, self._known.get(key))

    def add(self, key: str, entry: Mapping[str, Any]) -> None:
        """Keep an entry of JSON values.

        Raises:
            StudyError: the file cannot be written.
        """
        self.add_all({key: entry})

    def add_all(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep several entries, by their keys.

        Raises:
            StudyError: the file cannot be written.
        """
        lines = "".join(json.dumps(sealed({"key": key, **entry})) + "\n" for key, entry in entries.items())
        try:
            new = not self.path.exists()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            if new:
                sync(self.path.parent)
        except OSError as error:
            raise StudyError(
                f"{self.path} cannot be written ({error.strerror}); free disk space or unlock the file, then run the "
                "same command again: its content is kept."
            ) from error
        self._entries.update({key: dict(entry) for key, entry in entries.items()})


@contextlib.contextmanager
def open_ledger(path: Path, known: Mapping[str, dict[str, Any]] | None = None) -> Iterator[Ledger]:
    """Hold the ledger for this process and read it; made when something is added.

    Args:
        path: the file.
        known: entries of other ledgers, which `Ledger.get` finds as well.

    Raises:
        StudyError: another process holds it, its folder cannot be written, or it is no ledger.
    """
    with locked(path, StudyError, doing="in use"):
        yield Ledger(path, _read(path, mend=True), known)


def read_ledger(path: Path) -> dict[str, dict[str, Any]]:
    """The entries of a ledger that another process may be adding to; none where it is not there.

    Raises:
        StudyError: it is no ledger.
    """
    return _read(path, mend=False)


def _read(path: Path, *, mend: bool) -> dict[str, dict[str, Any]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    whole = content.rfind(b"\n") + 1
    if _is_torn(content[whole:]):  # a kill in the middle of a line, or one that is being written
        if mend:
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
