"""Kills: of the client, and of the server under a command; the same command then goes on to the same trials."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lymphofeat.storage.addresses import study_place
from lymphofeat.studies import tune
from lymphofeat.verification.verify import verify

from ..helpers.studies import trials_of
from .server import DATABASE, PASSWORD, USER, Server

pytestmark = pytest.mark.slow

TRIALS, HEADS = 12, "lda,logistic"
SECONDS = 240


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The trials of an unbroken search in a file."""
    study = tmp_path_factory.mktemp("whole") / "s.db"
    tune(cache, study, n_trials=TRIALS, heads=HEADS.split(","))
    return trials_of(study)


def begin(cache: Path, address: str, trials: int = TRIALS) -> "subprocess.Popen[str]":
    """The command in a process of its own."""
    command = [
        sys.executable, "-m", "lymphofeat", "tune", "--cache", str(cache), "--study", address, "--trials", str(trials),
        "--heads", HEADS,
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "1000"}
    return subprocess.Popen(
        command, env=environment, cwd=cache.parent, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit code, output and errors."""
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def finished(server: Server, study: str) -> int:
    """Trials in the study so far, none of which is running."""
    with psycopg.connect(
        host="127.0.0.1", port=server.port, user=USER, password=PASSWORD, dbname=DATABASE
    ) as connection:
        there = connection.execute("SELECT to_regclass('trials')").fetchone()
        if there is None or there[0] is None:
            return 0
        states = connection.execute(
            "SELECT state::text FROM trials JOIN studies USING (study_id) WHERE study_name = %s", (study,)
        ).fetchall()
    assert {state for (state,) in states} <= {"COMPLETE", "PRUNED"}
    return len(states)


def wait_for(process: "subprocess.Popen[str]", server: Server, study: str, trials: int) -> None:
    """Wait until the study has so many trials."""
    end = time.monotonic() + SECONDS
    while finished(server, study) < trials:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_killed_client_frees_the_study(server: Server, cache: Path, whole: list[Any]) -> None:
    address = server.address("killed-client")
    for trials in (1, 5):
        process = begin(cache, address)
        wait_for(process, server, "killed-client", trials)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    tune(cache, address, n_trials=TRIALS, heads=HEADS.split(","))
    assert trials_of(study_place(address)) == whole
    assert verify(address).faults == ()


def test_a_killed_server_costs_a_sentence(server: Server, cache: Path, whole: list[Any]) -> None:
    address = server.address("killed-server")
    process = begin(cache, address)
    wait_for(process, server, "killed-server", 2)
    server.kill(signal.SIGKILL)
    try:
        code, _, err = ended(process)
        [said] = [line for line in err.splitlines() if line.startswith("Error")]
        assert code == 2
        assert said.startswith(f"Error: {address} cannot be written (")
        assert said.endswith("run the same command again: the finished trials are kept.")
        assert "Traceback" not in err
        code, _, err = ended(begin(cache, address))  # while it is down
        assert code == 2
        assert f"Error: {address} cannot be reached (" in err
        assert "Connection refused" in err
    finally:
        server.start()
    before = finished(server, "killed-server")
    assert 2 <= before < TRIALS
    code, out, err = ended(begin(cache, address))
    assert code == 0, err
    assert f"Study {address}: {TRIALS} finished trials" in out
    assert trials_of(study_place(address)) == whole


def test_of_two_clients_one_is_refused(server: Server, cache: Path) -> None:
    address = server.address("two")
    one = begin(cache, address, trials=40)
    wait_for(one, server, "two", 1)
    one.send_signal(signal.SIGSTOP)  # so that it does not end before the other begins
    try:
        code, _, err = ended(begin(cache, address))
    finally:
        one.send_signal(signal.SIGCONT)
    assert code == 2
    [said] = [line for line in err.splitlines() if line.startswith("Error")]
    assert said.startswith(f"Error: {address} is being tuned by another process (lymphofeat, process ")
    assert f"process {one.pid} on " in said
    code, _, err = ended(one)
    assert code == 0, err
    assert finished(server, "two") == 40
