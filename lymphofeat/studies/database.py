"""What a store needs of the database that holds a study, whether that is a file or a server."""

import contextlib
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from ..errors import StudyError
from ..storage.addresses import StudyPlace
from .predictions import Predictions

__all__ = ["DATABASE_ERRORS", "Database", "Tables", "cause_of", "quiet_optuna"]

DATABASE_ERRORS = (StorageInternalError, SQLAlchemyError, sqlite3.Error)


class Tables(NamedTuple):
    """The open tables of one study.

    Attributes:
        storage: Optuna's.
        name: of the study in them.
        predictions: ours, which are closed after its block; the study must be in Optuna's.
    """

    storage: optuna.storages.RDBStorage
    name: str
    predictions: Callable[[], contextlib.AbstractContextManager[Predictions]]


class Database(ABC):
    """The database of one study.

    Attributes:
        place: the study's file or address.
    """

    place: StudyPlace

    @abstractmethod
    def exists(self) -> bool:
        """Whether the study is there, or something else in its place."""

    @abstractmethod
    def owned(self) -> contextlib.AbstractContextManager[Self]:
        """Hold the study for this process; who holds it writes by what this gives."""

    @abstractmethod
    def making(self) -> contextlib.AbstractContextManager[Tables]:
        """Make a study, which is there when the block has ended, whole or not at all; for who holds it."""

    @abstractmethod
    def tables(self) -> contextlib.AbstractContextManager[Tables]:
        """The study's tables, closed after the block.

        Raises:
            StudyError: it is not there, or cannot be reached.
        """

    @abstractmethod
    def not_opened(self, error: Exception) -> StudyError | None:
        """What to say where the database refuses; None: it does not, so that what is there is no study of ours."""

    @abstractmethod
    def not_made(self, error: Exception) -> StudyError:
        """What to say of a study that could not be made."""

    @abstractmethod
    def not_written(self, error: Exception) -> StudyError:
        """What to say of a trial that could not be added."""


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna logs to the terminal, which is the command line's; warnings and errors still pass."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def cause_of(error: Exception) -> str:
    """What the database itself says, in one line."""
    cause = error.__cause__ or error
    lines = str(getattr(cause, "orig", None) or cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
