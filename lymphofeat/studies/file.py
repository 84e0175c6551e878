"""A study in a file of SQLite: one study a file, which may be renamed, copied and sent."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from ..errors import StudyError
from ..storage.atomic import atomic_write, check_place, leftovers
from ..storage.kinds import inspect_path, sqlite_is_locked
from ..storage.locks import held_by_another, holder, locked
from .database import Database, Tables, cause_of, quiet_optuna
from .predictions import FilePredictions
from .tables import new_tables, opened_tables

__all__ = ["StudyFile"]

_STUDY = "lymphofeat"  # the study's name inside its file, so that the file may be renamed
# Seconds to wait for another process's transaction, a reader's for one; Optuna's documentation raises it too.
_BUSY_TIMEOUT = 60.0
_PATIENCE = 2.0  # seconds to wait for it before anything was computed


class StudyFile(Database):
    """A study's file.

    Args:
        path: where it is, or will be.
    """

    def __init__(self, path: Path) -> None:
        self.place: Path = path

    def exists(self) -> bool:
        """Whether there is anything at the path."""
        return self.place.exists()

    @contextlib.contextmanager
    def owned(self) -> Iterator[Self]:
        """Hold the file; the system gives it back when the process ends, however it ends.

        Raises:
            InputError: the path is a folder.
            StudyError: another process holds it, or its folder cannot be written.
        """
        check_place(self.place)
        with locked(self.place, StudyError, doing="being tuned", way_out=", or name another --study"):
            yield self

    @contextlib.contextmanager
    def making(self) -> Iterator[Tables]:
        """Make the file; it appears whole or not at all."""
        for left, target in leftovers(self.place.parent):
            if target == self.place.name:  # by a run that was killed right here
                left.unlink(missing_ok=True)
        with atomic_write(self.place) as temporary, _tables(temporary, create=True) as tables:
            yield tables

    @contextlib.contextmanager
    def tables(self) -> Iterator[Tables]:
        """The study's tables.

        Raises:
            StudyError: no file, no study, damaged, or held by another program.
        """
        _look_before(self.place)
        with _tables(self.place, create=False) as tables:
            yield tables

    def not_opened(self, error: Exception) -> StudyError | None:
        """What to say of a file that another program holds."""
        return StudyError(held_by_another(self.place)) if sqlite_is_locked(error) else None

    def not_made(self, error: Exception) -> StudyError:
        """What to say of a full disk or a folder that cannot be written."""
        return StudyError(
            f"{self.place} cannot be written ({cause_of(error)}); free disk space or make the folder writable, or "
            "choose another place by --study."
        )

    def not_written(self, error: Exception) -> StudyError:
        """What to say of a full disk, or a file that another program holds."""
        who = holder(self.place) if sqlite_is_locked(error) else ""
        return StudyError(
            f"{self.place} cannot be written ({cause_of(error)}{f' by {who}' if who else ''}); free disk space or "
            "unlock the file, then run the same command again: the finished trials are kept."
        )


@contextlib.contextmanager
def _tables(path: Path, *, create: bool) -> Iterator[Tables]:
    connect = _connector(path, create=create)
    with quiet_optuna(), new_tables(path, connect) if create else opened_tables(connect) as storage:
        yield Tables(storage, _STUDY, lambda: FilePredictions.open(_connector(path, create=False)))


def _look_before(path: Path) -> None:
    """Refuse at once what is no study, or is held by another process, with the way out that fits.

    Raises:
        StudyError: it is.
    """
    end = time.monotonic() + _PATIENCE
    while (kind := inspect_path(path)).name == "locked" and time.monotonic() < end:
        time.sleep(0.05)
    match kind.name:
        case "missing":
            raise StudyError(
                f"There is no study {path}; run `lymphofeat tune` first, or name another --study."
            )
        case "locked":
            raise StudyError(held_by_another(path))
        case "no-locks":
            raise StudyError(
                f"{path} cannot be locked ({kind.cause}): its file system has no locks, which SQLite needs even to "
                "read; copy it to another file system, mount this one with locks, or keep studies in PostgreSQL "
                "(docs/postgresql.md)."
            )
        case "damaged-sqlite":
            raise StudyError(
                f"{path} is damaged ({kind.cause}); restore a good copy, or begin a new study with --study NAME."
            )
        case "unreadable":
            raise StudyError(f"{path} cannot be read ({kind.cause}); check its permissions and the disk.")
        case "study" | "sqlite" if kind.name == "study" or kind.cause:
            return  # Optuna says more
        case _:
            raise StudyError(
                f"{path} is not a study that `lymphofeat tune` made: it is {kind.phrase}; name another --study."
            )


def _connector(path: Path, *, create: bool) -> Callable[[], sqlite3.Connection]:
    # Never "ro": after a kill, SQLite must be able to roll an unfinished transaction back before it reads.
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    return lambda: sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT, check_same_thread=False)
