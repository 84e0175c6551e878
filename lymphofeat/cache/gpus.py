"""`--gpus`: which GPUs of this machine encode and train, each in a process of its own."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager

import torch

from ..devices import device_processes
from ..errors import InputError

__all__ = ["check_gpus", "gpu_executor"]


def check_gpus(gpus: Sequence[int], *, device: str, executor: Executor | None, measured: bool) -> None:
    """Look whether the GPUs are there, and whether nothing else is asked for that excludes them.

    Args:
        gpus: their numbers, as torch counts them, among those in CUDA_VISIBLE_DEVICES.
        device: that was asked for.
        executor: that was given.
        measured: whether cells are measured, which no GPU does.

    Raises:
        InputError: that is not so.
    """
    named = ", ".join(map(str, gpus))
    if executor is not None:
        raise InputError(
            f"gpus ({named}) and executor= exclude each other; the executor has its own workers and devices."
        )
    if measured:
        raise InputError(
            f"--gpus {named}: cells are measured on the CPU; leave --gpus out, or give --frozen, --finetune or --adapt."
        )
    if device not in ("auto", "cuda"):
        raise InputError(f"--gpus {named} and --device {device} exclude each other; leave one of them out.")
    if len(set(gpus)) < len(gpus):
        raise InputError(f"--gpus {named} names a GPU twice; name each once.")
    there = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    if missing := [number for number in gpus if number not in there]:
        what = f"there are {', '.join(map(str, there))}" if there else "torch finds no GPU with CUDA at all"
        way = "name some of these" if there else "leave --gpus out, or install torch's build for CUDA"
        raise InputError(f"--gpus {named}: this machine has no GPU {missing[0]}; {what}: {way}.")


@contextmanager
def gpu_executor(gpus: Sequence[int] | None, executor: Executor | None) -> Iterator[Executor | None]:
    """A process per GPU until the block ends; without `gpus`, `executor` as it is."""
    if not gpus:
        yield executor
        return
    with device_processes([f"cuda:{number}" for number in gpus]) as found:
        yield found
