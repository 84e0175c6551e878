"""Training of one encoder on labels: epochs of steps, each followed by a look at the inner validation patients."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from ..estimates.scores import balanced_accuracy_score, roc_auc_score
from ..progress import Progress
from .checkpoint import TrainingState
from .clinical_network import train_clinical
from .epochs import EpochRun, LearningBags, Training, train_epochs
from .losses import class_weights, patient_loss, probability
from .networks import PatientNetwork
from .optimiser import make_optimiser
from .sources import Source
from .step import Group, TrainingStep, bag_features

__all__ = ["LearningPatients", "train_encoder"]

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class LearningPatients(LearningBags):
    """All that an encoder learns from. Whoever it must be blind to is not in here.

    Attributes:
        first, sizes: (n,) first image row and number of images.
        labels: (n,) int8 0 or 1.
        values: (n, C) float32 clinical values, NaN where missing.
        validates: (n,) bool: looked at after each epoch, and not learnt from.
    """

    labels: NDArray[np.int8]
    values: NDArray[np.float32]
    validates: NDArray[np.bool_]

    @property
    def learns(self) -> NDArray[np.bool_]:
        """(n,) bool: those that are learnt from."""
        return ~self.validates

    def bags(self, which: NDArray[np.bool_]) -> list[Integers]:
        """The image rows of some patients, one array each."""
        return [
            np.arange(first, first + size)
            for first, size in zip(self.first[which], self.sizes[which], strict=True)
        ]


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
    the lowest loss there.

    Args:
        network, source, training: as of `EpochRun`.
        patients: whom to learn from and to validate on.
        progress: is told of images, and of each epoch in words.

    Raises:
        InputError, StaleCacheError, OSError: as `train_epochs`.
    """
    return train_epochs(_Run(network, source, patients, training), progress)


class _Run(EpochRun):
    """A network that learns labels."""

    def __init__(
        self, network: PatientNetwork, source: Source, patients: LearningPatients, training: Training
    ) -> None:
        recipe, device = training.recipe, training.device
        optimiser = make_optimiser(network.backbone, _heads(network), recipe.optimiser, device)
        super().__init__(network, network.backbone, optimiser, source, patients, training)
        self.patients, self.trained = patients, network
        self.labels = torch.from_numpy(patients.labels.astype(np.float32)).to(device)
        self.values = torch.from_numpy(patients.values).to(device)
        self.learns = torch.from_numpy(patients.learns).to(device)
        weights = class_weights(self.labels[self.learns].cpu(), balanced=recipe.loss.class_weights)
        self.weights = weights.to(device)
        self._step = TrainingStep(
            network, source, optimiser, self.labels[self.learns], self.values[self.learns], recipe.loss,
            self.weights, images=recipe.batches.images, clip=recipe.optimiser.clip, device=device,
            dtype=training.dtype,
        )  # fmt: skip
        self.bags = patients.bags(patients.validates)

    def prepare(self) -> None:
        recipe, head = self.training.recipe, self.trained.head
        if recipe.clinical.use == "none":
            return
        head.scaler.fit(self.values[self.learns])
        if recipe.clinical.use == "apart":
            train_clinical(head, self.values, self.labels, self.learns, recipe, self.weights)

    def step(self, group: Group, seed: int) -> dict[str, float]:
        loss, _ = self._step(group, seed)
        return {"loss": loss}

    def validate(self) -> dict[str, float]:
        """Loss and scores on the validating patients."""
        training, which = self.training, ~self.learns
        means = bag_features(
            self.trained,
            self.source,
            self.bags,
            training.recipe.batches.images,
            training.device,
            training.dtype,
        )
        with torch.no_grad():
            outputs = self.trained.head(means, self.values[which])
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

    def merit(self, record: dict[str, float]) -> tuple[float, ...]:
        return record["balanced_accuracy"], -record["validation_loss"]

    def text(self, record: dict[str, float]) -> str:
        return (
            f"epoch {record['epoch']:.0f}: loss {record['loss']:.3f}, validation balanced accuracy "
            f"{record['balanced_accuracy']:.3f}, AUC {record['auc']:.3f}"
        )


def _heads(network: PatientNetwork) -> torch.nn.Module:
    """What the steps train beside the backbone: not a clinical network that is trained apart."""
    head = network.head
    if head.use != "apart":
        return head
    return head.image
