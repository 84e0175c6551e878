"""`extract --dask` with a real scheduler and workers in processes of their own: the same bits, whoever is killed."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lymphofeat.cache.trainings import encoders_folder

from ..helpers.dask_cluster import ROOT, Cluster, until
from ..helpers.finetuned import assert_same, leftovers
from ..helpers.tiny import tiny_cohort

pytestmark = pytest.mark.slow

RECIPE = """
title = "quick"
base = "pooled-small-cnn"
[training]
crop = 32
epochs = 60
inner_folds = 2
"""
FROZEN = ("--frozen", "--backbone", "small-cnn", "--crop", "40", "--batch-size", "2")
TUNED = ("--finetune", "--recipe", "quick.toml")


_begun: "list[subprocess.Popen[str]]" = []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a cohort `data` and a recipe."""
    found = tmp_path_factory.mktemp("extract")
    tiny_cohort(found / "data", n=16, side=64)
    (found / "quick.toml").write_text(RECIPE)
    return found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two workers that have done nothing yet."""
    found = Cluster(tmp_path)
    found.add(n=2)
    yield found
    found.end()
    while _begun:
        _begun.pop().kill()  # of no effect on one that has ended


def begun(folder: Path, cache: Path, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(ROOT / "cli.py"), "extract", "data", "--cache", str(cache), "--folds", "2"]
    process = subprocess.Popen(
        [*command, "--weights", "none", "--seed", "0", "--device", "cpu", *options], cwd=folder, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    _begun.append(process)
    return process


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its exit code, and what it says."""
    _, said = process.communicate(timeout=600)
    return process.returncode, said


def extracted(folder: Path, cache: Path, *options: str) -> Path:
    code, said = ended(begun(folder, cache, *options))
    assert code == 0, said
    return cache


@pytest.fixture(scope="module")
def alone(folder: Path) -> Path:
    """The fine-tuned encoders of one process."""
    return extracted(folder, folder / "alone" / "c.h5", *TUNED)


def in_training(cache: Path, n: int = 1) -> bool:
    """Whether so many encoders have a whole epoch, and more to come."""
    return len(list(encoders_folder(cache).glob("*.checkpoint"))) >= n


def test_a_killed_worker_costs_its_batch(folder: Path, cluster: Cluster, tmp_path: Path) -> None:
    cache = tmp_path / "c.h5"
    running = begun(folder, cache, *FROZEN, "--dask", str(cluster.file))
    until(lambda: any(tmp_path.glob("*.partial")), running)
    time.sleep(0.3)  # its first task has begun, and loads torch
    cluster.workers[0].kill()
    code, said = ended(running)
    assert code == 0, said
    assert "Traceback" not in said
    assert_same(cache, extracted(folder, tmp_path / "alone.h5", *FROZEN))
    assert leftovers(tmp_path) == []


def test_killed_workers_and_a_killed_command_cost_an_epoch(
    folder: Path, cluster: Cluster, tmp_path: Path, alone: Path
) -> None:
    cache, options = tmp_path / "c.h5", (*TUNED, "--dask", str(cluster.file))
    running = begun(folder, cache, *options)
    until(lambda: in_training(cache, 2), running)
    running.kill()
    running.communicate()
    running = begun(folder, cache, *options)  # while the workers go on with what they were given
    log = tmp_path / "scheduler-0.log"
    until(lambda: log.read_text().count("Receive client connection") == 2, running)
    cluster.workers[0].kill()
    code, said = ended(running)
    assert code == 0, said
    assert_same(cache, alone)
    assert leftovers(tmp_path) == []


def test_a_killed_scheduler_ends_in_a_sentence_and_the_command_goes_on(
    folder: Path, cluster: Cluster, tmp_path: Path, alone: Path
) -> None:
    cache = tmp_path / "c.h5"
    running = begun(folder, cache, *TUNED, "--dask", str(cluster.file))
    until(lambda: in_training(cache), running)
    cluster.scheduler.kill()
    code, said = ended(running)
    assert code == 2
    assert said.strip().splitlines()[-1].startswith("Error: The Dask scheduler is gone")
    assert "Traceback" not in said
    cluster.end()
    assert_same(extracted(folder, cache, *TUNED), alone)
    assert leftovers(tmp_path) == []
