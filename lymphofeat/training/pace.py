"""How long training will take here, from a few timed passes of a copy of the network."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .activations import split_network
from .step import forward

__all__ = ["Pace", "measure_pace", "pace_from"]


@dataclass(frozen=True)
class Pace:
    """Seconds per image.

    Attributes:
        training: forward and backward.
        inference: forward only.
    """

    training: float
    inference: float


def measure_pace(backbone: nn.Module, batch: Tensor, dtype: torch.dtype) -> Pace:
    """Time passes of `batch` through a copy of `backbone`; the network and the random generators stay as they are."""
    network = copy.deepcopy(backbone).train()
    device = batch.device
    trainable = any(p.requires_grad for p in network.parameters())

    def learn() -> None:
        features = forward(network, batch, device, dtype)
        if trainable:
            torch.autograd.backward(features.square().mean())

    def look() -> None:
        with torch.no_grad():
            forward(network, batch, device, dtype)

    learn()  # the first pass also chooses kernels and touches memory
    return Pace(*(_seconds(work) / len(batch) for work in (learn, look)))


def pace_from(backbone: nn.Module, train_from: str, batch: Tensor, dtype: torch.dtype) -> tuple[Pace, float]:
    """The pace of the layers from `train_from` on, and the seconds per image of those below, run once."""
    lower, upper = split_network(copy.deepcopy(backbone), train_from)
    with torch.no_grad():
        began = time.perf_counter()
        below = forward_through(lower, batch, dtype)
        seconds = time.perf_counter() - began
    return measure_pace(upper, below, dtype), seconds / len(batch)


def forward_through(lower: nn.Module, batch: Tensor, dtype: torch.dtype) -> Tensor:
    """What layers give for a batch, in the arithmetic of training."""
    with torch.autocast(batch.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        below: Tensor = lower(batch)
    return below


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
