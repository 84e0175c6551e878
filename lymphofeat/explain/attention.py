"""Attention heads: the weight of each image, and what it adds to the log-odds.

    logit = Σⱼ aⱼ kᵀxⱼ + vᵀ(clinical) + o      a = softmaxⱼ wᵀ(tanh(V xⱼ + b) ⊙ σ(U xⱼ + c))

(Ilse, Tomczak & Welling, ICML 2018; without the gate σ where the head has none.) aⱼ says how much the head looks at
image j, not which way it pulls; aⱼ kᵀxⱼ says both, x being the standardised coordinates of the instances. Additive
attention (Javed et al., NeurIPS 2022) has a function of the image in place of kᵀxⱼ. Of several members all are means.
"""

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ..cache.bags import Bags
from ..heads.neural.additive import AdditiveAttention
from ..heads.neural.attention import AttentionPooling, GatedAttention

__all__ = ["attention_of"]

Floats = NDArray[np.float64]


def attention_of(
    head: Any, bags: Bags, clinical: pd.DataFrame
) -> tuple[list[Floats], list[Floats] | None] | None:
    """Per patient (n_i,) contributions to the log-odds, and (n_i,) weights that add up to 1.

    The sum over a patient's images, the clinical part and the offset are the log-odds of a head with one member; of
    several members they are the mean of the members' log-odds.

    Returns:
        None for heads without attention; weights None where the head does not keep them apart.
    """
    if isinstance(head, AdditiveAttention):
        return head.contributions(bags), None
    if not isinstance(head, AttentionPooling | GatedAttention):
        return None
    data = head._tensors(head.coordinates_, head.clinical_, bags, clinical)
    views = head._layout(data).views(head.parameters_)
    gated, h = isinstance(head, GatedAttention), head.hidden
    rows = data.rows.to(head.parameters_.dtype)
    ends = np.cumsum(bags.lengths)[:-1].tolist()
    contributions, weights = [], []
    with torch.no_grad():
        for member in range(head.members):
            maps, bias, score = (views[name][member] for name in ("maps", "bias", "score"))
            attended = torch.tanh(rows @ maps[:h].T + bias[:h])
            if gated:
                attended = attended * torch.sigmoid(rows @ maps[h : 2 * h].T + bias[h:])
            scores, values = attended @ score, rows @ maps[-1]
            per_bag = torch.tensor_split(scores, ends)
            weights.append(torch.cat([torch.softmax(s, dim=0) for s in per_bag]))
            contributions.append(weights[-1] * values)
    mean_weights, mean_values = (
        torch.stack(each).mean(dim=0).double().numpy() for each in (weights, contributions)
    )
    return np.split(mean_values, ends), np.split(mean_weights, ends)
