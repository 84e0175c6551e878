"""A study in PostgreSQL: one of several in a database, by its name.

One process writes. It holds an advisory lock of PostgreSQL, which belongs to its connection, and writes by that same
connection only: when the connection ends, whatever ended it, the lock and the right to write end together.
"""

import contextlib
import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

import optuna
import sqlalchemy
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from ..errors import StudyError, without_passwords
from ..storage.addresses import StudyAddress
from .database import Database, Tables, cause_of, quiet_optuna
from .predictions import ServerPredictions

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

__all__ = ["StudyOnServer"]

_PATIENCE = 2.0  # seconds: a server needs a moment to see that a killed process is gone
_SCHEME = "postgresql+psycopg://"
# Seconds (the last: ms): a connection without an answer is given up here after 90, and there, with its lock, after 120.
_KEEPALIVE = {
    "connect_timeout": 10, "keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 3,
    "tcp_user_timeout": 90_000,
}  # fmt: skip
_SETTINGS = {
    "lock_timeout": "60s",
    "tcp_keepalives_idle": "60",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
}
_SETTING_OF_14 = ("idle_session_timeout", "0")  # a trial may take long
_HOLDER = """
SELECT a.application_name, host(a.client_addr) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (l.classid::bigint << 32) | l.objid::bigint = %s
"""
_RENAME = sqlalchemy.text("UPDATE studies SET study_name = :name WHERE study_name = :made")


class StudyOnServer(Database):
    """A study in a database of PostgreSQL.

    Args:
        address: where it is, or will be.
        connection: that holds the study's lock; None: for reading, with connections of its own.
    """

    def __init__(self, address: StudyAddress, connection: "Connection | None" = None) -> None:
        self.place: StudyAddress = address
        self._connection = connection

    def exists(self) -> bool:
        """Whether the database has a study of that name.

        Raises:
            StudyError: it cannot be reached or read.
        """
        psycopg = _psycopg()
        try:
            with _connected(self.place, reads=True) as connection:
                there = connection.execute("SELECT to_regclass('studies')").fetchone()
                if there is None or there[0] is None:
                    return False
                found = connection.execute(
                    "SELECT 1 FROM studies WHERE study_name = %s", (self.place.name,)
                ).fetchone()
                return found is not None
        except psycopg.Error as error:
            raise StudyError(
                f"{self.place} cannot be read ({cause_of(error)}); name a database for studies."
            ) from error

    @contextlib.contextmanager
    def owned(self) -> Iterator[Self]:
        """Hold the study; the server gives it back when the connection ends.

        Raises:
            StudyError: another process holds it, or the server cannot be reached.
        """
        psycopg = _psycopg()
        with _connected(self.place) as connection:
            end = time.monotonic() + _PATIENCE
            try:
                while not _taken(connection, self.place.name):
                    if time.monotonic() > end:
                        raise StudyError(
                            f"{self.place} is being tuned by another process{_holder(connection, self.place.name)}; "
                            "wait for it, or name another --study."
                        )
                    time.sleep(0.1)
            except psycopg.Error as error:
                raise self.not_written(error) from error
            yield type(self)(self.place, connection)

    @contextlib.contextmanager
    def making(self) -> Iterator[Tables]:
        """Make the study under another name, which it loses when it is whole."""
        made = f".{self.place.name}.making"
        try:
            with _only_maker(self._held()), self._tables(made, create=True) as tables:
                if made in optuna.get_all_study_names(tables.storage):  # by a run that was killed right here
                    optuna.delete_study(study_name=made, storage=tables.storage)
                yield tables
                with tables.storage.engine.begin() as connection:
                    connection.execute(_RENAME, {"name": self.place.name, "made": made})
        except _psycopg().Error as error:
            raise self.not_made(error) from error

    @contextlib.contextmanager
    def tables(self) -> Iterator[Tables]:
        """The study's tables.

        Raises:
            StudyError: there is no such study, or no server.
        """
        if not self.exists():
            raise StudyError(
                f"There is no study {self.place}; run `lymphofeat tune` first, or name another --study."
            )
        with self._tables(self.place.name, create=False) as tables:
            yield tables

    def not_opened(self, error: Exception) -> StudyError | None:
        """What to say of a server that ended the connection or does not let this user read."""
        if not isinstance(error, DBAPIError):
            error = error.__cause__ if isinstance(error.__cause__, Exception) else error
        if isinstance(error, OperationalError) or getattr(error, "connection_invalidated", False):
            return StudyError(
                f"{self.place}: the server ended the connection ({_said(error)}); run the same command again when it "
                "is back."
            )
        if isinstance(error, SQLAlchemyError):
            return StudyError(
                f"{self.place} cannot be read ({_said(error)}); name a study of `lymphofeat tune`."
            )
        return None

    def not_made(self, error: Exception) -> StudyError:
        """What to say of a server that does not take a study."""
        return StudyError(
            f"{self.place} cannot be made ({_said(error)}); let the user create tables in the database, or name "
            "another --study."
        )

    def not_written(self, error: Exception) -> StudyError:
        """What to say of a server that ended the connection, or does not take a trial."""
        return StudyError(
            f"{self.place} cannot be written ({_said(error)}); when the server is back and has room, run the same "
            "command again: the finished trials are kept."
        )

    def _held(self) -> "Connection":
        if self._connection is None:
            raise ValueError("a study is made by what `owned` gives")
        return self._connection

    @contextlib.contextmanager
    def _tables(self, name: str, *, create: bool) -> Iterator[Tables]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(quiet_optuna())
            connection = self._connection
            if connection is None:
                connection = stack.enter_context(_connected(self.place, reads=True))
            # It goes around the URL, which Optuna keeps and may log: there is no password in it. One connection only,
            # never another one in its place, which would not have the lock.
            options: dict[str, Any] = {"creator": _given(connection), "poolclass": sqlalchemy.StaticPool}
            storage = optuna.storages.RDBStorage(
                _SCHEME, engine_kwargs=options, skip_table_creation=not create
            )
            stack.callback(storage.remove_session)
            yield Tables(storage, name, lambda: contextlib.nullcontext(_predictions(storage, name)))


def _given(connection: "Connection") -> "Callable[[], Connection]":
    def again() -> "Connection":
        if connection.closed:
            raise _psycopg().OperationalError("the connection has ended")
        return connection

    return again


def _predictions(storage: optuna.storages.RDBStorage, name: str) -> ServerPredictions:
    return ServerPredictions(storage.engine, storage.get_study_id_from_name(name))


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise StudyError(
            "Studies in PostgreSQL need the package psycopg: pip install 'lymphofeat[postgres]'."
        ) from error
    return psycopg


def _connect(address: StudyAddress, *, reads: bool = False) -> "Connection":
    """A connection with our settings.

    Args:
        address: where to.
        reads: it cannot write.

    Raises:
        StudyError: there is none to be had.
    """
    psycopg = _psycopg()
    given = {
        "host": address.host, "port": address.port, "user": address.user, "password": address.password,
        "dbname": address.database,
    }  # fmt: skip
    who = f"lymphofeat, process {os.getpid()} on {platform.node()}"[:63]  # as much as PostgreSQL keeps
    try:
        connection: Connection = psycopg.connect(
            **{"application_name": who, **_KEEPALIVE}
            | {key: value for key, value in given.items() if value}
            | dict(address.options)
        )
        settings = _SETTINGS | {"default_transaction_read_only": "on" if reads else "off"}
        if connection.info.server_version >= 140_000:
            settings |= [_SETTING_OF_14]
        for key, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", (key, value))
        connection.commit()
    except (psycopg.Error, ValueError) as error:
        said = _said(error)
        raise StudyError(f"{address} cannot be reached ({said}); {_way_out(said, address)}.") from error
    return connection


@contextlib.contextmanager
def _connected(address: StudyAddress, *, reads: bool = False) -> "Iterator[Connection]":
    with contextlib.closing(_connect(address, reads=reads)) as connection:
        yield connection


def _way_out(said: str, address: StudyAddress) -> str:
    if "password" in said or "authentication" in said:
        return "give the user's password in PGPASSWORD or ~/.pgpass"
    if "does not exist" in said and "database" in said:
        return f"make it with `createdb {address.database}`, or name another"
    return "start the server, or correct the address"


def _said(error: BaseException) -> str:
    """What libpq or the server says, in one line without passwords."""
    cause = error if isinstance(error, DBAPIError) else error.__cause__ or error
    lines = [line.strip() for line in str(getattr(cause, "orig", None) or cause).splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL:" in line or "failed:" in line]
    line = (fatal or lines or [type(cause).__name__])[-1 if fatal else 0]
    return without_passwords(line.rpartition("FATAL:")[2].rpartition(" failed: ")[2].strip())


def _key(name: str) -> int:
    """Of an advisory lock: 63 bits of a digest."""
    return int.from_bytes(hashlib.sha256(f"lymphofeat/{name}".encode()).digest()[:8], "big") >> 1


def _taken(connection: "Connection", name: str) -> bool:
    """Try to take the study's lock."""
    found = connection.execute("SELECT pg_try_advisory_lock(%s)", (_key(name),)).fetchone()
    connection.commit()
    return found is not None and bool(found[0])


def _holder(connection: "Connection", name: str) -> str:
    """Who holds the study's lock, in parentheses; "" where the server does not tell."""
    found = connection.execute(_HOLDER, (_key(name),)).fetchone()
    connection.commit()
    told = [part for part in found or () if part]
    return f" ({', from '.join(told)})" if told else ""


@contextlib.contextmanager
def _only_maker(connection: "Connection") -> Iterator[None]:
    """Let one process at a time make the tables that all studies of a database share."""
    key = _key("/tables")
    connection.execute("SELECT pg_advisory_lock(%s)", (key,))
    connection.commit()
    try:
        yield
    finally:
        with contextlib.suppress(_psycopg().Error):  # of a connection that ended, and the lock with it
            connection.rollback()
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))
            connection.commit()
