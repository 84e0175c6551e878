"""`--dask` with a real scheduler and workers in processes of their own: the same bits, and what a kill costs."""

import importlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lymphofeat
from lymphofeat.dask_cluster import dask_executor
from lymphofeat.errors import InputError, StudyError
from lymphofeat.heads import registry
from lymphofeat.studies import tune

from ..helpers.caches import frozen_cache
from ..helpers.commands import Run, runner
from ..helpers.dask_cluster import ROOT, WAITING, Cluster, until
from ..helpers.studies import states_of, trials_of

pytestmark = pytest.mark.slow

OPTIONS: dict[str, Any] = {"n_trials": 6, "heads": ("waiting",), "seed": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dask")


@pytest.fixture(scope="module")
def cache(folder: Path) -> Path:
    return frozen_cache(folder / "c.h5", n_folds=3, n_repeats=1)


@pytest.fixture(scope="module")
def heads(folder: Path) -> Iterator[Path]:
    """The folder of the module with the head type `waiting`, which is registered; and of the files it looks for."""
    own = folder / "heads"
    own.mkdir()
    (own / "waiting_heads.py").write_text(WAITING.format(folder=str(own)))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(own))
        importlib.import_module("waiting_heads")
        yield own
    del sys.modules["waiting_heads"]
    registry._registered.clear()
    registry.head_types.cache_clear()


@pytest.fixture(scope="module")
def cluster(folder: Path, heads: Path) -> Iterator[Cluster]:
    """A cluster of two workers; a task on which two of them end is given up."""
    place = folder / "cluster"
    place.mkdir()
    found = Cluster(place, {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"})
    found.add(heads, n=2)
    yield found
    found.end()


@pytest.fixture(scope="module")
def alone(cache: Path, heads: Path, folder: Path) -> Path:
    """A study of one process with the heads `waiting`."""
    tune(cache, folder / "alone.db", **OPTIONS)
    return folder / "alone.db"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


@pytest.fixture
def waiting(heads: Path) -> Iterator[Path]:
    """Heads wait until the file `wait` in the folder is removed; of earlier tests' work nothing is left."""
    for left in at_work(heads):
        left.unlink()
    (heads / "wait").touch()
    yield heads
    (heads / "wait").unlink(missing_ok=True)


def at_work(heads: Path) -> list[Path]:
    """A file for each process that works on a head that waits, or has worked."""
    return sorted(heads.glob("at-work-*"))


def command(cache: Path, study: Path, cluster: Cluster, trials: int = 6) -> list[str]:
    """`tune` with the options of `alone`."""
    return [
        "tune", "--cache", str(cache), "--study", str(study), "--trials", str(trials), "--heads", "waiting",
        "--seed", "4", "--dask", str(cluster.file),
    ]  # fmt: skip


def begun(cache: Path, study: Path, cluster: Cluster, heads: Path) -> "subprocess.Popen[bytes]":
    """The command in a process of its own, when two workers are in the middle of a trial."""
    code = "import waiting_heads; from lymphofeat.cli import main; main()"
    path = os.pathsep.join(map(str, [heads, ROOT]))
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command(cache, study, cluster)], cwd=study.parent, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    until(lambda: len(at_work(heads)) >= 2, process)
    return process


def check_same(path: Path, alone: Path) -> None:
    assert trials_of(path) == trials_of(alone)
    assert states_of(path) == states_of(alone)


def test_commands_give_the_same_bits_as_alone(
    cluster: Cluster, cache: Path, tmp_path: Path, run: Run
) -> None:
    given = ["--cache", str(cache), "--heads", "lda,logistic", "--seed", "4"]
    there = ["--dask", str(cluster.file)]
    for study, how in (("one", []), ("other", there)):
        found = run("tune", *given, "--study", study, "--trials", "6", *how)
        assert found.code == 0, found.err
        assert "distributed" not in found.err
        found = run("evaluate", *given, "--study", study, "--trials", "1", "--json", f"{study}.json", *how)
        assert found.code == 0, found.err
    check_same(tmp_path / "studies" / "other.db", tmp_path / "studies" / "one.db")
    one, other = (
        lymphofeat.evaluate(
            cache, tmp_path / "studies" / f"{name}.db", n_trials=1, heads=["lda", "logistic"], seed=4
        )
        for name in ("one", "other")  # from the finished searches
    )
    for found, expected in zip((other.main, *other.others), (one.main, *one.others), strict=True):
        assert found.probabilities.tobytes() == expected.probabilities.tobytes()
        assert (found.decisions == expected.decisions).all()


def test_a_comparison_is_the_same_as_alone(cluster: Cluster, cache: Path, tmp_path: Path) -> None:
    one = lymphofeat.compare(cache, tmp_path / "one.jsonl")
    with dask_executor(str(cluster.file)) as executor:
        other = lymphofeat.compare(cache, tmp_path / "other.jsonl", executor=executor)
    assert len(other.measured) == len(one.measured) > 3
    for found, expected in zip(other.measured, one.measured, strict=True):
        assert found.pipeline == expected.pipeline
        assert found.found.probabilities.tobytes() == expected.found.probabilities.tobytes()


def test_a_worker_killed_in_a_trial_costs_that_trial_only(
    cluster: Cluster, cache: Path, alone: Path, waiting: Path, tmp_path: Path
) -> None:
    process = begun(cache, tmp_path / "s.db", cluster, waiting)
    killed = cluster.workers.pop()
    killed.kill()
    killed.wait()
    (waiting / "wait").unlink()
    _, err = process.communicate()
    assert process.returncode == 0, err.decode()
    assert b"distributed" not in err
    check_same(tmp_path / "s.db", alone)
    cluster.add(waiting)


def test_that_all_workers_are_gone_is_said_and_the_next_one_goes_on(
    cache: Path, alone: Path, heads: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    (place := tmp_path / "cluster").mkdir()
    cluster = Cluster(place)
    try:
        (first,) = cluster.add(heads)
        with dask_executor(
            str(cluster.file), seconds_for_workers=300.0, seconds_between_looks=0.05, note=said.append
        ) as executor:
            assert executor.submit(pow, 2, 3).result() == 8
            assert said == []
            first.kill()
            cluster.wait_until_empty()
            time.sleep(0.5)  # some looks
            assert said == []  # nothing waits for a worker
            waits = executor.submit(pow, 3, 2)
            until(lambda: bool(said), cluster.scheduler)
            (second,) = cluster.add(heads)
            assert waits.result() == 9
            tune(cache, tmp_path / "s.db", executor=executor, **OPTIONS)
            assert len(said) == 1
            second.kill()
            cluster.wait_until_empty()
            waits = executor.submit(pow, 2, 5)
            until(lambda: len(said) > 1, cluster.scheduler)
    finally:
        cluster.end()
    check_same(tmp_path / "s.db", alone)
    for sentence in said:
        assert re.fullmatch(
            rf"The Dask scheduler at tcp://\S+ \({cluster.file}\) has no workers any more; the command waits, and goes "
            r"on as soon as there is one: `dask worker tcp://\S+ --nthreads 1`\.",
            sentence,
        )


def test_a_command_killed_goes_on(
    cluster: Cluster, cache: Path, alone: Path, waiting: Path, tmp_path: Path, run: Run
) -> None:
    process = begun(cache, tmp_path / "s.db", cluster, waiting)
    process.kill()
    process.communicate()
    (waiting / "wait").unlink()
    found = run(*command(cache, tmp_path / "s.db", cluster))
    assert found.code == 0, found.err
    check_same(tmp_path / "s.db", alone)


def test_a_trial_that_ends_its_workers_is_given_up_and_goes_on_later(
    cluster: Cluster, cache: Path, alone: Path, heads: Path, tmp_path: Path, run: Run
) -> None:
    (heads / "deadly").touch()
    found = run(*command(cache, tmp_path / "s.db", cluster, trials=1))
    (heads / "deadly").unlink()
    assert found.code == 2
    assert "Two workers ended while they scored trial" in found.err
    assert "KilledWorker" in found.err
    assert found.err.count("\n") < 12
    for ended in cluster.workers:
        ended.wait(60)
    cluster.workers.clear()
    cluster.add(heads, n=2)
    assert run(*command(cache, tmp_path / "s.db", cluster)).code == 0
    check_same(tmp_path / "s.db", alone)


def test_a_scheduler_killed_ends_in_a_sentence_and_the_same_command_goes_on(
    cluster: Cluster, cache: Path, alone: Path, waiting: Path, tmp_path: Path, run: Run
) -> None:
    process = begun(cache, tmp_path / "s.db", cluster, waiting)
    cluster.end()
    since = time.monotonic()
    lines: list[str] = []
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line.decode())
        if line.startswith(b"Error: "):
            assert time.monotonic() - since < 200  # without a wait for a scheduler that does not answer
    assert process.wait() == 2
    process.stderr.close()
    (waiting / "wait").unlink()
    assert lines[-1].startswith("Error: The Dask scheduler is gone (")
    assert "the same command goes on" in lines[-1]
    assert "Traceback" not in "".join(lines)
    place = tmp_path / "new"
    place.mkdir()
    another = Cluster(place)
    try:
        another.add(waiting)
        found = run(*command(cache, tmp_path / "s.db", another))
        assert found.code == 0, found.err
    finally:
        another.end()
    check_same(tmp_path / "s.db", alone)


def stub(folder: Path, name: str, version: str) -> Path:
    """A folder that, first on the path, lets a package seem to have another version."""
    info = folder / name / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return info.parent


def test_what_a_worker_lacks_is_said(cache: Path, heads: Path, tmp_path: Path) -> None:
    place = tmp_path / "cluster"
    place.mkdir()
    cluster = Cluster(place)
    try:
        with (
            pytest.raises(
                InputError, match=r"has no worker after 1 s; start some with `dask worker tcp://127"
            ),
            dask_executor(str(cluster.file), seconds_for_workers=1.0),
        ):
            raise AssertionError("it has workers")
        for paths, sentence in (
            ([], "lacks a head type: A worker process cannot import waiting_heads"),
            ([heads, stub(tmp_path, "scipy", "1.0")], r"has scipy 1\.0, and this process has scipy"),
            ([stub(tmp_path, "distributed", "2020.1")], r"Dask worker at tcp://.* has distributed 2020\.1"),
        ):
            (worker,) = cluster.add(*paths)
            with (
                pytest.raises((StudyError, InputError), match=sentence),
                dask_executor(str(cluster.file), seconds_for_workers=300.0) as executor,
            ):
                tune(cache, tmp_path / "s.db", executor=executor, **OPTIONS)
            worker.kill()
            worker.wait()
            cluster.wait_until_empty()
    finally:
        cluster.end()
