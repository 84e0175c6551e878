"""What a backbone is: a network by name, and how its images are prepared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from .preparation import IMAGENET_MEAN, IMAGENET_STD

__all__ = ["Backbone", "Layout"]


@dataclass(frozen=True)
class Layout:
    """How files name a network's weights.

    Attributes:
        name: for people.
        prefix: what stands before the names; a layout is known by its `cls_token`.
        dropped: names, or beginnings of names, of what only training uses.
        renamed: (regular expression, replacement) of names without the prefix.
    """

    name: str
    prefix: str
    dropped: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Backbone:
    """A network by name.

    Attributes:
        name: as users type it.
        dim: D, the width of its feature vector after global average pooling.
        build: makes it untrained, its classifier replaced by the identity: (B, 3, H, W) → (B, D).
        imagenet: the name of torchvision's weights for it; "" where there are none.
        mean, std: per channel, of pixels scaled to [0, 1], that its weights were trained with.
        classifier: what the names of the classifier's weights start with; they are left out.
        imagenet_state: fetches the ImageNet weights of a network that is not torchvision's.
        named_by: whose names its weights have, for messages.
        input_size: px, the only side of images that it takes; None: any.
        layouts: in which its weights are published. A network with layouts keeps no numbers but its parameters.
    """

    name: str
    dim: int
    build: Callable[[], nn.Module]
    imagenet: str
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    classifier: str = "fc."
    imagenet_state: Callable[[], Mapping[str, Tensor]] | None = None
    named_by: str = "torchvision"
    input_size: int | None = None
    layouts: tuple[Layout, ...] = ()
