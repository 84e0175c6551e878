"""Trainings in processes of their own, killed at random moments until they finish."""

import contextlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from lymphofeat.cohort.model import Cohort

from .finetuned import assert_same, leftovers

__all__ = ["killed_runs", "run"]

_RUN = """
import sys
from pathlib import Path
from lymphofeat.cache.{module} import extract_{kind}
from tests.helpers.{kind} import SETTINGS
from tests.helpers.simulated import noise_cohort
extract_{kind}(noise_cohort(Path(sys.argv[1])), Path(sys.argv[2]), SETTINGS)
"""
_MODULES = {"finetuned": "finetune", "adapted": "adapt"}


def run(kind: str, cohort: Path, cache: Path, **options: object) -> "subprocess.Popen[bytes]":
    """Begin a training ("finetuned" or "adapted") with the settings of its helper module."""
    code = _RUN.format(kind=kind, module=_MODULES[kind])
    command = [sys.executable, "-c", code, str(cohort), str(cache)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, **options)  # type: ignore[call-overload]


def killed_runs(kind: str, cohort: Cohort, tmp_path: Path, kills: int) -> None:
    """Kill a training at random moments, again and again, until it finishes: the same bits as an unbroken one."""
    rng = random.Random(0)
    began = time.monotonic()
    process = run(kind, cohort.root, tmp_path / "whole" / "c.h5")
    _, error = process.communicate()
    assert process.returncode == 0, error.decode()
    whole = time.monotonic() - began
    killed, attempt = 0, 0
    while killed < kills:
        path = tmp_path / f"broken{attempt}" / "c.h5"
        finished = False
        while not finished:
            process = run(kind, cohort.root, path)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=whole * (0.4 + 0.7 * rng.random()))
            process.send_signal(signal.SIGKILL)  # of no effect on one that has ended
            _, error = process.communicate()
            finished = process.returncode == 0
            assert finished or process.returncode == -signal.SIGKILL, error.decode()
            killed += not finished
        assert_same(path, tmp_path / "whole" / "c.h5")
        assert leftovers(path.parent) == []
        attempt += 1
