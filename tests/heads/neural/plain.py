"""The loop that everyone writes: bag by bag, autograd, torch's own modules. The reference of the batched models."""

import numpy as np
import torch
from torch import Tensor, nn

from lymphofeat.heads.neural.batched import Model, Schedule
from lymphofeat.heads.neural.order import epoch_minibatches


class PlainAttention(nn.Module):
    def __init__(self, dim: int, clinical: int, hidden: int, *, gated: bool) -> None:
        super().__init__()
        self.v, self.w = nn.Linear(dim, hidden), nn.Linear(hidden, 1, bias=False)
        self.u = nn.Linear(dim, hidden) if gated else None
        self.out = nn.Linear(dim + clinical, 1)

    def weigh(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.v(x))
        if self.u is not None:
            hidden = hidden * torch.sigmoid(self.u(x))
        return torch.softmax(self.w(hidden)[:, 0], 0)

    def forward(self, x: Tensor, clinical: Tensor) -> Tensor:
        return self.out(torch.cat([self.weigh(x) @ x, clinical]))[0]

    def load(self, p: dict[str, Tensor]) -> None:
        h = len(self.v.weight)
        copy(self.v, p["maps"][:h], p["bias"][:h])
        copy(self.w, p["score"][None])
        if self.u is not None:
            copy(self.u, p["maps"][h : 2 * h], p["bias"][h:])
        copy(self.out, torch.cat([p["maps"][-1], p["clinical"]])[None], p["offset"])


class PlainAdditive(nn.Module):
    def __init__(self, dim: int, clinical: int, hidden: int) -> None:
        super().__init__()
        self.attention = PlainAttention(dim, 0, hidden, gated=True)
        self.inner, self.outer = nn.Linear(dim, hidden), nn.Linear(hidden, 1)
        self.clinical = nn.Linear(clinical, 1)

    def contributions(self, x: Tensor) -> Tensor:
        return self.attention.weigh(x) * self.outer(torch.relu(self.inner(x)))[:, 0]

    def forward(self, x: Tensor, clinical: Tensor) -> Tensor:
        return self.contributions(x).sum() + self.clinical(clinical)[0]

    def load(self, p: dict[str, Tensor]) -> None:
        h = len(p["score"])
        copy(self.attention.v, p["maps"][:h], p["bias"][:h])
        copy(self.attention.u, p["maps"][h : 2 * h], p["bias"][h : 2 * h])
        copy(self.attention.w, p["score"][None])
        copy(self.inner, p["maps"][2 * h :], p["bias"][2 * h :])
        copy(self.outer, p["value"][None], p["value_bias"])
        copy(self.clinical, p["clinical"][None], p["offset"])


class PlainDeepSets(nn.Module):
    def __init__(self, dim: int, clinical: int, hidden: int) -> None:
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.rho = nn.Sequential(nn.Linear(hidden + clinical, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, x: Tensor, clinical: Tensor) -> Tensor:
        return self.rho(torch.cat([self.phi(x).mean(0), clinical]))[0]

    def load(self, p: dict[str, Tensor]) -> None:
        layers = {"inner": self.phi[0], "outer": self.phi[2], "bag": self.rho[0], "logit": self.rho[2]}
        for name, layer in layers.items():
            copy(layer, p[name], p[f"{name}_bias"])


class PlainTransformer(nn.Module):
    """With torch's own encoder layers; their norms' factors stay 1 and 0, as those are not trained here."""

    def __init__(self, dim: int, clinical: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(dim, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 2, 2 * width, dropout=0.0, activation="relu", batch_first=True, norm_first=True
            )
            for _ in range(2)
        )
        for layer in self.layers:
            for norm in (layer.norm1, layer.norm2):
                norm.requires_grad_(requires_grad=False)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.out = nn.Linear(width + clinical, 1)

    def forward(self, x: Tensor, clinical: Tensor) -> Tensor:
        y = self.enter(x)[None]
        for layer in self.layers:
            y = layer(y)
        return self.out(torch.cat([self.norm(y[0]).mean(0), clinical]))[0]

    def load(self, p: dict[str, Tensor]) -> None:
        copy(self.enter, p["enter"], p["enter_bias"])
        copy(self.out, p["logit"], p["logit_bias"])
        for i, layer in enumerate(self.layers):
            layer.self_attn.in_proj_weight.data.copy_(p[f"mix_{i}"])
            layer.self_attn.in_proj_bias.data.copy_(p[f"mix_{i}_bias"])
            copy(layer.self_attn.out_proj, p[f"join_{i}"], p[f"join_{i}_bias"])
            copy(layer.linear1, p[f"widen_{i}"], p[f"widen_{i}_bias"])
            copy(layer.linear2, p[f"narrow_{i}"], p[f"narrow_{i}_bias"])


def copy(layer: nn.Linear, weight: Tensor, bias: Tensor | None = None) -> None:
    """Set a layer's values."""
    layer.weight.data.copy_(weight)
    if bias is not None:
        layer.bias.data.copy_(bias)


def train_plainly(module: nn.Module, model: Model, schedule: Schedule) -> None:
    """One model, one bag at a time."""
    optimizer = torch.optim.AdamW(
        [p for p in module.parameters() if p.requires_grad],
        lr=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
    )
    shares = len(model.y) / (2 * np.bincount(model.y, minlength=2)) if schedule.balanced else np.ones(2)
    lengths = model.data.lengths[model.train]
    for epoch in range(schedule.epochs):
        for batch in epoch_minibatches(model.seed, epoch, lengths, schedule.batch_size, schedule.dropout):
            optimizer.zero_grad()
            for i, b in enumerate(batch.bags):
                x, clinical = bag_of(model, model.train[b])
                x = x if batch.kept is None else x[torch.from_numpy(batch.kept[i])]
                y = torch.tensor(float(model.y[b]))
                loss = nn.functional.binary_cross_entropy_with_logits(module(x, clinical), y)
                (loss * float(shares[model.y[b]]) / len(batch.bags)).backward()
            optimizer.step()


def bag_of(model: Model, position: int) -> tuple[Tensor, Tensor]:
    """(n_i, d) instances and (c,) clinical values of one patient."""
    start = int(model.data.starts[position])
    return (
        model.data.rows[start : start + int(model.data.lengths[position])],
        model.data.clinical[position],
    )
