"""What a backbone is: a network by name, and how its images are prepared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Backbone"]


IMAGENET_MEAN = (0.485, 0.456, 0.406)


IMAGENET_STD = (0.229, 0.224, 0.225)


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
    """

    name: str
    dim: int
    build: Callable[[], nn.Module]
    imagenet: str
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    classifier: str = "fc."
    imagenet_state: Callable[[], Mapping[str, Tensor]] | None = None
