"""What lies at a path: for sentences about a path that is not what it should be. The bytes tell, not the name."""

import errno
import json
import os
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .hdf5 import error_number, no_locks, open_to_read
from .locks import cannot_lock

__all__ = ["HDF5", "Kind", "inspect_path", "path_kind", "sqlite_is_locked"]

Name = Literal[
    "missing", "folder", "bundle", "unreadable", "empty", "locked", "no-locks", "cache", "hdf5", "damaged-hdf5",
    "study", "sqlite", "damaged-sqlite", "image", "table", "json", "weights", "archive", "text", "other",
]  # fmt: skip

HDF5 = b"\x89HDF\r\n\x1a\n"
_SQLITE = b"SQLite format 3\x00"
_LOCKED = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)
_BEGINNINGS: tuple[tuple[bytes, Name, str], ...] = (
    (b"\xff\xd8\xff", "image", "a JPEG image"),
    (b"\x89PNG\r\n\x1a\n", "image", "a PNG image"),
    (b"II*\x00", "image", "a TIFF image"),
    (b"MM\x00*", "image", "a TIFF image"),
    (b"II+\x00", "image", "a TIFF image"),
    (b"MM\x00+", "image", "a TIFF image"),
    (b"GIF8", "image", "a GIF image"),
    (b"BM", "image", "a BMP image"),
    (b"%PDF", "other", "a PDF document"),
    (b"\x1f\x8b", "archive", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive", "a 7z archive"),
    (b"LFROWS01", "other", "a file of stored pixels or activations"),
)


@dataclass(frozen=True)
class Kind:
    """What a path is.

    Attributes:
        name: for programs.
        phrase: for people, with its article: "a CSV table".
        cause: what the system or a library says of a file that cannot be opened; else "".
    """

    name: Name
    phrase: str
    cause: str = ""


def path_kind(path: Path) -> str:
    """The phrase of `inspect_path`."""
    return inspect_path(path).phrase


def inspect_path(path: Path) -> Kind:
    """Say what lies at a path; opens it for reading only, and reads little of it."""
    try:
        if path.is_symlink() and not path.exists():
            return Kind("missing", f"a link to {os.readlink(path)}, which is not there")
        if path.is_dir():
            return _folder(path)
        if not path.exists():
            return Kind("missing", "not there")
        if not path.is_file():
            return Kind("other", "a device or a pipe")
        with path.open("rb") as file:
            head = file.read(8192)
    except OSError as error:
        return Kind("unreadable", "a file that cannot be read", error.strerror or str(error))
    if not head:
        return Kind("empty", "an empty file")
    if head.startswith(HDF5):
        return _hdf5(path)
    if head.startswith(_SQLITE):
        return _sqlite(path)
    for beginning, name, phrase in _BEGINNINGS:
        if head.startswith(beginning):
            return Kind(name, phrase)
    if head.startswith(b"PK\x03\x04"):
        return _zip(head, path)
    if not head.strip(b"\x00"):
        return Kind("other", "a file of zeros, as a power cut or a full disk leaves it")
    if re.match(rb"\x80[\x02-\x05]", head):
        return Kind("weights", "a Python pickle")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size:
        return Kind("weights", "a safetensors file of weights")
    return _text(head)


def sqlite_is_locked(error: BaseException) -> bool:
    """Whether SQLite, at the bottom of an error, says that another process holds the file."""
    while error.__cause__ is not None and not isinstance(error, sqlite3.Error):
        error = getattr(error, "orig", None) or error.__cause__
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _folder(path: Path) -> Kind:
    try:
        if (path / "manifest.json").is_file() and (path / "model.json").is_file():
            return Kind("bundle", "a folder with an exported model")
        next(path.iterdir(), None)
    except OSError as error:
        return Kind("folder", "a folder that cannot be read", error.strerror or str(error))
    return Kind("folder", "a folder")


def _hdf5(path: Path) -> Kind:
    try:
        with open_to_read(path) as file:
            ours = "format" in file.attrs and "encodings" in file
            if "format" in file.attrs and "encoding" in file:
                return Kind("cache", "the features of one encoding of a cache")
    except OSError as error:
        if error_number(error) in _LOCKED:
            return Kind("locked", "an HDF5 file that another program has locked", str(error))
        if no_locks(error):
            return Kind("no-locks", "an HDF5 file on a file system without locks", str(error))
        return Kind("damaged-hdf5", "a damaged HDF5 file", _cause(error))
    except (KeyError, RuntimeError, ValueError) as error:
        return Kind("damaged-hdf5", "a damaged HDF5 file", _cause(error))
    return Kind("cache", "a feature cache") if ours else Kind("hdf5", "an HDF5 file of another program")


def _cause(error: Exception) -> str:
    """What HDF5 says in parentheses."""
    found = re.search(r"\((.*)\)", str(error), re.DOTALL)
    return found[1] if found else str(error)


def _sqlite(path: Path) -> Kind:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=0)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        if sqlite_is_locked(error):
            if (cause := cannot_lock(path)) is not None:  # SQLite says the same of both
                return Kind("no-locks", "a database on a file system without locks", cause)
            return Kind("locked", "a database that another program has locked", str(error))
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return Kind("damaged-sqlite", "a damaged SQLite database", str(error))
        return Kind("sqlite", "an SQLite database", str(error))
    except UnicodeDecodeError as error:  # in the names of its tables
        return Kind("damaged-sqlite", "a damaged SQLite database", str(error))
    if {"studies", "trials", "study_user_attributes"} <= tables:
        return Kind("study", "an Optuna study")
    return Kind("sqlite", "an SQLite database without a study")


def _zip(head: bytes, path: Path) -> Kind:
    if b"data.pkl" in head or b"/version" in head:
        return Kind("weights", "a file that torch.save wrote")
    if b"[Content_Types].xml" in head or path.suffix in (".xlsx", ".ods", ".docx"):
        return Kind("other", "a workbook or another office document")
    return Kind("archive", "a ZIP archive")


def _text(head: bytes) -> Kind:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head.decode("utf-16", errors="replace")
    elif b"\x00" in head:
        return Kind("other", "a file of an unknown kind")
    else:
        try:
            text = head.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if error.start > len(head) - 4:  # cut within a character
                text = head[: error.start].decode("utf-8-sig")
            else:
                text = head.decode("cp1252", errors="replace")
    if any(ord(sign) < 32 and sign not in "\t\r\n\f" for sign in text):
        return Kind("other", "a file of an unknown kind")
    begin = text.lstrip()
    if begin.startswith(("{", "[")):
        return _json(begin)
    lines = [line for line in text.splitlines() if line.strip()]
    for separator in ",;\t":
        if lines and lines[0].count(separator) and (len(lines) < 2 or lines[1].count(separator)):
            return Kind("table", "a CSV table")
    return Kind("text", "a text file")


def _json(begin: str) -> Kind:
    try:
        json.loads(begin)
    except (ValueError, RecursionError):  # cut, not JSON, or nested as no file is
        if not re.match(r"[\[{]\s*[\"\[{\]}\d-]", begin):
            return Kind("text", "a text file")
    return Kind("json", "a JSON file")
