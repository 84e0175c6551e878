"""Commands in children that this process forks, having imported everything once, and kills where it is told to.

torch takes seconds to import, a fork takes none. A fork is safe only of a process with a single thread that has
computed nothing in parallel: OMP_NUM_THREADS=1, and no command runs in this process itself.
"""

import os
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .kills_points import Point, install

__all__ = ["Kill", "Ran", "import_everything", "run_command"]

_HANGS = 120.0  # seconds, after which a command that was not to be killed is


@dataclass(frozen=True)
class Kill:
    """When a command is killed.

    Attributes:
        at: before this step of it; None: by the clock alone.
        after: seconds after that step began, or after the command did.
    """

    at: Point | None
    after: float = 0.0

    def __str__(self) -> str:
        where = "" if self.at is None else f"{self.at.stage} [{self.at.occurrence}]"
        return f"{where}{f' + {1000 * self.after:.1f} ms' if self.after or not where else ''}".strip()


@dataclass(frozen=True)
class Ran:
    """What came of a command.

    Attributes:
        code: exit code; −9: killed.
        said: all that it printed.
        seconds: that it ran.
        steps: the stages of its steps, in order.
        kept: the pieces of work that it has kept.
        hung: it was killed since it did not end.
    """

    code: int
    said: str
    seconds: float
    steps: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    hung: bool = False

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL and not self.hung


def import_everything() -> None:
    """Import what the commands import when they are needed.

    Raises:
        RuntimeError: there is more than one thread, so that a fork would not be safe.
    """
    import importlib
    import pkgutil

    import lymphofeat

    for module in pkgutil.walk_packages(lymphofeat.__path__, "lymphofeat."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("optuna.storages", "sklearn.linear_model", "skimage.filters", "torchvision.transforms.v2"):
        importlib.import_module(name)
    tasks = [path.read_text(encoding="utf-8").strip() for path in Path("/proc/self/task").glob("*/comm")]
    threads = [name for name in tasks if not name.startswith("jemalloc")]  # pyarrow's memory, safe in forks
    if len(threads) > 1:
        raise RuntimeError(f"{threads} run in the process that is to be forked; set OMP_NUM_THREADS=1.")


def run_command(arguments: Sequence[object], folder: Path, notes: Path, kill: Kill | None = None) -> Ran:
    """Run a command of lymphofeat in `folder` in a child.

    Args:
        arguments: of the command line, without the program's name.
        folder: its working folder, absolute.
        notes: a folder outside it, for what is noted of the run.
        kill: when to kill it; it may be quicker.
    """
    said, steps, kept = notes / "said", notes / "steps", notes / "kept"
    for path in (said, steps, kept):
        path.unlink(missing_ok=True)
    there, reached = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(there)
        _command([str(a) for a in arguments], folder, (said, steps, kept), kill, reached)
    os.close(reached)
    try:
        code, hung = _wait(child, there, kill)
    finally:
        os.close(there)
    lines = steps.read_text(encoding="utf-8").splitlines() if steps.exists() else []
    done = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    text = said.read_text(encoding="utf-8", errors="replace") if said.exists() else ""
    return Ran(code, text, time.monotonic() - began, tuple(lines), tuple(done), hung)


def _wait(child: int, reached: int, kill: Kill | None) -> tuple[int, bool]:
    """Wait for a child and kill it in time; its exit code, and whether it hung."""
    handle = os.pidfd_open(child)
    try:
        if kill is not None and kill.at is not None and kill.after:
            ready, _, _ = select.select([handle, reached], [], [], _HANGS)
            if reached in ready:  # the step, or the end of the child
                select.select([handle], [], [], kill.after)
                os.kill(child, signal.SIGKILL)
        elif kill is not None and kill.at is None:
            select.select([handle], [], [], kill.after)
            os.kill(child, signal.SIGKILL)  # of no effect on one that has ended and is not waited for yet
        ended, _, _ = select.select([handle], [], [], _HANGS)
        if not ended:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(handle)
    return os.waitstatus_to_exitcode(status), not ended


def _command(
    arguments: list[str], folder: Path, notes: tuple[Path, Path, Path], kill: Kill | None, reached: int
) -> NoReturn:
    code = 70
    try:
        said, steps, kept = (os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) for path in notes)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.chdir(folder)
        met: Counter[str] = Counter()

        def step(stage: str) -> None:
            occurrence = met[stage]
            met[stage] += 1
            os.write(steps, f"{stage}\n".encode())
            if kill is not None and kill.at == Point(stage, occurrence):
                if not kill.after:
                    os.kill(os.getpid(), signal.SIGKILL)
                os.write(reached, b"!")

        install(folder, step, lambda what: os.write(kept, f"{what}\n".encode()))
        code = _main(arguments)
    except BaseException:  # noqa: BLE001 - the child ends here in any case
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _main(arguments: list[str]) -> int:
    from lymphofeat import cli

    os.environ["COLUMNS"] = "500"
    sys.argv = ["lymphofeat", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
