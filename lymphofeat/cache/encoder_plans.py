"""What a worker makes an encoder from: names, paths and digests, small enough to travel with every task."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from ..encoder.backbones import BACKBONES, backbone_named
from ..encoder.catalogue import EFFICIENTNET_LITE
from ..encoder.frozen import DTYPES, BlockEncoder, FrozenEncoder, choose_device
from ..encoder.pixels import Preprocessing
from ..encoder.weights import load_weights
from ..errors import WeightsError
from ..training.epochs import prepare_network
from ..training.networks import PatientNetwork
from ..training.trained import load_trained
from ..training.vicreg import ViewNetwork

__all__ = ["EncoderPlan", "FrozenPlan", "MeasuringPlan", "TrainedPlan", "packages_of", "travelling_weights"]

# Whose versions decide the bits of features and networks.
_COMPUTE = ("numpy", "pillow", "scipy", "scikit-image", "torch", "torchvision")


class EncoderPlan(Protocol):
    """Makes an encoder on the machine that it is called on."""

    @property
    def device(self) -> str:
        """The kind of device that computes, such as "cuda"."""

    @property
    def packages(self) -> Sequence[str]:
        """Whose versions decide its bits."""

    def open(self) -> BlockEncoder:
        """The encoder.

        Raises:
            InputError: the device is not there.
            WeightsError: the weights cannot be had, or are others.
        """


@dataclass(frozen=True)
class FrozenPlan:
    """A network as it is.

    Attributes:
        backbone: its name.
        weights, seed: see `load_weights`.
        digest: of the weights.
        preprocessing: of the images.
        device: kind of device, such as "cuda".
        dtype: of the arithmetic, by name.
        batch: see `FrozenEncoder`.
    """

    backbone: str
    weights: str
    seed: int | None
    digest: str
    preprocessing: Preprocessing
    device: str
    dtype: str
    batch: int

    @property
    def packages(self) -> Sequence[str]:
        return packages_of(self.backbone)

    def open(self) -> BlockEncoder:
        loaded = load_weights(backbone_named(self.backbone), self.weights, self.seed)
        if loaded.digest != self.digest:
            raise WeightsError(
                f"they are other weights ({loaded.origin}) than those of the process that was started."
            )
        return self.encoder(loaded.network, choose_device(self.device))

    def encoder(self, network: nn.Module, device: torch.device) -> FrozenEncoder:
        """The encoder, of the network with its weights."""
        return FrozenEncoder(network, self.preprocessing, device, DTYPES[self.dtype], batch=self.batch)


@dataclass(frozen=True)
class TrainedPlan:
    """A network that was trained on the cohort and is kept beside the cache.

    Attributes:
        path: of its file.
        digest: of the trained weights.
        backbone: its name.
        preprocessing, device, dtype, batch: as of `FrozenPlan`.
    """

    path: Path
    digest: str
    backbone: str
    preprocessing: Preprocessing
    device: str
    dtype: torch.dtype
    batch: int

    @property
    def packages(self) -> Sequence[str]:
        return packages_of(self.backbone)

    def open(self) -> BlockEncoder:
        trained = load_trained(self.path)
        if trained.about["trained_digest"] != self.digest:
            raise WeightsError(
                f"{self.path} is another encoder than the one that the process that was started sees."
            )
        device = choose_device(self.device)
        return self.encoder(prepare_network(trained.network, device), device)

    def encoder(self, network: PatientNetwork | ViewNetwork, device: torch.device) -> FrozenEncoder:
        """The encoder, of a network that is on its device."""
        return FrozenEncoder(network.backbone, self.preprocessing, device, self.dtype, batch=self.batch)


@dataclass(frozen=True)
class MeasuringPlan:
    """Measurements of the cell, without a network.

    Attributes:
        groups, side: see `MorphologyEncoder`.
    """

    groups: tuple[str, ...]
    side: int

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def packages(self) -> Sequence[str]:
        return _COMPUTE

    def open(self) -> BlockEncoder:
        from ..encoder.morphology.encoder import FlaggedMorphology  # seconds, through scikit-image

        return FlaggedMorphology(self.groups, self.side)


def packages_of(backbone: str) -> Sequence[str]:
    """The packages whose versions decide the bits of a network's features and of its training."""
    if backbone in BACKBONES:
        return _COMPUTE
    return (*_COMPUTE, "efficientnet-lite-pytorch" if backbone == EFFICIENTNET_LITE else "timm")


def travelling_weights(weights: str) -> str:
    """What `--weights` means in a process with another working folder."""
    return weights if weights in ("imagenet", "none") else str(Path(weights).absolute())
