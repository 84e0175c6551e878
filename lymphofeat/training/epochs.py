"""Training in epochs that are resumed: what every training does alike, whatever its loss.

All that is random in an epoch follows from the seed, the encoder's name and the epoch's number, so that a training
that was killed goes on from its last whole epoch and ends as if it had not been (bit for bit on a CPU in float32; on
a GPU, the steps were seen to be the same).
"""

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..encoder.gpu import gpu_work
from ..errors import InputError
from ..progress import Progress, Silent
from .checkpoint import TrainingState, read_checkpoint, write_checkpoint
from .optimiser import rate_factor, set_rate
from .recipe import Recipe
from .sources import Source
from .step import Group, draw_groups

__all__ = [
    "EpochRun",
    "LearningBags",
    "Training",
    "images_of_an_epoch",
    "prepare_network",
    "seed_of",
    "train_epochs",
]

_LESS = "a recipe with fewer `images` in [batches] (`lymphofeat recipes NAME` prints one to change)"
Integers = NDArray[np.int64]
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class LearningBags:
    """Bags of images that an encoder learns from, without labels.

    Attributes:
        first, sizes: (n,) first image row and number of images of each patient.
    """

    first: Integers
    sizes: Integers

    @property
    def learns(self) -> NDArray[np.bool_]:
        """(n,) bool: those that are learnt from."""
        return np.ones(len(self.sizes), dtype=bool)


@dataclass(frozen=True)
class Training:
    """How and where one encoder is trained.

    Attributes:
        name: the encoder's, part of every seed.
        recipe: what to do.
        seed: of everything random.
        checkpoint: where the state after each epoch is kept.
        identity: all that decides the result, as JSON values; a checkpoint with another one is refused.
        device, dtype: where, and in which arithmetic.
        former_keys: see `lymphofeat.training.checkpoint.read_checkpoint`.
    """

    name: str
    recipe: Recipe
    seed: int
    checkpoint: Path
    identity: Mapping[str, Any]
    device: torch.device
    dtype: torch.dtype = torch.float32
    former_keys: frozenset[str] = frozenset()


def seed_of(*parts: object) -> int:
    """A seed from names and numbers, in [0, 2⁶²)."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest()) >> 2


def prepare_network(network: Network, device: torch.device) -> Network:
    """The network on its device, channels-last."""
    with gpu_work(device, _LESS):
        moved: Network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def images_of_an_epoch(recipe: Recipe, bags: LearningBags) -> int:
    """How many images an epoch learns from."""
    most, sizes = recipe.batches.images_per_patient, bags.sizes[bags.learns]
    return int((np.minimum(sizes, most) if most else sizes).sum())


class EpochRun(ABC):
    """The parts of a training, and how an epoch goes.

    Args:
        network: with its start weights, on the device (`prepare_network`). Its `backbone` may be the upper part of an
            encoder whose lower layers' activations are what `source` gives.
        optimiser: over what is trained of it.
        source: of image batches.
        bags: whom to learn from.
        training: how.
    """

    def __init__(
        self,
        network: nn.Module,
        backbone: nn.Module,
        optimiser: torch.optim.Optimizer,
        source: Source,
        bags: LearningBags,
        training: Training,
    ) -> None:
        self.network, self.backbone, self.optimiser = network, backbone, optimiser
        self.source, self.training = source, training
        self.learning = LearningBags(bags.first[bags.learns], bags.sizes[bags.learns])
        self.images = images_of_an_epoch(training.recipe, bags)

    @abstractmethod
    def prepare(self) -> None:
        """What comes before the first epoch."""

    @abstractmethod
    def step(self, group: Group, seed: int) -> dict[str, float]:
        """Take one step of the optimiser: the `loss` before it, and what else an epoch's record shows the mean of.

        Args:
            group: whom to learn from, by their position in `learning`.
            seed: of augmentation and dropout.
        """

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """What an epoch's record says of the network after it."""

    @abstractmethod
    def merit(self, record: dict[str, float]) -> tuple[float, ...]:
        """What the kept epoch has most of; among equals the earlier one is kept."""

    @abstractmethod
    def text(self, record: dict[str, float]) -> str:
        """An epoch's record in words."""

    def restore(self, state: TrainingState) -> None:
        """Put network and optimiser where the state has them."""
        if state.network is None or state.optimiser is None:
            self.prepare()
            return
        self.network.load_state_dict(state.network)
        self.optimiser.load_state_dict(state.optimiser)

    def epoch(self, state: TrainingState, progress: Progress) -> dict[str, float]:
        """One more epoch: the state is brought forward, the epoch's record returned."""
        began = time.perf_counter()
        means = self._learn(state.epoch, progress)
        record = {"epoch": float(state.epoch + 1), **means, **self.validate()}
        seconds = time.perf_counter() - began
        state.history.append({**record, "seconds": round(seconds, 3)})
        state.epoch += 1
        state.seconds += seconds
        state.network = _copied(self.network.state_dict())
        state.optimiser = copy.deepcopy(self.optimiser.state_dict())
        if state.best_epoch == 0 or self.merit(record) > self.merit(state.history[state.best_epoch - 1]):
            state.best, state.best_epoch = state.network, state.epoch
        return record

    def _learn(self, epoch: int, progress: Progress) -> dict[str, float]:
        """Means over the epoch's steps, by patients."""
        recipe, training, bags = self.training.recipe, self.training, self.learning
        rng = np.random.default_rng(seed_of(training.seed, training.name, epoch))
        batches = recipe.batches
        groups = draw_groups(bags.first, bags.sizes, batches.patients, batches.images_per_patient, rng)
        self.network.train()
        if recipe.network.batch_norm == "frozen":
            self.backbone.eval()
        totals: dict[str, float] = {}
        for number, group in enumerate(groups):
            at = epoch + (number + 1) / len(groups) * (1 - 1e-9)
            set_rate(self.optimiser, rate_factor(recipe.schedule, at, recipe.training.epochs))
            terms = self.step(group, int(rng.integers(1 << 62)))
            for key, value in terms.items():
                totals[key] = totals.get(key, 0.0) + value * len(group.patients)
            progress.advance(len(group.rows))
        if not np.isfinite(totals["loss"]):
            raise InputError(
                f"{training.name}, epoch {epoch + 1}: the loss is no longer finite; lower [optimiser] lr in "
                "the recipe, or use --dtype float32."
            )
        return {key: total / len(bags.first) for key, total in totals.items()}


def train_epochs(run: EpochRun, progress: Progress | None = None) -> TrainingState:
    """Train, or go on training, and leave the kept epoch's weights in the network, in evaluation mode.

    Args:
        run: what is trained, and how.
        progress: is told of images, and of each epoch in words.

    Raises:
        InputError: the loss became infinite or NaN, or the images of a step do not fit into the GPU's memory.
        StaleCacheError: the checkpoint is of another training.
        OSError: the disk is full; the checkpoint of the epoch before stays.
    """
    progress, training = progress or Silent(), run.training
    state = read_checkpoint(training.checkpoint, training.identity, training.former_keys)
    with gpu_work(training.device, _LESS, learns=True):
        run.restore(state)
    epochs = training.recipe.training.epochs
    progress.start(f"training {training.name}", epochs * run.images, "images", state.epoch * run.images)
    try:
        while state.epoch < epochs:
            with gpu_work(training.device, _LESS, learns=True):
                record = run.epoch(state, progress)
            progress.note(run.text(record))
            write_checkpoint(training.checkpoint, state)
    finally:
        progress.stop()
    if state.best is not None:
        run.network.load_state_dict(state.best)
    run.network.eval()
    return state


def _copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().clone() for key, value in state.items()}
