"""Points of a command at which it may be killed, and the work that it has kept by then: hooks of a forked child."""

import os
import re
import sqlite3
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

__all__ = ["Point", "install", "stage_of"]

# Whatever changes a folder raises one of these events of Python's (PEP 578) before it is done.
_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_TOKEN = re.compile(r"(?<=\.)[0-9a-f]{8,32}(?=\.)|(?<=-)[0-9a-f]{16}(?=\.)|\b\d{3,}\b")


@dataclass(frozen=True)
class Point:
    """The occurrence, from 0, of a stage in a run of a command."""

    stage: str
    occurrence: int


def stage_of(what: str, path: str) -> str:
    """What is done to which file, without the part of the name that differs from run to run."""
    return f"{what} {_TOKEN.sub('#', path)}".strip()


def install(folder: Path, met: Callable[[str], None], kept: Callable[[str], None]) -> None:
    """Call `met` with the stage before each step of this process, `kept` with a piece of work that is kept for good.

    Args:
        folder: changes of files elsewhere are no steps.
        met, kept: called from several threads, one at a time.
    """
    lock, inside = threading.RLock(), threading.local()
    root = f"{folder}{os.sep}"

    def tell(what: str, path: object = "") -> None:
        if getattr(inside, "busy", False):
            return
        inside.busy = True
        try:
            with lock:
                met(stage_of(what, f"{path}".removeprefix(root) if f"{path}" != str(folder) else "."))
        finally:
            inside.busy = False

    def keep(what: str) -> None:
        with lock:
            kept(what)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS or not isinstance(arguments[0], str | os.PathLike):
            return
        path = os.path.abspath(arguments[0])
        if path.startswith(root) and (event != "open" or int(arguments[2] or 0) & _WRITES):
            tell(event, path)

    sys.addaudithook(audit)
    _hook_files(tell)
    _hook_sqlite(tell)
    _hook_work(tell, keep)


Tell = Callable[..., None]


def _before(owner: Any, name: str, told: Callable[..., None]) -> None:
    """Call `told` with the arguments of a function before it is called."""
    plain = getattr(owner, name)

    @wraps(plain)
    def hooked(*args: Any, **kwargs: Any) -> Any:
        told(*args, **kwargs)
        return plain(*args, **kwargs)

    setattr(owner, name, hooked)


def _hook_files(tell: Tell) -> None:
    import h5py
    import numpy as np

    for name in ("fsync", "fdatasync", "posix_fallocate", "pwrite"):
        _before(os, name, lambda fd, *_, name=name: tell(name, _path_of(fd)))
    _before(np.memmap, "flush", lambda array: tell("flush", array.filename or ""))
    _before(h5py.File, "close", lambda file: tell("close", file.filename) if file else None)
    _before(h5py.Group, "copy", lambda group, *_, **__: tell("copy", group.file.filename))
    _before(h5py.Group, "create_dataset", lambda group, *_, **__: tell("create", group.file.filename))


def _path_of(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""


def _hook_sqlite(tell: Tell) -> None:
    class Connection(sqlite3.Connection):
        def commit(self) -> None:
            if self.in_transaction:
                tell("commit", self.execute("PRAGMA database_list").fetchone()[2])
            super().commit()

        def close(self) -> None:
            tell("disconnect")
            super().close()

    plain = sqlite3.connect

    def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        tell("connect")
        return plain(*args, **{"factory": Connection, **kwargs})

    sqlite3.connect = connect  # type: ignore[assignment]


def _hook_work(tell: Tell, keep: Tell) -> None:
    """Blocks, epochs, encoders, trials and lines of ledgers: what a later run must not do again."""
    from lymphofeat.cache.partial import PartialEncoding
    from lymphofeat.storage.journal import Ledger
    from lymphofeat.studies.store import Store
    from lymphofeat.training.checkpoint import write_checkpoint
    from lymphofeat.training.trained import save_trained

    def work(plain: Any, key: Callable[..., str]) -> Any:
        @wraps(plain)
        def hooked(*args: Any, **kwargs: Any) -> Any:
            what = key(*args, **kwargs)
            tell(what.partition(" ")[0])
            found = plain(*args, **kwargs)
            keep(what)
            tell(what.partition(" ")[0] + " kept")
            return found

        return hooked

    methods: list[tuple[Any, str, Callable[..., str]]] = [
        (PartialEncoding, "write", lambda self, block, *_: f"block {self.spec.name} {block}"),
        (Store, "add", lambda self, trial: f"trial {self.path} {trial.user_attrs['number']}"),
        (Ledger, "add", lambda self, key, _: f"line {self.path} {key}"),
    ]
    for owner, name, key in methods:
        setattr(owner, name, work(getattr(owner, name), key))
    functions: list[tuple[Any, Callable[..., str]]] = [
        (write_checkpoint, lambda path, state: f"epoch {path.name} {state.epoch}"),
        (save_trained, lambda path, *_: f"encoder {path.name}"),
    ]
    for plain, key in functions:
        hooked = work(plain, key)
        for module in [m for name, m in sys.modules.items() if name.startswith("lymphofeat")]:
            if getattr(module, plain.__name__, None) is plain:  # whoever imported it by name
                setattr(module, plain.__name__, hooked)
