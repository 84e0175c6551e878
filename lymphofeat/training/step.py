"""One step of the optimiser on whole patients, in memory that does not grow with their number of images.

A step's loss depends on the mean feature of each patient, so that all images of the step hang together. Where they are
more than pass through the network at once, the gradient is taken in two passes, exactly (Gao et al., Scaling deep
contrastive learning batch size under memory limited setup, 2021): the first gives the features without keeping
activations, the loss gives the gradient at each feature, and the second pass takes it on through the network, batch by
batch. Both passes see the same batches, with the same augmentation.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .losses import patient_loss, probability
from .networks import PatientNetwork, bag_means
from .recipe import LossRecipe
from .sources import Source

__all__ = ["Group", "TrainingStep", "bag_features", "draw_groups", "forward", "learn_in_passes"]

Learnt = TypeVar("Learnt")
Integers = NDArray[np.int64]
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class Group:
    """The patients of a step.

    Attributes:
        patients: (P,) their numbers among the training patients.
        rows: (B,) their images, in the order in which they go through the network.
        owner: (B,) the position in `patients` that each image belongs to.
    """

    patients: Integers
    rows: Integers
    owner: Integers


def draw_groups(
    first: Integers, sizes: Integers, patients: int, images_per_patient: int, rng: np.random.Generator
) -> list[Group]:
    """The groups of an epoch: every patient once, in random order, groups of nearly equal size.

    Args:
        first, sizes: (n,) first image row and number of images of each patient.
        patients: most patients of a group.
        images_per_patient: images drawn of each patient, without repetition; 0: all.
        rng: decides order, images and their mixing.
    """
    order = rng.permutation(len(first))
    return [
        _group(chosen, first, sizes, images_per_patient, rng)
        for chosen in np.array_split(order, math.ceil(len(order) / patients))
    ]


def _group(
    patients: Integers, first: Integers, sizes: Integers, images_per_patient: int, rng: np.random.Generator
) -> Group:
    drawn = [np.arange(first[p], first[p] + sizes[p]) for p in patients]
    if images_per_patient:
        drawn = [rng.permutation(images)[:images_per_patient] for images in drawn]
    rows = np.concatenate(drawn)
    owner = np.repeat(np.arange(len(patients)), [len(images) for images in drawn])
    if len(rows) == 1:  # batch norm needs two values; twice the image has the image's mean
        rows, owner = np.repeat(rows, 2), np.repeat(owner, 2)
    mixed = rng.permutation(len(rows))
    return Group(patients, rows[mixed], owner[mixed])


class TrainingStep:
    """One step of training; see the module.

    Args:
        network: in training mode as the recipe wants it; on `device`.
        source: of the batches.
        optimiser: over the network's parameters.
        labels: (n,) float32 0 or 1 of the training patients, on `device`.
        values: (n, C) float32 clinical values of the training patients, on `device`.
        loss: kind and smoothing.
        weights: (2,) of the classes.
        images: that pass through the network together at most.
        clip: largest norm of the gradient; 0: not clipped.
        device, dtype: float32, or bfloat16 for automatic mixed precision.
    """

    def __init__(
        self,
        network: PatientNetwork,
        source: Source,
        optimiser: torch.optim.Optimizer,
        labels: Tensor,
        values: Tensor,
        loss: LossRecipe,
        weights: Tensor,
        *,
        images: int,
        clip: float = 0.0,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.network, self.source, self.optimiser = network, source, optimiser
        self.labels, self.values, self.weights = labels, values, weights
        self.loss, self.images, self.clip, self.device, self.dtype = loss, images, clip, device, dtype
        self._trained = [p for p in network.parameters() if p.requires_grad]

    def __call__(self, group: Group, seed: int) -> tuple[float, NDArray[np.float32]]:
        """Take the step.

        Args:
            group: whom to learn from.
            seed: of augmentation and dropout.

        Returns:
            The loss, and (P,) the probabilities, both before the step.
        """
        self.optimiser.zero_grad(set_to_none=True)
        loss, predicted = self.gradients(group, seed)
        if self.clip:
            nn.utils.clip_grad_norm_(self._trained, self.clip)
        self.optimiser.step()
        return loss, predicted

    def gradients(self, group: Group, seed: int) -> tuple[float, NDArray[np.float32]]:
        """Add the gradient of the group's loss to the parameters; what `__call__` returns."""
        batches = np.array_split(group.rows, math.ceil(len(group.rows) / self.images))
        owner = torch.from_numpy(group.owner).to(self.device)

        def learn(features: Tensor) -> tuple[float, NDArray[np.float32]]:
            return self._head(bag_means(features, owner, len(group.patients)), group, seed)

        passes = [partial(self._features, rows, seed + b) for b, rows in enumerate(batches)]
        return learn_in_passes(self.network.backbone, passes, learn)

    def _features(self, rows: Integers, seed: int) -> Tensor:
        """(B, D) float32."""
        batch = self.source.training(rows, torch.Generator().manual_seed(seed))
        return forward(self.network.backbone, batch, self.device, self.dtype)

    def _head(self, means: Tensor, group: Group, seed: int) -> tuple[float, NDArray[np.float32]]:
        chosen = torch.from_numpy(group.patients).to(self.device)
        self.network.head.reseed(seed)
        outputs = self.network.head(means, self.values[chosen])
        loss = patient_loss(outputs, self.labels[chosen], self.loss, self.weights)
        torch.autograd.backward(loss)
        return loss.item(), probability(outputs).detach().cpu().numpy()


def learn_in_passes(
    backbone: nn.Module, passes: Sequence[Callable[[], Tensor]], learn: Callable[[Tensor], Learnt]
) -> Learnt:
    """Add the gradient of a loss over all images of a step, of which one pass at a time is kept in memory.

    Args:
        backbone: that the passes go through.
        passes: each gives (b, …) features of its images, the same ones whenever it is called.
        learn: takes (B, …) features, passes in order, and runs `torch.autograd.backward` of the loss.

    Returns:
        What `learn` returns.
    """
    if len(passes) == 1:
        return learn(passes[0]())
    with torch.no_grad(), running_averages_kept(backbone):
        parts = [features() for features in passes]
    features = torch.cat(parts).requires_grad_()
    learnt = learn(features)
    if features.grad is not None and any(p.requires_grad for p in backbone.parameters()):
        gradients = torch.split(features.grad, [len(part) for part in parts])
        for again, gradient in zip(passes, gradients, strict=True):
            torch.autograd.backward(again(), gradient)
    return learnt


def forward(backbone: nn.Module, batch: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(B, D) float32 features of a batch, computed in mixed precision if `dtype` is bfloat16."""
    with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        features: Tensor = backbone(batch)
    return features.to(torch.float32)


def bag_features(
    network: PatientNetwork,
    source: Source,
    bags: Sequence[Integers],
    images: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """(P, D) float32 mean features of bags of image rows, the network as it is at inference."""
    rows = np.concatenate(bags)
    owner = torch.from_numpy(np.repeat(np.arange(len(bags)), [len(bag) for bag in bags])).to(device)
    network.eval()
    with torch.no_grad():
        parts = [
            forward(network.backbone, source.plain(rows[start : start + images]), device, dtype)
            for start in range(0, len(rows), images)
        ]
        return bag_means(torch.cat(parts), owner, len(bags))


@contextmanager
def running_averages_kept(network: nn.Module) -> Iterator[None]:
    """Batch norm uses the batch's statistics as in training, and does not count it in its running averages."""
    norms = [m for m in network.modules() if isinstance(m, _BATCH_NORMS) and m.training]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
