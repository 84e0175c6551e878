"""Where a study is kept: a file, or a place in a database of PostgreSQL, written as its address."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from ..errors import InputError, without_passwords
from .paths import AnyPath

__all__ = ["StudyAddress", "StudyPlace", "is_address", "local_place", "study_place"]

_SCHEME = "postgresql+psycopg"
_SCHEMES = (_SCHEME, "postgresql", "postgres")  # the second is libpq's, the third its older form
_ADDRESS = re.compile(r"(?:postgres(?:ql)?(?:\+\w+)?:/|[a-z][a-z0-9+.-]+://)", re.IGNORECASE)
_NAME = re.compile(r"\w[\w.+-]*")
_FORM = f"{_SCHEME}://USER@HOST:PORT/DATABASE/NAME"
_FOLDER = Path("studies")  # as of the command line


@dataclass(frozen=True)
class StudyAddress:
    """A study in PostgreSQL; as text, and wherever it is shown, it is without its password.

    It is path-like, so that whatever takes a study's file or address takes it; `study_place` tells the two apart.

    Attributes:
        database: the database's name.
        name: the study's.
        host, port, user, password: "" and None: what libpq takes instead (PGHOST, PGPASSWORD, ~/.pgpass, …).
        options: more options of libpq's, such as sslmode.
    """

    database: str
    name: str
    host: str = ""
    port: int | None = None
    user: str = ""
    password: str = field(default="", repr=False, compare=False)
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        who = f"{quote(self.user, safe='')}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        where = f"{who}{host}{port}/{quote(self.database, safe='')}/{quote(self.name)}"
        return f"{_SCHEME}://{where}{f'?{urlencode(self.options)}' if self.options else ''}"

    def __fspath__(self) -> str:
        return str(self)

    @classmethod
    def parse(cls, text: str) -> "StudyAddress":
        """Read an address.

        Raises:
            InputError: it is none of a study in PostgreSQL; the sentence has no password in it.
        """
        scheme, _, rest = text.partition(":")
        if scheme.lower() not in _SCHEMES:
            raise InputError(
                f"{without_passwords(text)}: a study is a file, or an address such as {_FORM}; {scheme}: is neither."
            )
        if re.search(r"\s", text):  # where the password ends is not sure, so that nothing of it is shown
            raise InputError(
                f"{scheme}://…: an address has no spaces; write each as %20, or give the password in PGPASSWORD."
            )
        try:
            parts = urlsplit(f"{_SCHEME}:{rest if rest.startswith('//') else f'/{rest}'}")
            port, options = parts.port, parse_qsl(parts.query, keep_blank_values=True)
        except ValueError as error:
            raise InputError(
                f"{without_passwords(text)} cannot be read as an address; write {_FORM}, and give a password with "
                "signs such as / or # in PGPASSWORD."
            ) from error
        secret = [key for key, _ in options if "password" in key.lower()]
        if secret:
            raise InputError(
                f"{without_passwords(text)}: {secret[0]} does not belong behind the question mark; give it in "
                "PGPASSWORD or ~/.pgpass."
            )
        database, slash, name = parts.path.removeprefix("/").partition("/")
        database, name = unquote(database), unquote(name)
        if not (database and slash and _NAME.fullmatch(name)) or parts.fragment:
            raise InputError(
                f"{without_passwords(text)} names no study; write {_FORM}, where NAME has letters, digits and . _ + - "
                "only."
            )
        return cls(
            database, name, unquote(parts.hostname or ""), port, unquote(parts.username or ""),
            unquote(parts.password or ""), tuple(options),
        )  # fmt: skip

    def renamed(self, name: str) -> "StudyAddress":
        """Another study in the same database."""
        return StudyAddress(self.database, name, self.host, self.port, self.user, self.password, self.options)


StudyPlace = Path | StudyAddress


def is_address(text: str) -> bool:
    """Whether a text is meant as an address of a database, rather than as a file."""
    return _ADDRESS.match(text) is not None


def study_place(given: AnyPath) -> StudyPlace:
    """What `study` means: an address in PostgreSQL, or a file.

    Raises:
        InputError: an address that cannot be one.
    """
    if isinstance(given, StudyAddress):
        return given
    text = os.fspath(given)
    return StudyAddress.parse(text) if is_address(text) else Path(given)


def local_place(place: StudyPlace) -> Path:
    """The file beside which that is kept which belongs to a study: its own file, or studies/NAME.db of an address."""
    return place if isinstance(place, Path) else _FOLDER / f"{place.name}.db"
