"""`--dask` where there is no cluster: a sentence each, and nothing written. With real ones: studies/test_dask.py."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from lymphofeat import dask_cluster
from lymphofeat.dask_cluster import dask_executor
from lymphofeat.errors import InputError, StudyError
from lymphofeat.executor import Kind, hand_out

from .helpers.caches import frozen_cache
from .helpers.commands import Run, runner


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in this process, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


@pytest.fixture
def stranger() -> Iterator[str]:
    """The address of a server that takes what comes and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def said(target: str, seconds: float = 1.0) -> str:
    """What is said of an address."""
    with pytest.raises(InputError) as raised, dask_executor(target, seconds=seconds):
        raise AssertionError("a cluster was found")
    text = str(raised.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    "target",
    [
        "nowhere",
        "foo://10.0.0.1:8786",
        "tcp://10.0.0.1",
        "tcp://10.0.0.1:many",
        "10.0.0.1:99999",
        "tcp://:8786",
    ],
)
def test_what_is_no_address_is_said_at_once(target: str) -> None:
    assert said(target, 60.0).startswith(f"--dask {target} is no address of a Dask scheduler (")


def test_an_encrypted_address_without_certificates() -> None:
    assert "needs certificates" in said("tls://127.0.0.1:8786")


def test_a_scheduler_file_that_is_missing_or_none(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    assert f"--dask {file}: there is no such file; `dask scheduler --scheduler-file {file}`" in said(
        str(file)
    )
    for text in ("", "{", "[]", '{"id": 3}', "3"):
        file.write_text(text)
        assert f"--dask {file} is no scheduler file of Dask" in said(str(file))
    file.write_bytes(b"\xff\xfe")
    assert "is no scheduler file" in said(str(file))
    assert "cannot be read (Is a directory)" in said(str(tmp_path))


def test_nobody_there_and_a_stranger(tmp_path: Path, stranger: str) -> None:
    file = tmp_path / "old.json"
    file.write_text(json.dumps({"address": "tcp://127.0.0.1:1"}))
    text = said(str(file))
    assert text.startswith(f"No Dask scheduler answers at tcp://127.0.0.1:1 ({file}) within 1 s")
    assert f"No Dask scheduler answers at {stranger} within 1 s" in said(stranger)


def test_the_last_attempt_to_connect_is_named_without_objects_of_dask() -> None:
    error = OSError("Timed out trying to connect to tcp://10.0.0.1:8786 after 24 s")
    error.__cause__ = OSError(
        "in <distributed.comm.tcp.TCPConnector object at 0x7f58>: ConnectionRefusedError: [Errno 111] refused"
    )
    found = str(dask_cluster._no_scheduler("10.0.0.1:8786", 30.0, error))
    assert "within 30 s (ConnectionRefusedError: [Errno 111] refused); start" in found
    error.__cause__ = TimeoutError()
    assert "within 30 s; start" in str(dask_cluster._no_scheduler("10.0.0.1:8786", 30.0, error))


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9.2p1\r\n" * 3, b""], ids=["speaks otherwise", "hangs up"]
)
def test_a_server_of_another_kind(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert "No Dask scheduler answers at" in said(f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()


@pytest.mark.parametrize("command", ["tune", "evaluate", "compare"])
def test_commands_end_with_a_sentence_before_anything_is_written(
    run: Run, tmp_path: Path, command: str
) -> None:
    frozen_cache(tmp_path / "c.h5", n_folds=3, n_repeats=1)
    before = sorted(tmp_path.rglob("*"))
    options = [] if command == "compare" else ["--trials", 1, "--heads", "lda"]
    found = run(command, "--cache", "c.h5", *options, "--dask", "s.json")
    assert found.code == 2
    assert found.err.startswith("Error: --dask s.json: there is no such file")
    if command != "compare":
        both = run(command, "--cache", "c.h5", "--jobs", 2, "--dask", "s.json")
        assert both.code == 2
        assert "--dask and --jobs exclude each other" in both.err
    assert sorted(tmp_path.rglob("*")) == before


def test_without_the_extra_the_command_that_adds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "`pip install 'lymphofeat[dask]'`" in said("10.0.0.1:8786")


def test_what_the_scheduler_unpickles_needs_no_torch() -> None:
    handed: list[Any] = []

    class Keeps(Executor):
        def submit(self, *handed_over: Any, **_: Any) -> "Future[Any]":
            handed.extend(handed_over)
            future: Future[Any] = Future()
            future.set_result(b"")
            return future

    kind = Kind[int](lambda task: (sorted, ([task],)), str, str, StudyError, "")
    assert list(hand_out(Keeps(), [3], kind)) == [(3, b"")]
    function, *arguments = handed
    assert function.__module__ == "lymphofeat.executor"
    assert {type(one) for one in arguments} == {bytes, str}
    code = "import sys, lymphofeat.executor; print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


class Client:
    """As of Dask: its scheduler's and its workers' versions of distributed."""

    def __init__(self, scheduler: str, **workers: str) -> None:
        def of(version: str) -> dict[str, Any]:
            return {"packages": {"distributed": version}}

        self.found = {"scheduler": of(scheduler), "workers": {at: of(one) for at, one in workers.items()}}

    def wait_for_workers(self, n: int, timeout: float) -> None:
        """They are there."""

    def get_versions(self, *, check: bool) -> dict[str, Any]:
        return self.found


def test_other_versions_of_distributed_are_named_with_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "version", lambda name: "2026.8.0")
    dask_cluster._check_cluster(Client("2026.8.0", a="2026.8.0"), "s", 1.0)
    for client, who in (
        (Client("2025.1.0", a="2026.8.0"), "Dask scheduler"),
        (Client("2026.8.0", a="2026.8.0", b="2025.1.0"), "Dask worker at b"),
    ):
        with pytest.raises(
            InputError, match=rf"{who} has distributed 2025\.1\.0, and this process has 2026\.8\.0"
        ):
            dask_cluster._check_cluster(client, "s", 1.0)
