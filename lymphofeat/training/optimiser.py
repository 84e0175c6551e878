"""Optimiser and learning rate of a recipe."""

import math
import re

import torch
from torch import nn

from .recipe import OptimiserRecipe, ScheduleRecipe

__all__ = ["make_optimiser", "rate_factor", "set_rate"]

_MOMENTUM = 0.9


def make_optimiser(
    backbone: nn.Module, heads: nn.Module, recipe: OptimiserRecipe, device: torch.device
) -> torch.optim.Optimizer:
    """The optimiser over the parameters that need a gradient.

    Stage s of S of the backbone has the rate lr · layer_decay^(S − s) (Howard & Ruder, ULMFiT, 2018; as used for image
    networks by Bao et al., BEiT, 2021), the heads lr · head_factor. Biases and batch norm are not decayed.
    """
    stages = _stages(backbone)
    depths = [recipe.lr * recipe.layer_decay ** (len(stages) - 1 - s) for s in range(len(stages))]
    rated = [*zip(stages, depths, strict=True), ([heads], recipe.lr * recipe.head_factor)]
    groups = []
    for modules, rate in rated:
        parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        for decay, chosen in (
            (recipe.weight_decay, [p for p in parameters if p.ndim > 1]),
            (0.0, [p for p in parameters if p.ndim <= 1]),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": rate, "rate": rate, "weight_decay": decay})
    if recipe.kind == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=_MOMENTUM, foreach=True)
    kind = torch.optim.Adam if recipe.kind == "adam" else torch.optim.AdamW
    return kind(groups, lr=recipe.lr, fused=device.type in ("cpu", "cuda"))


def set_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to its own times `factor`."""
    for group in optimiser.param_groups:
        group["lr"] = group["rate"] * factor


def rate_factor(schedule: ScheduleRecipe, at: float, epochs: int) -> float:
    """What the learning rates are multiplied with, `at` epochs after the beginning of `epochs`.

    "step" and "exponential" change between epochs, warm-up and "cosine" (Loshchilov & Hutter 2017) with every step. It
    depends on nothing but the place, so that a resumed run needs no memory of it.
    """
    if at < schedule.warm_up:
        return max(at, 1e-3) / schedule.warm_up
    if schedule.kind == "step":
        return schedule.factor ** (int(at) // schedule.every)
    if schedule.kind == "exponential":
        return schedule.factor ** int(at)
    if schedule.kind == "cosine":
        done = (at - schedule.warm_up) / max(epochs - schedule.warm_up, 1e-9)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return 1.0


def _stages(backbone: nn.Module) -> list[list[nn.Module]]:
    """The backbone's parts with parameters, from the image up; a resnet's first convolution and norm are one."""
    stages: list[list[nn.Module]] = []
    for name, child in backbone.named_children():
        if any(True for _ in child.parameters()):
            if stages and re.fullmatch(r"bn\d*", name):
                stages[-1].append(child)
            else:
                stages.append([child])
    return stages
