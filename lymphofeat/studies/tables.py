"""Optuna's tables in a study's file: opening them without asking each time what this Optuna's tables look like.

For that answer Optuna reads its ten migration scripts, a tenth of a second of computing at each opening and two at each
new file. An evaluation opens three for each search. They stay the same as long as the program runs.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna

__all__ = ["new_tables", "opened_tables"]

_newest: list[str] = []  # revision of this Optuna's tables, once it is known
_empty: list[bytes] = []  # a file with empty tables, once one was made


@contextlib.contextmanager
def opened_tables(connect: Callable[[], sqlite3.Connection]) -> Iterator[optuna.storages.RDBStorage]:
    """The storage of a file that has the tables; it is closed after the block.

    Raises:
        RuntimeError: the tables are of another release of Optuna; the message says what to do.
    """
    with _closed(_storage(connect, check=not _newest)) as storage:
        if not _newest:
            _newest.append(storage.get_head_version())
        elif storage.get_current_version() != _newest[0]:
            with _closed(_storage(connect, check=True)):
                pass  # raises
        yield storage


@contextlib.contextmanager
def new_tables(path: Path, connect: Callable[[], sqlite3.Connection]) -> Iterator[optuna.storages.RDBStorage]:
    """The storage of a new file with empty tables; it is closed after the block."""
    if not _empty:
        with _closed(_storage(connect, check=False, create=True)):
            pass
        _empty.append(path.read_bytes())
    else:
        path.write_bytes(_empty[0])
    with opened_tables(connect) as storage:
        yield storage


def _storage(
    connect: Callable[[], sqlite3.Connection], *, check: bool, create: bool = False
) -> optuna.storages.RDBStorage:
    # The path goes around the URL: there, "?", "%" and "{" would mean something.
    return optuna.storages.RDBStorage(
        "sqlite:///study.db",
        engine_kwargs={"creator": connect},
        skip_compatibility_check=not check,
        skip_table_creation=not create,
    )


@contextlib.contextmanager
def _closed(storage: optuna.storages.RDBStorage) -> Iterator[optuna.storages.RDBStorage]:
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()
