"""The out-of-fold predictions of a study's trials: a table of our own beside Optuna's tables in the same file.

Optuna reads all attributes of all trials whenever it reads a study; ten thousand predictions there take it seconds and
most of a gigabyte. Here each is read when it is asked for.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

__all__ = ["Predictions"]

_KEYS = ("folds", "cuts", "oof")  # of `record.scores_to_attrs`
_SEAL = "seal"  # digest of all that is kept of a trial, here and in Optuna's tables, neither of which has a checksum
_STUDY = -1  # the number under which the study's own is kept
_MAKE = (
    "CREATE TABLE IF NOT EXISTS lymphofeat_predictions (number INTEGER PRIMARY KEY, content TEXT NOT NULL)"
)
_KEEP = "INSERT OR REPLACE INTO lymphofeat_predictions VALUES (?, ?)"
_READ = "SELECT content FROM lymphofeat_predictions WHERE number = ?"
_THERE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'lymphofeat_predictions'"


class Predictions:
    """The table in an open study file; `number` is a trial's place in the search."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._made = connection.execute(_THERE).fetchone() is not None

    @classmethod
    @contextlib.contextmanager
    def open(cls, connect: Callable[[], sqlite3.Connection]) -> Iterator[Self]:
        """The table, through a connection that is closed after the block.

        Raises:
            sqlite3.Error: the file cannot be opened.
        """
        with contextlib.closing(connect()) as connection:
            yield cls(connection)

    def make(self) -> None:
        """Make the table, if the file lacks it.

        Raises:
            sqlite3.Error: the file cannot be written.
        """
        with self._connection:
            self._connection.execute(_MAKE)
        self._made = True

    def keep(self, number: int, attrs: Mapping[str, Any], seal: str) -> dict[str, Any]:
        """Keep the predictions among a trial's attributes, and its seal; the other attributes.

        Raises:
            sqlite3.Error: the file cannot be written.
        """
        own = {key: attrs[key] for key in _KEYS if key in attrs}
        self._write(number, own | {_SEAL: seal})
        return {key: value for key, value in attrs.items() if key not in own}

    def keep_seal(self, seal: str | None) -> None:
        """Keep the seal of the study itself; None: it has none for now.

        Raises:
            sqlite3.Error: the file cannot be written.
        """
        self._write(_STUDY, {} if seal is None else {_SEAL: seal})

    def _write(self, number: int, content: Mapping[str, Any]) -> None:
        if not self._made:  # a study of an earlier version
            self.make()
        with self._connection:
            self._connection.execute(_KEEP, (number, json.dumps(content)))

    def read(self, number: int) -> tuple[dict[str, Any], str | None]:
        """The predictions of a trial and its seal; empty and None where none are kept here.

        Raises:
            sqlite3.Error: the file cannot be read.
            ValueError: what is there is not JSON.
        """
        if not self._made:
            return {}, None
        found = self._connection.execute(_READ, (number,)).fetchone()
        content = {} if found is None else dict(json.loads(found[0]))
        seal = content.pop(_SEAL, None)
        return content, seal

    def seal(self) -> str | None:
        """The seal of the study itself; None in one of an earlier version.

        Raises:
            sqlite3.Error, ValueError: as `read`.
        """
        return self.read(_STUDY)[1]
