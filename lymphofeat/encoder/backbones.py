"""The networks: pixels in, one feature vector per image out, by name."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from ..errors import InputError
from .backbone import Backbone


def _resnet(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import torchvision  # seconds, through torch._dynamo

        network: nn.Module = torchvision.models.get_model(name, weights=None)
        network.fc = nn.Identity()
        return network

    return build


def _small_cnn() -> nn.Module:
    """Four blocks of convolution, batch norm, ReLU and pooling: for training from scratch on few patients."""

    def block(width_in: int, width: int) -> nn.Module:
        convolution = nn.Conv2d(width_in, width, 3, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(2))

    widths = (3, 16, 32, 64, 128)
    network = nn.Sequential()
    for number, (width_in, width) in enumerate(pairwise(widths), 1):
        network.add_module(f"block{number}", block(width_in, width))
    network.add_module("pool", nn.AdaptiveAvgPool2d(1))
    network.add_module("flatten", nn.Flatten())
    return network


BACKBONES = {
    b.name: b
    for b in (
        Backbone("resnet18", 512, _resnet("resnet18"), "ResNet18_Weights.IMAGENET1K_V1"),
        Backbone("resnet34", 512, _resnet("resnet34"), "ResNet34_Weights.IMAGENET1K_V1"),
        Backbone("resnet50", 2048, _resnet("resnet50"), "ResNet50_Weights.IMAGENET1K_V2"),
        Backbone("small-cnn", 128, _small_cnn, ""),
    )
}


def backbone_named(name: str) -> Backbone:
    """Look a backbone up: one of `BACKBONES`, or one that an optional package brings.

    Raises:
        InputError: no such backbone; the sentence lists those there are.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    from .optional_backbones import extra_backbone

    try:
        return extra_backbone(name)
    except InputError as error:
        raise InputError(f"{error} Those that need no extra: {', '.join(BACKBONES)}.") from error


def can_be_built(name: str) -> bool:
    """Whether the name is a backbone's, and what it needs is installed."""
    try:
        backbone_named(name)
    except InputError:
        return False
    return True


def untrained(backbone: Backbone, seed: int) -> nn.Module:
    """The backbone with random weights, the same for the same seed; the global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return backbone.build()
