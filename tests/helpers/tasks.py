"""Tasks of an array in processes of their own, killed at random and given again in any order."""

import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lymphofeat.progress import Silent

__all__ = ["Aloud", "finish_with_kills"]

ROOT = Path(__file__).parents[2]


class Aloud(Silent):
    """Prints a line whenever a piece of work is done."""

    def advance(self, n: int = 1) -> None:
        print("done", flush=True)


def finish_with_kills(code: str, arguments: Sequence[object], n_tasks: int, kills: int) -> None:
    """Give tasks in a random order, the first `kills` of them killed after some pieces of work, until all are done.

    Args:
        code: Python that does the task `sys.argv[1]` of `sys.argv[2]` and tells `Aloud` of it.
        arguments: that follow these two.
        n_tasks: N.
        kills: how many, at most 5 pieces of work apart.
    """
    rng, left, killed = random.Random(0), list(range(1, n_tasks + 1)), 0
    while left:
        number = rng.choice(left)
        command = [sys.executable, "-c", code, str(number), str(n_tasks), *map(str, arguments)]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                if killed < kills:
                    assert process.stdout is not None
                    for _ in range(rng.randint(1, 5)):
                        process.stdout.readline()  # "" once the task is done
                    process.send_signal(signal.SIGKILL)
                _, error = process.communicate()
            finally:
                process.kill()
        assert process.returncode in (0, -signal.SIGKILL), error
        killed += process.returncode != 0
        if process.returncode == 0:
            left.remove(number)
    assert killed >= kills - 1  # one may have come too late
