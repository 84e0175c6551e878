"""Real kills: of the process that searches, and of those that score for it; no trial is lost or counted twice."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import lymphofeat
from lymphofeat.studies import tune
from lymphofeat.studies.store import open_store

from ..helpers.caches import frozen_cache
from ..helpers.studies import states_of

REPOSITORY = Path(lymphofeat.__file__).parents[1]
HEADS = ("deepsets", "lda", "logistic")

SEARCH = """
import sys
from pathlib import Path
from lymphofeat.studies import tune
class Told:
    def start(self, what, total, unit, done): print("start", done, flush=True)
    def advance(self, n=1): print("trial", flush=True)
    def note(self, text): pass
    def stop(self): pass
if __name__ == "__main__":
    print("ready", flush=True)
    cache, study, trials, jobs = sys.argv[1:]
    tune(
        Path(cache), Path(study), n_trials=int(trials), jobs=int(jobs), seed=4, progress=Told(),
        heads=("deepsets", "lda", "logistic"),
    )
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("cache") / "c.h5")


def search(cache: Path, study: Path, trials: int, jobs: int) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-c", SEARCH, str(cache), str(study), str(trials), str(jobs)]
    return subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )


def kill_after(process: "subprocess.Popen[str]", lines: int, seconds: float) -> bool:
    """Kill it that long after so many lines; whether it was still running."""
    assert process.stdout is not None
    for _ in range(lines):
        if not process.stdout.readline():
            break
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    process.stdout.close()
    return process.wait() == -signal.SIGKILL


def children(process: "subprocess.Popen[str]") -> list[int]:
    """Processes that score for it."""
    try:
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [int(p) for p in listed if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def gone(pids: list[int], seconds: float = 60.0) -> bool:
    """Whether the processes end by themselves."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(_runs(pid) for pid in pids):
            return True
        time.sleep(0.1)
    return False


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def trials_of(path: Path) -> list[tuple[int, dict[str, Any], float, dict[str, Any]]]:
    with open_store(path) as store:
        return [(row.number, row.params, row.value, store.attrs(row)) for row in store.rows()]


def check_whole(broken: Path, whole: Path, trials: int) -> None:
    """What was killed and gone on with equals what was not, trial by trial."""
    assert [number for number, *_ in trials_of(broken)] == list(range(trials))
    assert trials_of(broken) == trials_of(whole)
    assert states_of(broken) == states_of(whole)
    assert set(states_of(broken)) <= {"COMPLETE", "PRUNED"}
    assert not list(broken.parent.glob(".*.tmp*"))


def kills(cache: Path, folder: Path, times: int, trials: int) -> None:
    draw = random.Random(times)
    broken = 0
    for kill in range(times):
        # The first ones while the file is being made, later ones somewhere inside a trial.
        lines = 1 if kill < max(1, times // 4) else draw.randint(3, 7)
        process = search(cache, folder / "broken.db", trials, jobs=1)
        broken += kill_after(process, lines, draw.uniform(0, 0.15))
        if (folder / "broken.db").exists():
            assert len(trials_of(folder / "broken.db")) <= trials
    assert broken == times
    assert 0 < len(trials_of(folder / "broken.db")) < trials  # some were kept, and some left to do
    for name in ("broken", "whole"):
        tune(cache, folder / f"{name}.db", n_trials=trials, seed=4, heads=HEADS)
    check_whole(folder / "broken.db", folder / "whole.db", trials)


@pytest.mark.slow
def test_killed_and_given_again_it_ends_as_if_unbroken(cache: Path, tmp_path: Path) -> None:
    kills(cache, tmp_path, times=2, trials=18)


@pytest.mark.slow
def test_killed_many_times(cache: Path, tmp_path: Path) -> None:
    kills(cache, tmp_path, times=12, trials=100)


def kill_workers(
    process: "subprocess.Popen[str]", draw: random.Random, most: int, pause: tuple[float, float] = (0.2, 1.0)
) -> list[int]:
    """Kill processes that score, each at random after a pause, at most so many; returns those that were killed."""
    killed: list[int] = []
    while process.poll() is None and len(killed) < most:
        time.sleep(draw.uniform(*pause))
        workers = [pid for pid in children(process) if pid not in killed]
        if workers:
            victim = draw.choice(workers)
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)
    return killed


@pytest.mark.slow
def test_a_killed_process_is_replaced_and_all_end_with_the_one_that_started_them(
    cache: Path, tmp_path: Path
) -> None:
    study = tmp_path / "killed.db"
    process = search(cache, study, trials=40, jobs=2)
    assert process.stdout is not None

    def wait_for(trials: int) -> None:
        while trials:
            line = process.stdout.readline()  # type: ignore[union-attr]
            assert line not in ("", "done\n")
            trials -= line == "trial\n"

    wait_for(1)
    killed = kill_workers(process, random.Random(0), most=1)
    wait_for(16)  # more than were under way
    workers = children(process)
    assert killed
    assert not set(killed) & set(workers)
    process.kill()
    process.stdout.close()
    process.wait()
    assert gone(workers)
    kept = [number for number, *_ in trials_of(study)]
    assert 17 <= len(kept) < 40
    for path in (study, tmp_path / "whole.db"):  # gone on with by one process, what two began
        tune(cache, path, n_trials=max(kept) + 2, seed=4, heads=HEADS)
    check_whole(study, tmp_path / "whole.db", max(kept) + 2)


@pytest.mark.slow
def test_processes_that_are_killed_again_and_again(cache: Path, tmp_path: Path) -> None:
    study, draw, killed = tmp_path / "killed.db", random.Random(0), []
    # After a number of trials, not of seconds, and never twice within two batches of eight: a trial on which two
    # processes died ends the search, and a batch ends with its last trial.
    moments = {16 * k + draw.randint(1, 4) for k in range(4)}
    with search(cache, study, trials=80, jobs=2) as process:
        assert process.stdout is not None
        for told in range(1, max(moments) + 1):
            while process.stdout.readline() not in ("trial\n", ""):
                pass
            if told in moments:
                killed += kill_workers(process, draw, most=1, pause=(0.0, 0.05))
        output, _ = process.communicate()
    assert len(killed) == 4
    assert output.endswith("done\n")
    tune(cache, tmp_path / "whole.db", n_trials=80, seed=4, heads=HEADS)
    check_whole(study, tmp_path / "whole.db", 80)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_all_are_killed_at_random(cache: Path, tmp_path: Path) -> None:
    study, draw = tmp_path / "killed.db", random.Random(1)
    for _ in range(6):
        process = search(cache, study, trials=64, jobs=2)
        killer = threading.Thread(target=kill_workers, args=(process, draw, draw.randint(0, 2)))
        killer.start()
        kill_after(process, lines=draw.randint(2, 8), seconds=draw.uniform(0, 2.0))
        killer.join()
    with search(cache, study, trials=64, jobs=2) as process:
        output, _ = process.communicate()
    assert output.endswith("done\n")
    tune(cache, tmp_path / "whole.db", n_trials=64, seed=4, heads=HEADS)
    check_whole(study, tmp_path / "whole.db", 64)
