"""DeepSets (Zaheer et al., NeurIPS 2017): ρ(mean of φ(x_j), clinical).

The mean stands where the paper has a sum, so that the number of images tells nothing.
"""

from typing import Any

import torch
from torch import Tensor

from ..registry import HeadType, TrialLike
from .estimator import FIRST, INPUTS, NeuralHead, suggest_training
from .network import Network, Parameters, Weight
from .packing import Pack, bag_mean, dense

__all__ = ["HEAD_TYPE", "DeepSets", "DeepSetsNetwork", "suggest"]


class DeepSetsNetwork(Network):
    """φ: two layers with ReLU on each instance; ρ: one hidden layer with ReLU on the bag.

    Args:
        hidden: width of every layer.
    """

    group = 4  # more arithmetic per call: a quarter less time at width 16, no loss at 64

    def __init__(self, hidden: int) -> None:
        self.hidden = hidden

    def weights(self, dim: int, clinical: int) -> dict[str, Weight]:
        """inner and outer: the layers of φ; bag and logit: those of ρ; each with its bias."""
        h = self.hidden
        return {
            "inner": Weight((h, dim), dim),
            "inner_bias": Weight((h,), dim),
            "outer": Weight((h, h), h),
            "outer_bias": Weight((h,), h),
            "bag": Weight((h, h + clinical), h + clinical),
            "bag_bias": Weight((h,), h + clinical),
            "logit": Weight((1, h), h),
            "logit_bias": Weight((1,), h),
        }

    def logits(self, parameters: Parameters, pack: Pack) -> Tensor:
        """(S,); see `Network`."""
        p, dtype = parameters, pack.rows.dtype
        x = dense(pack.rows, p["inner"], p["inner_bias"], pack.heights, dtype).relu()
        x = dense(x, p["outer"], p["outer_bias"], pack.heights, dtype).relu()
        bag = torch.cat([bag_mean(x, pack), pack.clinical], dim=1)
        bag = dense(bag, p["bag"], p["bag_bias"], pack.bags, torch.float32).relu()
        return dense(bag, p["logit"], p["logit_bias"], pack.bags, torch.float32)[:, 0]


class DeepSets(NeuralHead):
    """DeepSets with mean pooling; arguments as `NeuralHead`."""

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def _network(self) -> Network:
        return DeepSetsNetwork(self.hidden)


def suggest(draws: TrialLike) -> dict[str, Any]:
    """Arguments of `DeepSets` to try."""
    return suggest_training(draws)


HEAD_TYPE = HeadType(
    name="deepsets",
    summary="Two layers on every image, their mean over the bag, two layers on the mean and the clinical values.",
    source="Zaheer et al., NeurIPS 2017",
    cost="expensive",
    space=suggest,
    build=DeepSets,
    default_params=(FIRST,),
    inputs=INPUTS,
    declared_values=True,
)
