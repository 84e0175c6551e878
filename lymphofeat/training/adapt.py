"""An encoder goes on learning on a cohort's images, labels unseen: see `lymphofeat.training.vicreg`.

VICReg rather than SimSiam: its loss itself forbids that all images get one embedding, where SimSiam relies on batch
norm and a stopped gradient; its parts tell, epoch by epoch, whether the features still spread; and it needs no negative
pairs, which a CPU's batches of about a hundred images would not offer enough of.
"""

import math
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..progress import Progress
from .checkpoint import TrainingState
from .epochs import EpochRun, LearningBags, Training, train_epochs
from .optimiser import make_optimiser
from .sources import Source
from .step import Group, forward, learn_in_passes
from .vicreg import ViewNetwork, vicreg_terms

__all__ = ["adapt_encoder"]


def adapt_encoder(
    network: ViewNetwork,
    source: Source,
    bags: LearningBags,
    training: Training,
    *,
    progress: Progress | None = None,
) -> TrainingState:
    """Train, or go on training, without labels, and leave the last epoch's weights in the network.

    Nobody validates, since nothing but labels could tell which epoch is best.

    Args:
        network, source, training: as of `EpochRun`.
        bags: whose images to learn from.
        progress: is told of images, and of each epoch in words.

    Raises:
        InputError, StaleCacheError, OSError: as `train_epochs`.
    """
    return train_epochs(_Run(network, source, bags, training), progress)


class _Run(EpochRun):
    """A network that learns what two views of an image have in common."""

    def __init__(self, network: ViewNetwork, source: Source, bags: LearningBags, training: Training) -> None:
        recipe = training.recipe.optimiser
        optimiser = make_optimiser(network.backbone, network.expander, recipe, training.device)
        super().__init__(network, network.backbone, optimiser, source, bags, training)
        self.expander = network.expander
        self._trained = [p for p in network.parameters() if p.requires_grad]

    def prepare(self) -> None: ...

    def step(self, group: Group, seed: int) -> dict[str, float]:
        recipe = self.training.recipe
        self.optimiser.zero_grad(set_to_none=True)
        together = max(recipe.batches.images // 2, 1)  # both views of an image pass in one batch
        parts = np.array_split(group.rows, math.ceil(len(group.rows) / together))
        passes = [partial(self._features, rows, seed + 2 * n) for n, rows in enumerate(parts)]
        terms = learn_in_passes(self.backbone, passes, self._learn_views)
        if recipe.optimiser.clip:
            nn.utils.clip_grad_norm_(self._trained, recipe.optimiser.clip)
        self.optimiser.step()
        return terms

    def _features(self, rows: NDArray[np.int64], seed: int) -> Tensor:
        """(B, 2, D) float32: two views of each image."""
        views = [self.source.training(rows, torch.Generator().manual_seed(seed + view)) for view in (0, 1)]
        features = forward(self.backbone, torch.cat(views), self.training.device, self.training.dtype)
        return torch.stack(features.chunk(2), 1)

    def _learn_views(self, features: Tensor) -> dict[str, float]:
        embedded = self.expander(features.transpose(0, 1).flatten(0, 1))
        loss, parts = vicreg_terms(*embedded.chunk(2))
        torch.autograd.backward(loss)
        return {"loss": loss.item(), **parts}

    def validate(self) -> dict[str, float]:
        return {}

    def merit(self, record: dict[str, float]) -> tuple[float, ...]:
        return (record["epoch"],)

    def text(self, record: dict[str, float]) -> str:
        return (
            f"epoch {record['epoch']:.0f}: loss {record['loss']:.3f} (invariance {record['invariance']:.3f}, "
            f"variance {record['variance']:.3f}, covariance {record['covariance']:.3f})"
        )
