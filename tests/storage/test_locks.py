"""Locks: who holds one is said, nobody waits in silence, and a file system without locks is named."""

import errno
import fcntl
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lymphofeat.errors import CacheError, StudyError
from lymphofeat.storage.locks import holder, locked

HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
linux = pytest.mark.skipif(
    not Path("/proc/locks").exists(), reason="the system does not tell who holds a lock"
)


@contextmanager
def held(lock: Path) -> Iterator[int]:
    """Another process holds the lock; its number."""
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()


@linux
def test_the_holder_is_named_and_waiting_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    with held(tmp_path / ".a[1].lock") as process:
        with pytest.raises(StudyError) as refused, locked(tmp_path / "a[1]", StudyError, way_out=", or go"):
            pass
        assert f"a[1] is being written by another process (process {process}, python" in str(refused.value)
        assert str(refused.value).endswith("); wait for it, or go.")
        with (
            pytest.raises(StudyError, match=f"process {process}"),
            locked(tmp_path / "a[1]", StudyError, patience=1.2, tell=told.append),
        ):
            pass
    assert len(told) == 1
    assert told[0].startswith(f"Waiting for another process (process {process}, ")
    assert told[0].endswith(f"which holds {tmp_path / '.a[1].lock'}")
    with locked(tmp_path / "a[1]", StudyError):
        pass


@linux
def test_a_free_file_has_no_holder(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert holder(tmp_path / "a") == ""
    assert holder(tmp_path / "none") == ""


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_lock_that_is_only_a_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    with locked(tmp_path / "a", CacheError):
        assert socket.gethostname() in (tmp_path / ".a.lock").read_text()
    (tmp_path / ".a.lock").write_text("4711\nanother-machine\n")
    with pytest.raises(CacheError) as refused, locked(tmp_path / "a", CacheError):
        pass
    assert "by another process (process 4711 on another-machine)" in str(refused.value)
    assert f"the file {tmp_path / '.a.lock'} stands for one" in str(refused.value)
    assert "remove it if no lymphofeat is running there" in str(refused.value)


def test_a_file_system_that_refuses_locks_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    sentence = r"cannot be locked \(No locks available\): its file system has no locks"
    with pytest.raises(CacheError, match=sentence), locked(tmp_path / "a", CacheError):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    sentence = r"file/a cannot be written .*; choose another place\."
    with pytest.raises(StudyError, match=sentence), locked(tmp_path / "file" / "a", StudyError):
        pass
