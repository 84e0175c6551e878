"""Training of one encoder: epochs of steps, each followed by a look at the inner validation patients.

All that is random in an epoch follows from the seed, the encoder's name and the epoch's number, so that a training
that was killed goes on from its last whole epoch and ends as if it had not been (bit for bit on a CPU in float32).
"""

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..estimates.scores import balanced_accuracy_score, roc_auc_score
from ..progress import Progress, Silent
from .checkpoint import TrainingState, read_checkpoint, write_checkpoint
from .clinical_network import train_clinical
from .losses import class_weights, patient_loss, probability
from .networks import PatientNetwork
from .optimiser import make_optimiser, rate_factor, set_rate
from .recipe import Recipe
from .sources import Source
from .step import TrainingStep, bag_features, draw_groups

__all__ = [
    "LearningPatients",
    "Training",
    "images_of_an_epoch",
    "prepare_network",
    "seed_of",
    "train_encoder",
]

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class LearningPatients:
    """All that an encoder learns from. Whoever it must be blind to is not in here.

    Attributes:
        first, sizes: (n,) first image row and number of images.
        labels: (n,) int8 0 or 1.
        values: (n, C) float32 clinical values, NaN where missing.
        validates: (n,) bool: looked at after each epoch, and not learnt from.
    """

    first: Integers
    sizes: Integers
    labels: NDArray[np.int8]
    values: NDArray[np.float32]
    validates: NDArray[np.bool_]

    def bags(self, which: NDArray[np.bool_]) -> list[Integers]:
        """The image rows of some patients, one array each."""
        return [
            np.arange(first, first + size)
            for first, size in zip(self.first[which], self.sizes[which], strict=True)
        ]


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


def prepare_network(network: PatientNetwork, device: torch.device) -> PatientNetwork:
    """The network on its device, channels-last."""
    moved: PatientNetwork = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def train_encoder(
    network: PatientNetwork,
    source: Source,
    patients: LearningPatients,
    training: Training,
    *,
    progress: Progress | None = None,
) -> TrainingState:
    """Train, or go on training, and leave the best epoch's weights in the network, in evaluation mode.

    The best epoch has the highest balanced accuracy (at probability 0.5) on the validating patients, and among equals
    the lowest loss there. `network.backbone` may be the upper part of an encoder whose lower layers' activations are
    what `source` gives.

    Args:
        network: with its start weights, on the device (`prepare_network`).
        source: of image batches.
        patients: whom to learn from and to validate on.
        training: how.
        progress: is told of images, and of each epoch in words.

    Raises:
        InputError: the loss became infinite or NaN.
        StaleCacheError: the checkpoint is of another training.
        OSError: the disk is full; the checkpoint of the epoch before stays.
    """
    progress = progress or Silent()
    state = read_checkpoint(training.checkpoint, training.identity, training.former_keys)
    run = _Run(network, source, patients, training)
    run.restore(state)
    epochs, images = training.recipe.training.epochs, images_of_an_epoch(training.recipe, patients)
    progress.start(f"training {training.name}", epochs * images, "images", state.epoch * images)
    try:
        while state.epoch < epochs:
            record = run.epoch(state, progress)
            progress.note(epoch_text(record))
            write_checkpoint(training.checkpoint, state)
    finally:
        progress.stop()
    if state.best is not None:
        network.load_state_dict(state.best)
    network.eval()
    return state


def images_of_an_epoch(recipe: Recipe, patients: LearningPatients) -> int:
    """How many images an epoch learns from."""
    most, sizes = recipe.batches.images_per_patient, patients.sizes[~patients.validates]
    return int((np.minimum(sizes, most) if most else sizes).sum())


def epoch_text(record: dict[str, float]) -> str:
    """An epoch's record in words."""
    return (
        f"epoch {record['epoch']:.0f}: loss {record['loss']:.3f}, validation balanced accuracy "
        f"{record['balanced_accuracy']:.3f}, AUC {record['auc']:.3f}"
    )


class _Run:
    """The parts of a training: step, optimiser, and how an epoch goes."""

    def __init__(
        self, network: PatientNetwork, source: Source, patients: LearningPatients, training: Training
    ) -> None:
        self.network, self.source, self.patients, self.training = network, source, patients, training
        recipe, device = training.recipe, training.device
        learns = ~patients.validates
        self.first, self.sizes = patients.first[learns], patients.sizes[learns]
        self.labels = torch.from_numpy(patients.labels.astype(np.float32)).to(device)
        self.values = torch.from_numpy(patients.values).to(device)
        self.learns = torch.from_numpy(learns).to(device)
        weights = class_weights(self.labels[self.learns].cpu(), balanced=recipe.loss.class_weights)
        self.weights = weights.to(device)
        self.optimiser = make_optimiser(network.backbone, _heads(network), recipe.optimiser, device)
        self.step = TrainingStep(
            network, source, self.optimiser, self.labels[self.learns], self.values[self.learns], recipe.loss,
            self.weights, images=recipe.batches.images, clip=recipe.optimiser.clip, device=device,
            dtype=training.dtype,
        )  # fmt: skip
        self.bags = patients.bags(patients.validates)

    def restore(self, state: TrainingState) -> None:
        """Put network and optimiser where the state has them."""
        if state.network is not None and state.optimiser is not None:
            self.network.load_state_dict(state.network)
            self.optimiser.load_state_dict(state.optimiser)
        elif self.training.recipe.clinical.use != "none":
            self.network.head.scaler.fit(self.values[self.learns])
            if self.training.recipe.clinical.use == "apart":
                train_clinical(
                    self.network.head,
                    self.values,
                    self.labels,
                    self.learns,
                    self.training.recipe,
                    self.weights,
                )

    def epoch(self, state: TrainingState, progress: Progress) -> dict[str, float]:
        """One more epoch: the state is brought forward, the epoch's record returned."""
        began = time.perf_counter()
        loss = self._learn(state.epoch, progress)
        record = {"epoch": float(state.epoch + 1), "loss": loss, **self._validate()}
        seconds = time.perf_counter() - began
        state.history.append({**record, "seconds": round(seconds, 3)})
        state.epoch += 1
        state.seconds += seconds
        state.network = _copied(self.network.state_dict())
        state.optimiser = copy.deepcopy(self.optimiser.state_dict())
        if state.best_epoch == 0 or _merit(record) > _merit(state.history[state.best_epoch - 1]):
            state.best, state.best_epoch = state.network, state.epoch
        return record

    def _learn(self, epoch: int, progress: Progress) -> float:
        """Mean loss of the epoch's steps, by patients."""
        recipe = self.training.recipe
        rng = np.random.default_rng(seed_of(self.training.seed, self.training.name, epoch))
        batches = recipe.batches
        groups = draw_groups(self.first, self.sizes, batches.patients, batches.images_per_patient, rng)
        self.network.train()
        if recipe.network.batch_norm == "frozen":
            self.network.backbone.eval()
        total = 0.0
        for number, group in enumerate(groups):
            at = epoch + (number + 1) / len(groups) * (1 - 1e-9)
            set_rate(self.optimiser, rate_factor(recipe.schedule, at, recipe.training.epochs))
            loss, _ = self.step(group, int(rng.integers(1 << 62)))
            total += loss * len(group.patients)
            progress.advance(len(group.rows))
        if not np.isfinite(total):
            raise InputError(
                f"{self.training.name}, epoch {epoch + 1}: the loss is no longer finite; lower [optimiser] lr in "
                "the recipe, or use --dtype float32."
            )
        return total / len(self.first)

    def _validate(self) -> dict[str, float]:
        training, which = self.training, ~self.learns
        means = bag_features(
            self.network,
            self.source,
            self.bags,
            training.recipe.batches.images,
            training.device,
            training.dtype,
        )
        with torch.no_grad():
            outputs = self.network.head(means, self.values[which])
            loss = patient_loss(outputs, self.labels[which], training.recipe.loss, self.weights)
            p = probability(outputs).cpu().numpy().astype(np.float64)
        if not np.isfinite(p).all():
            raise InputError(
                f"{training.name}: the network's outputs are not finite; lower [optimiser] lr in the recipe, or use "
                "--dtype float32."
            )
        y = self.patients.labels[self.patients.validates]
        return {
            "validation_loss": float(loss),
            "balanced_accuracy": balanced_accuracy_score(y, (p >= 0.5).astype(int)),
            "auc": roc_auc_score(y, p),
        }


def _merit(record: dict[str, float]) -> tuple[float, float]:
    return record["balanced_accuracy"], -record["validation_loss"]


def _heads(network: PatientNetwork) -> torch.nn.Module:
    """What the steps train beside the backbone: not a clinical network that is trained apart."""
    head = network.head
    if head.use != "apart":
        return head
    return head.image


def _copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().clone() for key, value in state.items()}
