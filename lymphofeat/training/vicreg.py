"""VICReg: features learnt from two views of each image, without labels.

Bardes, Ponce & LeCun, VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning, ICLR 2022.
The two views of an image should have equal embeddings (invariance), while each dimension keeps its spread over the
images of the step (variance) and tells what the others do not (covariance).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ViewNetwork", "vicreg_terms"]

_INVARIANCE, _VARIANCE, _COVARIANCE = 25.0, 25.0, 1.0  # the paper's weights
_EPSILON = 1e-4  # under the root of the variance, as in the authors' code


class ViewNetwork(nn.Module):
    """A backbone and the expander on its features, which training needs and encoding does not.

    Args:
        backbone: (B, 3, crop, crop) → (B, D).
        dim: D.
        widths: of the expander's linear layers; all but the last are followed by batch norm and ReLU.
        seed: of the expander's weights.
    """

    def __init__(self, backbone: nn.Module, dim: int, widths: tuple[int, ...], seed: int) -> None:
        super().__init__()
        self.backbone, self.dim = backbone, dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.expander = _expander(dim, widths)


def _expander(dim: int, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths[:-1]:
        layers += [nn.Linear(dim, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        dim = width
    return nn.Sequential(*layers, nn.Linear(dim, widths[-1], bias=False))


def vicreg_terms(one: Tensor, other: Tensor) -> tuple[Tensor, dict[str, float]]:
    """The loss of B images from (B, E) float32 embeddings of two views, and its parts.

    Returns:
        The scalar loss; `invariance` (mean squared distance), `variance` (mean shortfall of each dimension's deviation
        from 1: near 1 where all images look alike), `covariance` (squared, off the diagonal, over E), unweighted.
    """
    invariance = F.mse_loss(one, other)
    variance = (_shortfall(one) + _shortfall(other)) / 2
    covariance = _off_diagonal(one) + _off_diagonal(other)
    loss = _INVARIANCE * invariance + _VARIANCE * variance + _COVARIANCE * covariance
    parts = {"invariance": invariance, "variance": variance, "covariance": covariance}
    return loss, {name: part.item() for name, part in parts.items()}


def _shortfall(embedded: Tensor) -> Tensor:
    return F.relu(1 - torch.sqrt(embedded.var(0) + _EPSILON)).mean()


def _off_diagonal(embedded: Tensor) -> Tensor:
    centred = embedded - embedded.mean(0)
    covariance = centred.T @ centred / (len(embedded) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / embedded.shape[1]
