"""The training of one encoder of a family from what is said of it, in this process or on a worker.

A task is small enough to travel: it names its files, and whoever trains opens them by their paths.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..encoder.backbones import backbone_named
from ..encoder.frozen import computed_with
from ..encoder.identity import identity_key
from ..encoder.state_dict import state_digest
from ..errors import WeightsError
from ..progress import Progress
from ..training.activations import split_network
from ..training.adapt import adapt_encoder
from ..training.checkpoint import TrainingState
from ..training.epochs import LearningBags, Training, images_of_an_epoch, prepare_network, seed_of
from ..training.networks import PatientNetwork, network_for
from ..training.recipe import Recipe
from ..training.sources import Source
from ..training.train import LearningPatients, train_encoder
from ..training.trained import save_trained
from ..training.vicreg import ViewNetwork
from .encoder_family import start_weights
from .extract import ExtractSettings

__all__ = ["MemberTask", "train_member"]

_BUILDING = threading.Lock()  # weights are drawn from torch's one global generator


@dataclass(frozen=True)
class MemberTask:
    """An encoder that is to be trained, and all that decides it.

    Attributes:
        name: of the encoder.
        recipe, settings: how.
        weights_digest: of the start weights.
        device, dtype: where, and in which arithmetic.
        bags: whom to learn from.
        source: of the batches; it travels as the paths of its files.
        identity, former_keys: see `Training`.
        about: what the trained network's file says besides what comes of the training.
        path, checkpoint: the files of the trained network, and of its training until then.
    """

    name: str
    recipe: Recipe
    settings: ExtractSettings
    weights_digest: str
    device: torch.device
    dtype: torch.dtype
    bags: LearningBags
    source: Source
    identity: Mapping[str, Any]
    former_keys: frozenset[str]
    about: Mapping[str, Any]
    path: Path
    checkpoint: Path

    @property
    def key(self) -> str:
        """Hex digest of `identity`."""
        return identity_key(self.identity)

    @property
    def images(self) -> int:
        """That are learnt from in all epochs together."""
        return self.recipe.training.epochs * images_of_an_epoch(self.recipe, self.bags)


def train_member(
    task: MemberTask, progress: Progress, *, before_keeping: Callable[[], object] = lambda: None
) -> None:
    """Train an encoder, or go on training it, and keep the network in its file.

    Args:
        task: which.
        progress: is told of images, and of each epoch in words.
        before_keeping: called when the training is done and the network is not kept yet.

    Raises:
        InputError: the loss became infinite or NaN.
        StaleCacheError: the checkpoint is of another training.
        WeightsError: the start weights cannot be had, or are others.
        OSError: the disk is full; the checkpoint of the last epoch stays.
    """
    start, network = _fresh(task)
    training = Training(
        task.name, task.recipe, task.settings.seed or 0, task.checkpoint, task.identity, task.device, task.dtype,
        task.former_keys,
    )  # fmt: skip
    state = _trained(prepare_network(network, task.device), task.source, task.bags, training, progress)
    network.backbone = start  # the whole one, whose upper part was trained
    before_keeping()
    save_trained(task.path, network.eval(), task.recipe, {**task.about, **_found(task, network, state)})
    task.checkpoint.unlink(missing_ok=True)


def _fresh(task: MemberTask) -> tuple[torch.nn.Module, PatientNetwork | ViewNetwork]:
    """The whole backbone with its start weights, and the network that trains it or its upper part."""
    recipe = task.recipe
    with _BUILDING:
        loaded = start_weights(recipe, task.settings)
        if loaded.digest != task.weights_digest:
            raise WeightsError(
                f"the start weights ({loaded.origin}) are not those that the command began with; put the same file at "
                "the same path everywhere."
            )
        upper = whole = loaded.network
        if recipe.training.train_from != "all":
            _, upper = split_network(whole, recipe.training.train_from)
        seed = seed_of(task.settings.seed or 0, task.name, "head")
        return whole, network_for(recipe, upper, backbone_named(recipe.network.backbone).dim, seed)


def _found(
    task: MemberTask, network: PatientNetwork | ViewNetwork, state: TrainingState
) -> dict[str, object]:
    """What the file says of what came of the training."""
    return {
        "trained_with": {**task.about["trained_with"], **computed_with(task.device)},
        "trained_digest": state_digest(network.backbone.state_dict()),
        "epoch": state.best_epoch,
        "history": [{k: round(v, 6) for k, v in record.items()} for record in state.history],
        "learnt_from": int(task.bags.learns.sum()),
        "validated_on": int((~task.bags.learns).sum()),
        "seconds": state.seconds,
    }


def _trained(
    network: PatientNetwork | ViewNetwork,
    source: Source,
    bags: LearningBags,
    training: Training,
    progress: Progress,
) -> TrainingState:
    if isinstance(network, ViewNetwork):
        return adapt_encoder(network, source, bags, training, progress=progress)
    assert isinstance(bags, LearningPatients), "labels are learnt"
    return train_encoder(network, source, bags, training, progress=progress)
