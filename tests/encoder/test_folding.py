"""A lean network gives the features of the one that it was made of, and what cannot be folded stays."""

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from lymphofeat.encoder.backbones import BACKBONES, backbone_named, untrained
from lymphofeat.encoder.folding import folded

SIDE = 48


def images(n: int = 3, side: int = SIDE) -> Tensor:
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def trained(network: nn.Module) -> nn.Module:
    """With batch norm statistics that are not the trivial 0 and 1."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        network.train()
        for _ in range(2):
            network(torch.randn(8, 3, SIDE, SIDE))
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@torch.no_grad()
def relative_error(found: nn.Module, network: nn.Module, x: Tensor) -> float:
    expected = network(x)
    return float((found(x) - expected).norm() / expected.norm())


@pytest.mark.parametrize("name", ["resnet18", "small-cnn"])
def test_the_bits_are_those_of_torch_fx(name: str) -> None:
    """By which features of earlier versions were made."""
    network = trained(untrained(BACKBONES[name], 0))
    lean = folded(network, images(1))
    assert norms(lean) == 0 < norms(network)
    with torch.no_grad():
        x = images().contiguous(memory_format=torch.channels_last)
        former = fuse(network).to(memory_format=torch.channels_last)
        assert torch.equal(lean.to(memory_format=torch.channels_last)(x), former(x))


@pytest.mark.parametrize("name", ["efficientnet-lite0", "tf_efficientnet_lite0", "mobilenetv3_small_050"])
def test_networks_that_torch_fx_cannot_follow_are_folded_too(name: str) -> None:
    network = trained(untrained(backbone_named(name), 0))
    lean = folded(network, images(1))
    assert norms(lean) == 0
    assert relative_error(lean, network, images()) < 1e-5
    assert (
        relative_error(lean, network, images(2, 61)) < 1e-5
    )  # padding follows the images, whatever the example was


def test_a_network_without_batch_norm_is_copied() -> None:
    network = timm.create_model(
        "vit_small_patch14_dinov2", depth=1, embed_dim=24, num_heads=2, img_size=56, num_classes=0
    ).eval()
    copied = folded(network, images(1, 56))
    with torch.no_grad():
        assert torch.equal(copied(images(2, 56)), network(images(2, 56)))
    assert copied is not network


class Twice(nn.Module):
    """One batch norm after two convolutions, and a convolution whose output is read twice."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        out = self.first(x)
        if self.kind == "shared":
            return (self.norm(out) + self.norm(self.second(x))).mean(dim=(2, 3))
        if self.kind == "read":
            return (self.norm(out) + out).mean(dim=(2, 3))
        if self.kind == "changed":
            return self.norm(2 * out).mean(dim=(2, 3))
        return torch.cat([self.norm(out), nn.functional.relu(self.second(x))], 1).mean(dim=(2, 3))


@pytest.mark.parametrize("kind", ["shared", "read", "changed", "plain"])
def test_what_cannot_be_folded_stays(kind: str) -> None:
    torch.manual_seed(0)
    network = trained(Twice(kind))
    lean = folded(network, images(1))
    assert norms(lean) == (0 if kind == "plain" else 1)
    assert relative_error(lean, network, images()) < 1e-5
    assert norms(network) == 1


def test_a_convolution_that_does_more_than_padding_keeps_its_code() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            weight = (self.weight - self.weight.mean()) / self.weight.std()
            return nn.functional.conv2d(x, weight, self.bias, self.stride)

    torch.manual_seed(0)
    network = trained(
        nn.Sequential(Standardised(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    )
    lean = folded(network, images(1))
    assert norms(lean) == 1
    assert relative_error(lean, network, images()) < 1e-6
