"""The out-of-fold predictions of a study's trials: a table of our own beside Optuna's tables in the same database.

Optuna reads all attributes of all trials whenever it reads a study; ten thousand predictions there take it seconds and
most of a gigabyte. Here each is read when it is asked for.
"""

import contextlib
import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import sqlalchemy

__all__ = ["FilePredictions", "Predictions", "ServerPredictions"]

_KEYS = ("folds", "cuts", "oof")  # of `record.scores_to_attrs`
_SEAL = "seal"  # digest of all that is kept of a trial, here and in Optuna's tables, neither of which has a checksum
_STUDY = -1  # the number under which the study's own is kept


class Predictions(ABC):
    """The table in an open study; `number` is a trial's place in the search.

    Errors are the database's: `sqlite3.Error` of a file, `sqlalchemy.exc.SQLAlchemyError` of a server.
    """

    @abstractmethod
    def make(self) -> None:
        """Make the table, if the database lacks it."""

    @abstractmethod
    def _write(self, number: int, content: str) -> None:
        """Keep a text, in place of the one that is there."""

    @abstractmethod
    def _content(self, number: int) -> str | None:
        """The text that is kept; None where there is none."""

    def keep(self, number: int, attrs: Mapping[str, Any], seal: str) -> dict[str, Any]:
        """Keep the predictions among a trial's attributes, and its seal; the other attributes."""
        own = {key: attrs[key] for key in _KEYS if key in attrs}
        self._write(number, json.dumps(own | {_SEAL: seal}))
        return {key: value for key, value in attrs.items() if key not in own}

    def keep_seal(self, seal: str | None) -> None:
        """Keep the seal of the study itself; None: it has none for now."""
        self._write(_STUDY, json.dumps({} if seal is None else {_SEAL: seal}))

    def read(self, number: int) -> tuple[dict[str, Any], str | None]:
        """The predictions of a trial and its seal; empty and None where none are kept here.

        Raises:
            ValueError: what is there is not JSON.
        """
        found = self._content(number)
        content = {} if found is None else dict(json.loads(found))
        seal = content.pop(_SEAL, None)
        return content, seal

    def seal(self) -> str | None:
        """The seal of the study itself; None in one of an earlier version.

        Raises:
            ValueError: as `read`.
        """
        return self.read(_STUDY)[1]


class FilePredictions(Predictions):
    """The table in a file of SQLite, through a connection of its own."""

    _MAKE = "CREATE TABLE IF NOT EXISTS lymphofeat_predictions (number INTEGER PRIMARY KEY, content TEXT NOT NULL)"
    _KEEP = "INSERT OR REPLACE INTO lymphofeat_predictions VALUES (?, ?)"
    _READ = "SELECT content FROM lymphofeat_predictions WHERE number = ?"
    _THERE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'lymphofeat_predictions'"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._made = connection.execute(self._THERE).fetchone() is not None

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
        """Make the table, if the file lacks it."""
        with self._connection:
            self._connection.execute(self._MAKE)
        self._made = True

    def _write(self, number: int, content: str) -> None:
        if not self._made:  # a study of an earlier version
            self.make()
        with self._connection:
            self._connection.execute(self._KEEP, (number, content))

    def _content(self, number: int) -> str | None:
        if not self._made:
            return None
        found = self._connection.execute(self._READ, (number,)).fetchone()
        return None if found is None else found[0]


class ServerPredictions(Predictions):
    """The table in a database of PostgreSQL, which all studies there share; they go when Optuna deletes the study."""

    _MAKE = sqlalchemy.text(
        "CREATE TABLE IF NOT EXISTS lymphofeat_predictions (study_id INTEGER NOT NULL REFERENCES studies ON DELETE "
        "CASCADE, number INTEGER NOT NULL, content TEXT NOT NULL, PRIMARY KEY (study_id, number))"
    )
    _KEEP = sqlalchemy.text(
        "INSERT INTO lymphofeat_predictions VALUES (:study, :number, :content) ON CONFLICT (study_id, number) DO "
        "UPDATE SET content = excluded.content"
    )
    _READ = sqlalchemy.text(
        "SELECT content FROM lymphofeat_predictions WHERE study_id = :study AND number = :number"
    )

    def __init__(self, engine: sqlalchemy.Engine, study_id: int) -> None:
        self._engine, self._study_id = engine, study_id

    def make(self) -> None:
        """Make the table, if the database lacks it."""
        with self._engine.begin() as connection:
            connection.execute(self._MAKE)

    def _write(self, number: int, content: str) -> None:
        values = {"study": self._study_id, "number": number, "content": content}
        with self._engine.begin() as connection:
            connection.execute(self._KEEP, values)

    def _content(self, number: int) -> str | None:
        with self._engine.begin() as connection:
            found = connection.execute(self._READ, {"study": self._study_id, "number": number}).scalar()
        return None if found is None else str(found)
