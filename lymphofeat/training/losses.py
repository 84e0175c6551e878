"""Losses over the patients of a step, from the outputs of a `PatientNetwork`.

Every loss is a mean or ratio over patients, whose targets are 0 and 1, smoothed to s/2 and 1 − s/2.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .recipe import LossRecipe

__all__ = ["Outputs", "class_weights", "patient_loss", "probability"]


class Outputs(NamedTuple):
    """What a network says of P patients.

    Attributes:
        logits: (P, E) float32: one output for the image, and one for the clinical values where they have their own.
        log_gate: (P, E) float32 logarithms of the experts' shares, or None where the outputs are not gated.
    """

    logits: Tensor
    log_gate: Tensor | None = None


def probability(outputs: Outputs) -> Tensor:
    """(P,) float32 P(malignant): the experts' probabilities averaged, by the gate where there is one."""
    each = torch.sigmoid(outputs.logits)
    if outputs.log_gate is None:
        return each.mean(1)
    return (outputs.log_gate.exp() * each).sum(1)


def class_weights(labels: Tensor, *, balanced: bool) -> Tensor:
    """(2,) float32 weights of reactive and malignant patients, of mean 1 over (n,) `labels`; equal unless balanced."""
    if not balanced:
        return torch.ones(2)
    counts = torch.bincount(labels.long(), minlength=2).to(torch.float32)
    return len(labels) / (2 * counts.clamp(min=1))


def patient_loss(outputs: Outputs, labels: Tensor, recipe: LossRecipe, weights: Tensor) -> Tensor:
    """The scalar loss of P patients.

    Args:
        outputs: of the patients.
        labels: (P,) 0 or 1.
        recipe: kind and smoothing.
        weights: (2,) of the classes.
    """
    hard = labels.to(torch.float32)
    target = hard * (1 - recipe.label_smoothing) + recipe.label_smoothing / 2
    weight = weights.to(hard.device)[labels.long()]
    if outputs.log_gate is not None:
        return (weight * _mixture_nll(outputs.logits, outputs.log_gate, target)).mean()
    losses = [_output_loss(logits, target, weight, recipe.kind) for logits in outputs.logits.unbind(1)]
    return torch.stack(losses).sum()


def _output_loss(logits: Tensor, target: Tensor, weight: Tensor, kind: str) -> Tensor:
    if kind == "bce":
        return (weight * F.binary_cross_entropy_with_logits(logits, target, reduction="none")).mean()
    # Milletari et al., V-Net, 2016, with the patients of the step in the place of voxels; 1 keeps it defined
    p = torch.sigmoid(logits)
    return 1 - (2 * (weight * p * target).sum() + 1) / ((weight * (p + target)).sum() + 1)


def _mixture_nll(logits: Tensor, log_gate: Tensor, target: Tensor) -> Tensor:
    """(P,) −t log Σ g σ(z) − (1 − t) log Σ g σ(−z) (Jacobs et al. 1991, for Bernoulli experts)."""
    malignant = torch.logsumexp(log_gate + F.logsigmoid(logits), 1)
    reactive = torch.logsumexp(log_gate + F.logsigmoid(-logits), 1)
    return -(target * malignant + (1 - target) * reactive)
