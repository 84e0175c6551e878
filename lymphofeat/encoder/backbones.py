"""The networks: pixels in, one feature vector per image out, by name."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torchvision
from torch import nn

from ..errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Backbone:
    """A network by name.

    Attributes:
        name: as users type it.
        dim: D, the width of its feature vector after global average pooling.
        build: makes it untrained, its classifier replaced by the identity: (B, 3, H, W) → (B, D).
        imagenet: the name of torchvision's weights for it.
        mean, std: per channel, of pixels scaled to [0, 1], that its weights were trained with.
    """

    name: str
    dim: int
    build: Callable[[], nn.Module]
    imagenet: str
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


def _resnet(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        network: nn.Module = torchvision.models.get_model(name, weights=None)
        network.fc = nn.Identity()
        return network

    return build


BACKBONES = {
    b.name: b
    for b in (
        Backbone("resnet18", 512, _resnet("resnet18"), "ResNet18_Weights.IMAGENET1K_V1"),
        Backbone("resnet34", 512, _resnet("resnet34"), "ResNet34_Weights.IMAGENET1K_V1"),
        Backbone("resnet50", 2048, _resnet("resnet50"), "ResNet50_Weights.IMAGENET1K_V2"),
    )
}


def backbone_named(name: str) -> Backbone:
    """Look a backbone up.

    Raises:
        InputError: no such backbone; the sentence lists those there are.
    """
    if name not in BACKBONES:
        raise InputError(f"backbone {name!r} is not known; choose one of {', '.join(BACKBONES)}.")
    return BACKBONES[name]


def untrained(backbone: Backbone, seed: int) -> nn.Module:
    """The backbone with random weights, the same for the same seed; the global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return backbone.build()
