"""What a network over bags is: named parameters with a leading model axis, logits of a pack, their gradient."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod, sqrt

import torch
from torch import Tensor

from .packing import Pack

__all__ = ["Layout", "Network", "Parameters", "Residual", "Weight"]

Parameters = Mapping[str, Tensor]
# (S,) logits → (S,) derivative of the loss by each of them.
Residual = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Weight:
    """One parameter: its shape in a single model, and over how many values its products are summed."""

    shape: tuple[int, ...]
    fan_in: int


class Layout:
    """Where the parameters of a model lie in one flat row, so that an optimiser step is one launch.

    Args:
        weights: by name, in this order.

    Attributes:
        size: P, numbers of a model.
    """

    def __init__(self, weights: Mapping[str, Weight]) -> None:
        self._weights = dict(weights)
        self.size = sum(prod(w.shape) for w in weights.values())

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """(G, P) → by name, (G, *shape) views of it."""
        sizes = [prod(w.shape) for w in self._weights.values()]
        blocks = flat.split_with_sizes(sizes, dim=1)
        named = zip(self._weights.items(), blocks, strict=True)
        return {name: block.view(len(flat), *weight.shape) for (name, weight), block in named}

    def draw(self, seed: int) -> Tensor:
        """(P,) float32 first values, uniform within ±1/√fan_in as in torch's own linear layers."""
        generator = torch.Generator().manual_seed(seed)
        blocks = [
            (2 * torch.rand(prod(w.shape), generator=generator) - 1) / sqrt(max(w.fan_in, 1))
            for w in self._weights.values()
        ]
        return torch.cat(blocks)


class Network(ABC):
    """A kind of network; holds no parameters, so that one object serves all models at the same time.

    Attributes:
        group: how many models are computed by one launch at most.
    """

    group: int = 1

    @abstractmethod
    def weights(self, dim: int, clinical: int) -> dict[str, Weight]:
        """The parameters for instances of `dim` and `clinical` (maybe 0) values a patient."""

    @abstractmethod
    def logits(self, parameters: Parameters, pack: Pack) -> Tensor:
        """(S,) float32 logits of malignant, differentiable; parameters are (G, …)."""

    def gradient(self, parameters: Parameters, gradient: Parameters, pack: Pack, residual: Residual) -> None:
        """Write the gradient of the loss to `gradient`, tensors of the parameters' shapes.

        The loss is known by its derivative by the logits only.
        """
        leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        with torch.enable_grad():
            logits = self.logits(leaves, pack)
        found = torch.autograd.grad(logits, list(leaves.values()), residual(logits.detach()))
        for name, values in zip(leaves, found, strict=True):
            gradient[name].copy_(values)
