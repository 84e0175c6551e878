"""Additive attention (Javed et al., NeurIPS 2022): a bag's logit is a sum of what its instances say.

    logit = Σ_j a_j ψ(x_j) + vᵀ(clinical) + o        a by gated attention (see `attention`)

so that a_j ψ(x_j) is exactly what image j contributes. The paper writes Σ_j ψ(a_j x_j), which changes when every
image is there twice; with a_j in front it does not, and where ψ is linear along rays (ReLU without biases) the two are
the same.
"""

from typing import Any

import torch
from torch import Tensor

from ..registry import HeadType, TrialLike
from .estimator import FIRST, INPUTS, suggest_training
from .network import Parameters, Weight
from .packing import Pack, bag_softmax, bag_sum, dense
from .summed import SummedHead, SummedNetwork

__all__ = ["HEAD_TYPE", "AdditiveAttention", "AdditiveNetwork", "suggest"]


class AdditiveNetwork(SummedNetwork):
    """See the module; ψ has one hidden layer with ReLU.

    Args:
        hidden: width of the attention and of ψ.
    """

    group = 4  # more arithmetic per call: a quarter less time at width 16, no loss at 64

    def __init__(self, hidden: int) -> None:
        self.hidden = hidden

    def weights(self, dim: int, clinical: int) -> dict[str, Weight]:
        """maps: attention, gate and ψ's layer in rows; score, value: what their outputs are weighed with."""
        h = self.hidden
        return {
            "maps": Weight((3 * h, dim), dim),
            "bias": Weight((3 * h,), dim),
            "score": Weight((h,), h),
            "value": Weight((h,), h),
            "value_bias": Weight((1,), h),
            "clinical": Weight((clinical,), dim + clinical),
            "offset": Weight((1,), dim + clinical),
        }

    def logits(self, parameters: Parameters, pack: Pack) -> Tensor:
        """(S,); see `Network`."""
        of_bag = pack.model_of_bag
        clinical = (pack.clinical * parameters["clinical"][of_bag]).sum(1)
        added, _ = self.contributions(parameters, pack)
        return bag_sum(added, pack) + clinical + parameters["offset"][of_bag, 0]

    def contributions(self, parameters: Parameters, pack: Pack) -> tuple[Tensor, None]:
        """(N,) a_j ψ(x_j): what each instance adds to the logit of its bag."""
        h, of_row = self.hidden, pack.model_of_bag[pack.bag_of_row]
        mapped = dense(pack.rows, parameters["maps"], parameters["bias"], pack.heights, pack.rows.dtype)
        # 2σ(2x) − 1 = tanh(x), several times as fast.
        attended = (2 * torch.sigmoid(2 * mapped[:, :h]) - 1) * torch.sigmoid(mapped[:, h : 2 * h])
        score = (attended * parameters["score"][of_row]).sum(1)
        value = (mapped[:, 2 * h :].relu() * parameters["value"][of_row]).sum(1)
        return bag_softmax(score, pack) * (value + parameters["value_bias"][of_row, 0]), None


class AdditiveAttention(SummedHead):
    """Additive attention; arguments as `NeuralHead`, `hidden` is the width of the attention and of ψ."""

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def _network(self) -> SummedNetwork:
        return AdditiveNetwork(self.hidden)


def suggest(draws: TrialLike) -> dict[str, Any]:
    """Arguments of `AdditiveAttention` to try."""
    return suggest_training(draws)


HEAD_TYPE = HeadType(
    name="additive",
    summary="Attention over scores of single images: the log-odds are a sum over images, so each share is exact.",
    source="Javed et al., NeurIPS 2022",
    cost="expensive",
    space=suggest,
    build=AdditiveAttention,
    default_params=(FIRST,),
    inputs=INPUTS,
    declared_values=True,
)
