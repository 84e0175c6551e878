"""Arrays of tasks: a scheduler starts the same command N times, and each call does its share of the work.

A task is (I, N) with 1 ≤ I ≤ N. The shares depend on the work and on N alone, so that tasks need not know each other.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from .errors import InputError

__all__ = ["ArrayTask", "array_task_in", "check_array_task", "share_of", "task_label"]

ArrayTask = tuple[int, int]
Item = TypeVar("Item")

_SLURM = "SLURM_ARRAY_TASK_ID"


def check_array_task(task: ArrayTask) -> None:
    """Refuse what is no task of an array.

    Raises:
        InputError: it is not (I, N) with 1 ≤ I ≤ N.
    """
    number, count = task
    if not 1 <= number <= count:
        raise InputError(
            f"There is no task {number} of {count}: tasks are counted from 1, so give one from 1/{max(count, 1)} to "
            f"{max(count, 1)}/{max(count, 1)}."
        )


def array_task_in(text: str, environment: Mapping[str, str] = os.environ) -> ArrayTask:
    """The task that a text names: "3/10", or "/10", whose number Slurm tells in $SLURM_ARRAY_TASK_ID.

    Args:
        text: what a user gave.
        environment: variables.

    Raises:
        InputError: it names none, or Slurm's array is not counted from 1 to N.
    """
    found = re.fullmatch(r"\s*(\d*)\s*/\s*(\d+)\s*", text, re.ASCII)
    if found is None:
        raise InputError(
            f"{text!r} names no task: give I/N, such as 3/10, or /10 in a job array of Slurm, which tells I."
        )
    number, count = found.groups()
    if not number:
        number = environment.get(_SLURM, "")
        if not number.isdecimal():
            raise InputError(
                f"/{count} leaves the task's number to ${_SLURM}, which is {repr(number) if number else 'not set'}: "
                f"give I/{count}, or start the command by `sbatch --array=1-{count}`."
            )
        _check_slurm(int(count), environment)
    task = int(number), int(count)
    check_array_task(task)
    return task


def _check_slurm(count: int, environment: Mapping[str, str]) -> None:
    """Refuse a job array that has numbers outside 1 to N: its shares would not be all of the work.

    A part of them is no fault: tasks that failed are given again alone.
    """
    ends = [environment.get(f"SLURM_ARRAY_TASK_{end}", "") for end in ("MIN", "MAX")]
    if all(end.isdecimal() for end in ends):
        least, most = map(int, ends)
        if least < 1 or most > count:
            raise InputError(
                f"The job array has the tasks {least} to {most}, and /{count} has 1 to {count}: submit it with "
                f"--array=1-{count}."
            )


def task_label(task: ArrayTask) -> str:
    """The task in a file's name: "task-3-of-10"."""
    number, count = task
    return f"task-{number}-of-{count}"


def share_of(items: Sequence[Item], task: ArrayTask, cost: Callable[[Item], float]) -> list[Item]:
    """The task's share of the work: dealt out in turn, the most expensive first; in the order of `items`.

    Args:
        items: the pieces, the same in every task.
        task: whose share.
        cost: of a piece; only its order counts.
    """
    number, count = task
    by_cost = sorted(range(len(items)), key=lambda k: -cost(items[k]))  # stable: equal ones as they come
    return [items[k] for k in sorted(by_cost[number - 1 :: count])]
