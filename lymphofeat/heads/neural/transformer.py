"""Self-attention between the instances of a bag (Vaswani et al. 2017; on sets: Lee et al., ICML 2019): two layers.

Instances carry no position, and the layers' output is averaged, so that neither the order of the images nor showing
each of them twice changes the logit.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..registry import HeadType, TrialLike
from .estimator import FIRST, INPUTS, NeuralHead, suggest_training
from .network import Network, Parameters, Weight
from .packing import Pack, bag_mean, dense

__all__ = ["HEAD_TYPE", "InstanceTransformer", "TransformerNetwork", "attend_within_bags", "suggest"]

# Two attention heads: with four, the scores alone would take half of the time.
LAYERS, ATTENTION_HEADS = 2, 2
# A bag is padded by at most a quarter of its length to be computed along with others.
_PADDING = 1.25


class TransformerNetwork(Network):
    """Two pre-norm layers of width w = hidden (rounded up to an even number), 2 attention heads, ReLU, no dropout.

    Norms have no parameters of their own: the linear layer behind each could take them up.

    Args:
        hidden: w before rounding.
    """

    group = 4  # more arithmetic per call: a quarter less time at width 16, no loss at 64

    def __init__(self, hidden: int) -> None:
        self.width = -(-hidden // ATTENTION_HEADS) * ATTENTION_HEADS

    def weights(self, dim: int, clinical: int) -> dict[str, Weight]:
        """enter: dim → w; per layer l: mix_l (queries, keys, values), join_l, widen_l, narrow_l; logit."""
        w = self.width
        sizes = {"enter": (w, dim)}
        for layer in range(LAYERS):
            sizes |= {f"mix_{layer}": (3 * w, w), f"join_{layer}": (w, w)}
            sizes |= {f"widen_{layer}": (2 * w, w), f"narrow_{layer}": (w, 2 * w)}
        sizes["logit"] = (1, w + clinical)
        weights: dict[str, Weight] = {}
        for name, (out, into) in sizes.items():
            weights |= {name: Weight((out, into), into), f"{name}_bias": Weight((out,), into)}
        return weights

    def logits(self, parameters: Parameters, pack: Pack) -> Tensor:
        """(S,); see `Network`."""

        def linear(name: str, x: Tensor) -> Tensor:
            return dense(x, parameters[name], parameters[f"{name}_bias"], pack.heights, pack.rows.dtype)

        x = linear("enter", pack.rows)
        for layer in range(LAYERS):
            mixed = linear(f"mix_{layer}", F.layer_norm(x, x.shape[1:]))
            x = x + linear(f"join_{layer}", attend_within_bags(mixed, pack.lengths, ATTENTION_HEADS))
            widened = linear(f"widen_{layer}", F.layer_norm(x, x.shape[1:])).relu()
            x = x + linear(f"narrow_{layer}", widened)
        bag = torch.cat([bag_mean(F.layer_norm(x, x.shape[1:]), pack), pack.clinical], dim=1)
        return dense(bag, parameters["logit"], parameters["logit_bias"], pack.bags, torch.float32)[:, 0]


def attend_within_bags(mixed: Tensor, lengths: Tensor, heads: int) -> Tensor:
    """Scaled dot-product attention of every instance to those of its own bag.

    Bags of similar lengths are computed together, padded to the longest of them.

    Args:
        mixed: (N, 3w) queries, keys, values, side by side.
        lengths: (S,) int64 instances of each bag; they add up to N.
        heads: divides w.

    Returns:
        (N, w).
    """
    width = mixed.shape[1] // 3
    outputs, places = [], []
    for rows, mask in _buckets(lengths):
        b, longest = rows.shape
        # (b, longest, 3w) → three of (b, heads, longest, w / heads)
        bucket = mixed[rows.flatten()].view(b, longest, 3, heads, width // heads)
        q, k, v = bucket.permute(2, 0, 3, 1, 4)
        shown = None if bool(mask.all()) else mask[:, None, None, :]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=shown)
        outputs.append(out.transpose(1, 2).reshape(b, longest, width)[mask])
        places.append(rows[mask])
    inverse = torch.empty(len(mixed), dtype=torch.int64)
    inverse[torch.cat(places)] = torch.arange(len(mixed))
    return torch.cat(outputs)[inverse]


def _buckets(lengths: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Per bucket of bags, (b, longest) rows, and which of them are instances (the others repeat a bag's first)."""
    sizes = lengths.numpy()
    starts = np.cumsum(sizes) - sizes
    order = np.argsort(sizes, kind="stable")
    buckets = []
    first = 0
    while first < len(order):
        limit = sizes[order[first]] * _PADDING
        last = int(np.searchsorted(sizes[order], limit, side="right"))
        bags = order[first:last]
        within = np.arange(sizes[bags].max())
        mask = within < sizes[bags, None]
        rows = starts[bags, None] + np.where(mask, within, 0)
        buckets.append((torch.from_numpy(rows), torch.from_numpy(mask)))
        first = last
    return buckets


class InstanceTransformer(NeuralHead):
    """A two-layer transformer over instances; arguments as `NeuralHead`, `hidden` is the width of the layers."""

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def _network(self) -> Network:
        return TransformerNetwork(self.hidden)


def suggest(draws: TrialLike) -> dict[str, Any]:
    """Arguments of `InstanceTransformer` to try."""
    # Attention between n images costs n²: seeing a half or a quarter of them at a time makes it affordable.
    return suggest_training(draws, widths=(16, 32), dropouts=(0.5, 0.75), most_epochs=20)


HEAD_TYPE = HeadType(
    name="transformer",
    summary="Two layers of self-attention between the images of a patient, then their mean.",
    source="Vaswani et al., NeurIPS 2017; Lee et al., ICML 2019",
    cost="expensive",
    space=suggest,
    build=InstanceTransformer,
    default_params=({**FIRST, "instance_dropout": 0.75, "epochs": 15},),
    inputs=INPUTS,
    declared_values=True,
)
