"""A Dask scheduler and workers in processes of their own, and heads that wait in the middle of a trial."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["WAITING", "Cluster", "until"]

ROOT = Path(__file__).parents[2]
_PATIENCE = 300.0  # of a busy machine

# A module that registers heads which tell their process's number and wait while there is a file `wait`; where there is
# one `deadly`, their process ends.
WAITING = """
import os
import signal
import time
from pathlib import Path

from sklearn.base import BaseEstimator, ClassifierMixin

from lymphofeat.heads import HeadType, register
import numpy as np

FOLDER = Path({folder!r})


class Waiting(ClassifierMixin, BaseEstimator):
    def __init__(self, *, turn=0.5):
        self.turn = turn

    def fit(self, bags, clinical, y):
        (FOLDER / f"at-work-{{os.getpid()}}").touch()
        if (FOLDER / "deadly").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        while (FOLDER / "wait").exists():
            time.sleep(0.02)
        self.share_ = float(np.mean(y)) * self.turn
        return self

    def predict_proba(self, bags, clinical):
        p = np.linspace(0, self.share_, len(bags))
        return np.stack([1 - p, p], axis=1)


register(HeadType(
    name="waiting", summary="Heads that wait.", source="here", cost="cheap", build=Waiting, inputs=("clinical",),
    space=lambda trial: {{"turn": trial.suggest_float("turn", 0.1, 1.0)}},
))
"""


def until(happened: Callable[[], bool], process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Wait for something, as long as the process goes on that is to bring it about."""
    end = time.monotonic() + _PATIENCE
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        assert process is None or process.poll() is None, "the process ended"
        time.sleep(0.05)


class Cluster:
    """A scheduler on the loopback and its workers, which end with the block.

    Args:
        folder: an empty one, for the scheduler file, logs and scratch files.
        settings: of Dask, for the scheduler, as environment variables.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder, self.file = folder, folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._started(
            "scheduler", "--no-dashboard", "--host", "127.0.0.1", "--port", "0", "--scheduler-file",
            str(self.file), env=dict(settings or {}),
        )  # fmt: skip
        until(self.file.exists, self.scheduler)

    def add(self, *paths: Path, n: int = 1) -> "list[subprocess.Popen[bytes]]":
        """Start workers of one thread, without a nanny that would start a killed one again.

        Args:
            paths: where they find modules besides lymphofeat's.
            n: how many.
        """
        before = len(self.workers)
        for number in range(before, before + n):
            found = os.pathsep.join(map(str, [*paths, ROOT]))
            self.workers.append(
                self._started(
                    "worker", "--scheduler-file", str(self.file), "--no-dashboard", "--no-nanny", "--nthreads",
                    "1", "--memory-limit", "0", "--local-directory", str(self.folder / f"worker-{number}"),
                    env={"PYTHONPATH": found},
                )
            )  # fmt: skip
        return self.workers[before:]

    def wait_until_empty(self) -> None:
        """Wait until the scheduler knows that its workers have ended."""
        from distributed import Client

        with Client(scheduler_file=str(self.file), timeout=_PATIENCE, set_as_default=False) as client:
            until(lambda: not client.nthreads(), self.scheduler)

    def _started(self, *command: str, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{command[0]}-{len(self.workers)}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{command[0]}", *command[1:]], cwd=self.folder,
                stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            )  # fmt: skip

    def end(self) -> None:
        """End all of it."""
        for process in (*self.workers, self.scheduler):
            process.send_signal(signal.SIGKILL)  # of no effect on one that has ended
            process.wait()
