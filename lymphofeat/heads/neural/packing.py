"""Ragged bags of several models, one behind the other: no padding, no row computed that is not a cell.

Shapes: G models trained together, S bags of all of them (model by model), N instances of all bags (bag by bag).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["BagTensors", "Pack", "bag_mean", "bag_softmax", "bag_sum", "dense"]


@dataclass(frozen=True)
class BagTensors:
    """All patients that one split needs, in the coordinates of that split.

    Attributes:
        rows: (n_rows, d) float32 or bfloat16, bags one behind the other.
        lengths: (n,) int64 instances of each bag, all ≥ 1.
        clinical: (n, c) float32, c may be 0.
    """

    rows: Tensor
    lengths: NDArray[np.int64]
    clinical: Tensor

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """(n,) first row of each bag."""
        return np.cumsum(self.lengths) - self.lengths

    def take(self, bags: NDArray[np.int64], kept: Sequence[NDArray[np.int64]] | None = None) -> "Pack":
        """The bags in this order as the pack of one model.

        Args:
            bags: (b,) positions.
            kept: per bag, the instances of it that are taken; None: all.
        """
        if kept is None:
            pairs = zip(self.starts[bags].tolist(), self.lengths[bags].tolist(), strict=True)
            slices = [self.rows[start : start + length] for start, length in pairs]
            rows = torch.cat(slices) if slices else self.rows[:0]
            lengths = self.lengths[bags]
        else:
            where = [self.starts[b] + k for b, k in zip(bags, kept, strict=True)]
            chosen = np.concatenate([np.empty(0, dtype=np.int64), *where])
            rows = self.rows.index_select(0, torch.from_numpy(chosen))
            lengths = np.array([len(k) for k in kept], dtype=np.int64)
        clinical = self.clinical.index_select(0, torch.from_numpy(bags))
        return Pack(rows, torch.from_numpy(lengths), clinical, (rows.shape[0],), (len(bags),))


@dataclass(frozen=True)
class Pack:
    """One minibatch of each of G models.

    Attributes:
        rows: (N, d) float32 or bfloat16, the dtype that matrices are multiplied in.
        lengths: (S,) int64.
        clinical: (S, c) float32.
        heights: per model, its rows; they add up to N.
        bags: per model, its bags; they add up to S.
    """

    rows: Tensor
    lengths: Tensor
    clinical: Tensor
    heights: tuple[int, ...]
    bags: tuple[int, ...]

    @classmethod
    def join(cls, packs: Sequence["Pack"]) -> "Pack":
        """The packs of several models as one."""
        if len(packs) == 1:
            return packs[0]
        return cls(
            torch.cat([p.rows for p in packs]),
            torch.cat([p.lengths for p in packs]),
            torch.cat([p.clinical for p in packs]),
            tuple(h for p in packs for h in p.heights),
            tuple(b for p in packs for b in p.bags),
        )

    def models(self) -> list["Pack"]:
        """One pack for each model, views of this one."""
        if len(self.bags) == 1:
            return [self]
        rows, clinical = (
            self.rows.split_with_sizes(list(self.heights)),
            self.clinical.split_with_sizes(list(self.bags)),
        )
        parts = zip(
            rows,
            self.lengths.split_with_sizes(list(self.bags)),
            clinical,
            self.heights,
            self.bags,
            strict=True,
        )
        return [Pack(x, lengths, values, (h,), (b,)) for x, lengths, values, h, b in parts]

    @cached_property
    def bag_of_row(self) -> Tensor:
        """(N,) int64 bag of each instance."""
        return torch.repeat_interleave(self.lengths, output_size=self.rows.shape[0])

    @cached_property
    def model_of_bag(self) -> Tensor:
        """(S,) int64 model of each bag."""
        return torch.repeat_interleave(torch.tensor(self.bags), output_size=self.lengths.shape[0])


def dense(x: Tensor, weight: Tensor, bias: Tensor, heights: Sequence[int], dtype: torch.dtype) -> Tensor:
    """x Wᵀ + b with each model's own W and b: one batched product where all models have as many rows.

    Args:
        x: (M, i) rows, model by model.
        weight, bias: (G, o, i), (G, o) float32.
        heights: per model, its rows; they add up to M.
        dtype: of the product's factors, at most as wide as the parameters'.

    Returns:
        (M, o), of the parameters' dtype.
    """
    x, factors, summed = x.to(dtype), weight.to(dtype), weight.dtype
    if len(heights) == 1:
        return F.linear(x, factors[0]).to(summed) + bias[0]
    if len(set(heights)) == 1:
        batched = torch.bmm(x.view(len(heights), heights[0], -1), factors.mT)
        return (batched.to(summed) + bias[:, None]).flatten(0, 1)
    parts = zip(x.split_with_sizes(list(heights)), factors, bias, strict=True)
    return torch.cat([F.linear(part, w).to(summed) + b for part, w, b in parts])


def bag_sum(x: Tensor, pack: Pack) -> Tensor:
    """(S,) or (S, k): the sum over the instances of each bag of x, (N,) or (N, k)."""
    return x.new_zeros((pack.lengths.shape[0], *x.shape[1:])).index_add(0, pack.bag_of_row, x)


def bag_mean(x: Tensor, pack: Pack) -> Tensor:
    """(S, k): the mean over the instances of each bag of x, (N, k)."""
    return bag_sum(x, pack) / pack.lengths[:, None]


def bag_softmax(scores: Tensor, pack: Pack) -> Tensor:
    """(N,) weights that add up to 1 in each bag; the largest score is taken off first, so nothing overflows."""
    bag = pack.bag_of_row
    top = scores.new_full(pack.lengths.shape, -torch.inf)
    top = top.scatter_reduce(0, bag, scores.detach(), "amax")
    weights = torch.exp(scores - top[bag])
    return weights / bag_sum(weights, pack)[bag]
