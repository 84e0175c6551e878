"""Commands in processes of their own, as a scheduler starts them."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["ROOT", "Ended", "begin", "children_of", "end"]

ROOT = Path(__file__).parents[2]


class Ended(NamedTuple):
    code: int
    err: str
    seconds: float  # from the signal to the end


def begin(folder: Path, *arguments: object, code: str = "") -> "subprocess.Popen[str]":
    """Begin a command in a folder, in a process group of its own; `code` runs before it."""
    run = (
        f"{code}\nfrom lymphofeat.cli import main\nmain()"
        if code
        else "from lymphofeat.cli import main; main()"
    )
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-c", run, *map(str, arguments)],
        cwd=folder, env=os.environ | one | {"PYTHONPATH": path}, text=True, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def end(process: "subprocess.Popen[str]", number: int = signal.SIGTERM, *, group: bool = False) -> Ended:
    """Send a signal to a process, or to its whole group as Slurm does, and wait for its end."""
    began = time.monotonic()
    if process.poll() is None:
        (os.killpg if group else os.kill)(process.pid, number)
    _, err = process.communicate(timeout=60)
    return Ended(process.returncode, err, time.monotonic() - began)


def children_of(process: int, patience: float = 10) -> list[int]:
    """The processes of its group that are still there after so many seconds."""
    until = time.monotonic() + patience
    while (
        found := [number for number in _processes() if _group(number) == process]
    ) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def _processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def _group(process: int) -> int:
    """A process's group; 0 of one that has ended."""
    with suppress(OSError):
        state, _, group = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:3]
        return 0 if state == "Z" else int(group)
    return 0
