"""What a folder of results holds, file by file, so that two of them can be compared bit by bit.

Left out are locks, and what tells when and how fast the work was done: `TIMES`, times of day in texts, and digests of
what holds such. Of those in a manifest counts whether they are the files' own; a data file's `frame` is compared by
`lymphofeat verify`. Nothing of the machine is left out, since both folders come from one. Names that hold a random
token are written without it.
"""

import hashlib
import json
import re
import sqlite3
import struct
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lymphofeat.storage.seals import SEAL

__all__ = ["TIMES", "contents", "difference"]

# Keys of JSON values, attributes of HDF5, columns of tables.
TIMES = frozenset({"created", "seconds", "datetime_start", "datetime_complete", "frame"})
_TIME = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?")
_DIGEST = re.compile(r"\b[0-9a-f]{32,64}\b")
_TOKEN = re.compile(r"(?<=\.)[0-9a-f]{8,32}(?=\.)")

Contents = dict[str, Any]


def contents(folder: Path) -> Contents:
    """By path, what decides the result: numbers and texts, or a digest of them."""
    found: Contents = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".lock":
            found[_TOKEN.sub("#", str(path.relative_to(folder)))] = _content(path)
    return found


def difference(one: Contents, other: Contents) -> str:
    """Where two contents differ first; "" if they do not."""
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other:
            return f"{name} is only in the {'second' if name not in one else 'first'}"
        if one[name] != other[name]:
            return f"{name}: {_where(one[name], other[name])}"
    return ""


def _where(a: Any, b: Any) -> str:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys(), key=str):
            if a.get(key) != b.get(key):
                return f"{key}: {_where(a.get(key), b.get(key))}"
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        k = next(k for k in range(len(a)) if a[k] != b[k])
        return f"{k}: {_where(a[k], b[k])}"
    return f"{str(a)[:100]} | {str(b)[:100]}"


def _content(path: Path) -> Any:
    head = path.read_bytes()[:16]
    if head.startswith(b"\x89HDF"):
        with h5py.File(path, "r") as file:
            return _group(file)
    if head.startswith(b"SQLite format 3"):
        return _database(path)
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if path.suffix in (".json", ".jsonl"):
        return [_json(line) for line in _documents(path)]
    if path.suffix in (".csv", ".md"):
        return _TIME.sub("#", path.read_text(encoding="utf-8")).splitlines()
    return _digest(path.read_bytes())


def _digest(content: bytes) -> str:
    return f"{len(content)} bytes, {hashlib.blake2b(content, digest_size=16).hexdigest()}"


def _documents(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    if path.name == "manifest.json":
        there = {
            hashlib.sha256(file.read_bytes()).hexdigest() for file in path.parent.rglob("*") if file.is_file()
        }
        text = _DIGEST.sub(lambda found: "there" if found[0] in there else "#", text)
    text = _TIME.sub("#", text)
    return text.splitlines() if path.suffix == ".jsonl" else [text]


def _json(text: Any) -> Any:
    """JSON values without times; a text that is no JSON as it is."""
    try:
        return _untimed(json.loads(text))
    except (ValueError, TypeError):
        return text


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        timed = TIMES & value.keys() or "#" in map(str, value.values())  # "#": a time of day was there
        own = {SEAL} if timed else set()  # a digest of times too, which readers compare
        return {k: _untimed(v) for k, v in value.items() if k not in TIMES | own}
    return [_untimed(v) for v in value] if isinstance(value, list) else value


def _group(group: h5py.Group) -> dict[str, Any]:
    """Links to other files are not followed: each file is read by itself."""
    found: dict[str, Any] = {f"@{k}": _value(v) for k, v in group.attrs.items() if k not in TIMES}
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            found[name] = f"{_TOKEN.sub('#', link.filename)} {link.path}"
        elif isinstance(group[name], h5py.Group):
            found[name] = _group(group[name])
        elif name == "origins":  # as they are read: the slots up to the first empty one
            found[name] = list(takewhile(bool, group[name][()].tolist()))
        else:
            found[name] = _value(group[name][()])
            found[f"{name}@"] = {k: _value(v) for k, v in group[name].attrs.items() if k not in TIMES}
    return found


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return _json(_TIME.sub("#", value))
    array = np.asarray(value)
    content = array.tolist() if array.dtype == object else _digest(array.tobytes())
    return [str(array.dtype), array.shape, content]


def _database(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in sorted(tables):
            cursor = database.execute(f'SELECT * FROM "{table}"')
            columns = [column for column, *_ in cursor.description]
            rows = [dict(zip(columns, row, strict=True)) for row in cursor]
            found[table] = sorted(
                ({c: _cell(v) for c, v in row.items() if c not in TIMES} for row in rows
                 if row.get("key") not in TIMES),
                key=repr,
            )  # fmt: skip
    return found


def _cell(value: Any) -> Any:
    return (
        _digest(value)
        if isinstance(value, bytes)
        else _json(_TIME.sub("#", value) if isinstance(value, str) else value)
    )


def _safetensors(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    about = {k: _json(v) for k, v in header.pop("__metadata__", {}).items()}
    about.pop("content", None)  # a digest of all this and the seconds of training; `verify` compares it
    return {"about": about, "tensors": header, "values": _digest(content[8 + length :])}
