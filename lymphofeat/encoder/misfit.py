"""Weights that are not of the network asked for: which network they are of, or what does not fit, in five lines."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..errors import InputError
from .backbone import Backbone
from .catalogue import EFFICIENTNET_LITE, installed

__all__ = ["misfit"]

_NAMED = 2  # of each kind of fault
# Of torchvision, which may be what a file holds though no backbone has their name; timm knows them by these names.
_KIN = (
    "resnet101",
    "resnet152",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "resnext50_32x4d",
    "resnext101_32x8d",
)


def misfit(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], backbone: Backbone) -> str:
    """What is wrong with the weights of a file, as what follows its name; "" if nothing is.

    Args:
        state: its weights, without the classifier.
        wanted: the network's.
        backbone: the network.
    """
    faults = _faults(state, wanted)
    if not faults:
        return ""
    count = sum(len(each) for each in faults.values())
    if "not finite" not in faults and (other := _recognised(state, backbone)):
        name, way = other
        return f"holds a {name}, not a {backbone.name}: {count} of its keys do not fit; {way}."
    first = (
        f"is not a {backbone.name} ({backbone.named_by}'s names): {count} keys do not fit; give the weights of this "
        "network, or its --backbone."
    )
    return "\n  ".join([first, *(f"{len(each)} {kind}: {_few(each)}" for kind, each in faults.items())])


def _faults(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Kind → keys with their shapes; only the kinds that there are."""
    needed = [key for key in wanted if not key.endswith("num_batches_tracked")]
    found = {
        "missing": [f"{key} {_shape(wanted[key])}" for key in needed if key not in state],
        "unexpected": [f"{key} {_shape(value)}" for key, value in state.items() if key not in wanted],
        "of another shape": [
            f"{key} is {_shape(state[key])}, should be {_shape(wanted[key])}"
            for key in wanted
            if key in state and state[key].shape != wanted[key].shape
        ],
        "not finite": [key for key, value in state.items() if not torch.isfinite(value).all()],
    }
    return {kind: each for kind, each in found.items() if each}


def _shape(value: Tensor) -> str:
    return str(tuple(value.shape))


def _few(faults: Sequence[str]) -> str:
    return ", ".join([*faults[:_NAMED], *(["…"] if len(faults) > _NAMED else [])])


def _recognised(state: Mapping[str, Tensor], backbone: Backbone) -> tuple[str, str] | None:
    """Another network that these weights fill, and what to do with them."""
    shapes = _shapes(state)
    for name, classifier, build, way in _others(backbone):
        with torch.device("meta"):  # shapes only
            wanted = _shapes(build().state_dict())
        if wanted == {key: shape for key, shape in shapes.items() if not key.startswith(classifier)}:
            return name, way
    return None


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {
        key: tuple(value.shape) for key, value in state.items() if not key.endswith("num_batches_tracked")
    }


def _others(backbone: Backbone) -> Iterator[tuple[str, str, Callable[[], nn.Module], str]]:
    """Name, beginning of the classifier's names, how to build it, and the way out."""
    import torchvision  # seconds, through torch._dynamo

    from .backbones import BACKBONES, backbone_named

    for name in (*BACKBONES, *([EFFICIENTNET_LITE] if installed("efficientnet_lite_pytorch") else ())):
        try:
            other = backbone_named(name)
        except InputError:
            continue
        if name != backbone.name:
            yield name, other.classifier, other.build, f"give --backbone {name}"
    for name in _KIN:

        def build(name: str = name) -> nn.Module:
            network: nn.Module = torchvision.models.get_model(name, weights=None)
            network.fc = nn.Identity()
            return network

        extra = "" if installed("timm") else " and install lymphofeat[timm]"
        yield name, "fc.", build, f"give --backbone {name}{extra}"
