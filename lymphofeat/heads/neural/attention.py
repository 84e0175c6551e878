"""Attention and gated attention pooling (Ilse, Tomczak & Welling, ICML 2018), with the gradient in closed form.

    a_j = softmax_j wᵀ(tanh(V x_j + b) ⊙ σ(U x_j + c))      z = Σ_j a_j x_j      logit = kᵀz + vᵀ(clinical) + o

Three things make it quick. kᵀz = Σ_j a_j kᵀx_j, so that k is one more row of the matrix [V; U; k] and a step is one
product of it with the instances and one of its gradient; pooling itself never touches them. tanh(x) = 2σ(2x) − 1, and
the vectorised logistic function is several times as fast as tanh. The gradient of three factors is a handful of
multiplications in place, where autograd keeps and walks through a dozen arrays. (A bias of the scores a would cancel in
the softmax; there is none.)
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..registry import HeadType, TrialLike
from .estimator import FIRST, INPUTS, suggest_training
from .network import Parameters, Residual, Weight
from .packing import Pack, bag_softmax, bag_sum
from .summed import SummedHead, SummedNetwork

__all__ = ["HEAD_TYPE", "AttentionNetwork", "AttentionPooling", "GatedAttention", "build", "suggest"]


class _Forward(NamedTuple):
    """One model's way from instances to logits; `gate` and `product` are `squashed` itself where there is no gate."""

    hidden: Tensor  # (m·h + 1, n): σ(2(Vx + b)), with a gate σ(Ux + c), and kᵀx, in rows
    squashed: Tensor  # (h, n) s = σ(2(Vx + b)), a view of `hidden`
    gate: Tensor | None  # (h, n) u = σ(Ux + c), a view of `hidden`
    product: Tensor  # (h, n) s ⊙ u, or s
    weights: Tensor  # (n,) a
    pooled: Tensor  # (S,) kᵀz
    logits: Tensor  # (S,)


class AttentionNetwork(SummedNetwork):
    """See the module.

    Args:
        hidden: h, rows of V and of U.
        gated: whether there is a gate σ(Ux + c).
    """

    def __init__(self, hidden: int, *, gated: bool) -> None:
        self.hidden, self.gated = hidden, gated
        rows = [2.0] * hidden + [1.0] * (hidden * gated + 1)
        self._inner = torch.tensor(rows)[:, None]  # of tanh(x) = 2σ(2x) − 1, the inner 2

    def weights(self, dim: int, clinical: int) -> dict[str, Weight]:
        """maps: V, U and k in rows; bias: b and c; score: w; clinical: v; offset: o."""
        rows = self.hidden * (1 + self.gated)
        return {
            "maps": Weight((rows + 1, dim), dim),
            "bias": Weight((rows,), dim),
            "score": Weight((self.hidden,), self.hidden),
            "clinical": Weight((clinical,), dim + clinical),
            "offset": Weight((1,), dim + clinical),
        }

    def logits(self, parameters: Parameters, pack: Pack) -> Tensor:
        """(S,) logits; not differentiable, see `gradient`."""
        with torch.no_grad():
            models = zip(_each_model(parameters), pack.models(), strict=True)
            return torch.cat([self._forward(p, part).logits for p, part in models])

    def contributions(self, parameters: Parameters, pack: Pack) -> tuple[Tensor, Tensor]:
        """(N,) a_j kᵀx_j, and (N,) a_j; not differentiable."""
        with torch.no_grad():
            (model,) = _each_model(parameters)
            forward = self._forward(model, pack)
            return forward.weights * forward.hidden[-1], forward.weights

    def gradient(self, parameters: Parameters, gradient: Parameters, pack: Pack, residual: Residual) -> None:
        """In closed form; see `Network`."""
        with torch.no_grad():
            models = list(zip(_each_model(parameters), pack.models(), strict=True))
            forward = [self._forward(p, part) for p, part in models]
            residuals = residual(torch.cat([f.logits for f in forward])).split_with_sizes(list(pack.bags))
            for (p, part), f, r, g in zip(models, forward, residuals, _each_model(gradient), strict=True):
                self._backward(p, g, part, f, r)

    def _forward(self, p: Parameters, pack: Pack) -> _Forward:
        h = self.hidden
        maps = (p["maps"] * self._inner).to(pack.rows.dtype)
        hidden = torch.mm(maps, pack.rows.t()).to(p["maps"].dtype)
        hidden[:-1].add_(p["bias"][:, None] * self._inner[:-1]).sigmoid_()
        squashed, gate = hidden[:h], hidden[h : 2 * h] if self.gated else None
        product = squashed if gate is None else squashed * gate
        # wᵀ((2s − 1) ⊙ u); without a gate the −1 cancels in the softmax.
        scores = 2 * torch.mv(product.t(), p["score"])
        if gate is not None:
            scores -= torch.mv(gate.t(), p["score"])
        weights = bag_softmax(scores, pack)
        pooled = bag_sum(weights * hidden[-1], pack)
        logits = pooled + pack.clinical @ p["clinical"] + p["offset"]
        return _Forward(hidden, squashed, gate, product, weights, pooled, logits)

    def _backward(self, p: Parameters, g: Parameters, pack: Pack, f: _Forward, r: Tensor) -> None:
        """Sets g; uses up f.hidden."""
        h, bag, (hidden, s, u, product, *_) = self.hidden, pack.bag_of_row, f
        of_value = f.weights * r[bag]  # dL/d(kᵀx_j)
        of_score = of_value * (hidden[-1] - f.pooled[bag])  # dL/d(a's logit)
        q = product * of_score
        factor = torch.ones(hidden.shape[0], 1, dtype=hidden.dtype)
        factor[:h, 0] = 4 * p["score"]
        torch.mul(q.sum(1), 2, out=g["score"])
        if u is not None:
            t = u * of_score
            g["score"].sub_(t.sum(1))
            factor[h : 2 * h, 0] = 2 * p["score"]
            torch.addcmul(q, q, s, value=-1, out=s)  # s(1 − s) u δ; its factor 4w waits for the product
            q.sub_(t, alpha=0.5)
            torch.addcmul(q, q, u, value=-1, out=u)  # (s − ½) u (1 − u) δ; its factor is 2w
        else:
            torch.addcmul(q, q, s, value=-1, out=s)
        hidden[-1] = of_value
        if pack.rows.dtype == hidden.dtype:
            torch.mm(hidden, pack.rows, out=g["maps"])
        else:
            g["maps"].copy_(torch.mm(hidden.to(pack.rows.dtype), pack.rows))
        g["maps"].mul_(factor)
        torch.mul(hidden[:-1].sum(1), factor[:-1, 0], out=g["bias"])
        torch.mv(pack.clinical.t(), r, out=g["clinical"])
        g["offset"].copy_(r.sum())


def _each_model(parameters: Parameters) -> list[dict[str, Tensor]]:
    count = len(next(iter(parameters.values())))
    return [{name: p[k] for name, p in parameters.items()} for k in range(count)]


class AttentionPooling(SummedHead):
    """Attention pooling and a linear classifier; arguments as `NeuralHead`, `hidden` is the width of the attention."""

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def _network(self) -> SummedNetwork:
        return AttentionNetwork(self.hidden, gated=False)


class GatedAttention(SummedHead):
    """Gated attention pooling and a linear classifier; arguments as `NeuralHead`, `hidden` as `AttentionPooling`."""

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def _network(self) -> SummedNetwork:
        return AttentionNetwork(self.hidden, gated=True)


def suggest(draws: TrialLike) -> dict[str, Any]:
    """`gated`, and arguments of `AttentionPooling` or `GatedAttention` to try."""
    return {"gated": draws.suggest_categorical("gated", (True, False))} | suggest_training(draws)


def build(*, gated: bool, **arguments: Any) -> SummedHead:
    """The head of a point of `suggest`."""
    return GatedAttention(**arguments) if gated else AttentionPooling(**arguments)


HEAD_TYPE = HeadType(
    name="attention",
    summary="Weights every image by a small network, gated or not, and classifies the weighted mean.",
    source="Ilse, Tomczak & Welling, ICML 2018",
    cost="expensive",
    space=suggest,
    build=build,
    default_params=({"gated": True, **FIRST},),
    inputs=INPUTS,
    declared_values=True,
)
