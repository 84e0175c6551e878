"""Training of many models of one kind at once: their parameters in one (K, P) array, their steps side by side.

Each model sees the minibatches that it would see alone and takes the same AdamW steps (Loshchilov & Hutter, ICLR
2019), so that it equals the plain loop over bags up to rounding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.adamw import adamw

from ...parallel import torch_threads
from .network import Layout, Network
from .order import Minibatch, epoch_minibatches, set_aside
from .packing import BagTensors, Pack
from .schedule import run_all

__all__ = ["Model", "Schedule", "predict", "train_models"]

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]

# Rows that go through a network at a time where nothing is learnt.
_PREDICTED_ROWS = 4096


@dataclass(frozen=True)
class Schedule:
    """How models are trained.

    Attributes:
        epochs: passes over the training patients, at most.
        batch_size: patients of a step.
        learning_rate, weight_decay: of AdamW.
        dropout: share of a bag's instances that a pass leaves out.
        balanced: whether both classes weigh the same in the loss.
        watched: share of the training patients that early stopping sets aside; 0: no early stopping.
        patience: epochs without a better loss on them, after which a model stops; the best epoch's values stay.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    dropout: float = 0.0
    balanced: bool = False
    watched: float = 0.0
    patience: int = 10


@dataclass(frozen=True)
class Model:
    """One model to train.

    Attributes:
        data: bags that it learns from; models may share them.
        train: (n,) positions in `data`.
        y: (n,) labels.
        persons: (n,) equal where two patients may be one person; early stopping does not part them.
        seed: of its first values and of the order of its minibatches.
    """

    data: BagTensors
    train: Indices
    y: NDArray[np.int8]
    persons: Indices
    seed: int


def train_models(
    network: Network, models: Sequence[Model], schedule: Schedule, layout: Layout, workers: int
) -> Tensor:
    """Train K models.

    Args:
        layout: of the network's parameters for these data.
        workers: threads; they change nothing in the result.

    Returns:
        (K, P) float32 parameters.

    Raises:
        InputError: early stopping with too few patients of a class.
        FloatingPointError: a training went to infinity, so that nothing was learnt.
    """
    trained = torch.empty((len(models), layout.size))
    # Several groups for each core, or cores would stand idle; never by their number, which must not change a bit.
    size = min(network.group, max(1, len(models) // 4))
    learners = [_Learner(model, schedule) for model in models]
    positions = _groups(learners, size)
    groups = [_Group(network, layout, schedule, [learners[k] for k in numbers]) for numbers in positions]
    run_all(groups, workers)
    for numbers, group in zip(positions, groups, strict=True):
        trained[numbers] = group.best
    if not all(group.learnt for group in groups):
        raise FloatingPointError("The training diverged; a smaller learning rate may help.")
    return trained


def predict(network: Network, parameters: Tensor, layout: Layout, data: BagTensors, bags: Indices) -> Floats:
    """(G, b) float64 logits of each of G models for the bags at these positions."""
    logits = np.empty((len(parameters), len(bags)))
    first = 0
    with torch.no_grad(), torch_threads(1):
        models = [layout.views(p[None]) for p in parameters]
        for pack in _runs(data, bags):
            last = first + len(pack.lengths)
            for k, model in enumerate(models):
                logits[k, first:last] = network.logits(model, pack).numpy()
            first = last
    return logits


def _runs(data: BagTensors, bags: Indices) -> Iterator[Pack]:
    """Packs of at most `_PREDICTED_ROWS` rows (a larger bag is one of its own)."""
    rows = np.cumsum(data.lengths[bags])
    first = 0
    while first < len(bags):
        before = rows[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(rows, before + _PREDICTED_ROWS, side="right")))
        yield data.take(bags[first:last])
        first = last


class _Learner:
    """What one model of a group learns from and is watched on.

    Attributes:
        steps: minibatches of an epoch.
    """

    def __init__(self, model: Model, schedule: Schedule) -> None:
        train, y = model.train, model.y
        self.data, self.seed = model.data, model.seed
        kept, watched = np.arange(len(y)), np.empty(0, dtype=np.int64)
        if schedule.watched > 0:
            kept, watched = set_aside(y, model.persons, schedule.watched, model.seed)
        self.watched, watched_y = train[watched], y[watched]
        train, y = train[kept], y[kept]
        # Only now: as many patients in two models may leave different numbers after some were set aside.
        self.steps = -(-len(y) // schedule.batch_size)
        self.train, self.y = train, y.astype(np.float32)
        counts = np.bincount(y, minlength=2)
        shares = len(y) / (2 * np.maximum(counts, 1)) if schedule.balanced else np.ones(2)
        self.weight = shares[y].astype(np.float32)
        self.watched_weight = torch.from_numpy(shares[watched_y]).float()
        self.watched_y = torch.from_numpy(watched_y).float()

    def epoch(self, number: int, schedule: Schedule) -> Iterator[Minibatch]:
        lengths = self.data.lengths[self.train]
        return epoch_minibatches(self.seed, number, lengths, schedule.batch_size, schedule.dropout)

    def loss(self, logits: Tensor) -> float:
        """Weighted log loss on the watched patients."""
        each = nn.functional.binary_cross_entropy_with_logits(logits, self.watched_y, reduction="none")
        return float((self.watched_weight * each).mean())


def _groups(learners: Sequence[_Learner], size: int) -> list[list[int]]:
    """Positions of models that take equally many steps in an epoch, at most `size` together."""
    by_steps: dict[int, list[int]] = {}
    for k, one in enumerate(learners):
        by_steps.setdefault(one.steps, []).append(k)
    return [alike[i : i + size] for alike in by_steps.values() for i in range(0, len(alike), size)]


class _Group:
    """Models that are trained by the same launches; a `schedule.Training`."""

    def __init__(
        self, network: Network, layout: Layout, schedule: Schedule, learners: Sequence[_Learner]
    ) -> None:
        self._network, self._layout, self._schedule = network, layout, schedule
        self._learners = learners
        self._flat = torch.stack([layout.draw(one.seed) for one in learners])
        self._views = layout.views(self._flat)
        self._gradient = torch.zeros_like(self._flat)
        self._gradient_views = layout.views(self._gradient)
        self._moments = torch.zeros(2, *self._flat.shape)
        self._taken = torch.zeros(())
        self.best = self._flat
        self._best_loss = np.full(len(learners), np.inf)
        self._best_epoch = np.zeros(len(learners), dtype=np.int64)
        if schedule.watched > 0:
            self.best = self.best.clone()
        self._epoch = -1
        self._next_epoch()

    @property
    def learnt(self) -> bool:
        """Whether every model has finite values, and with early stopping a finite loss after some epoch."""
        watched = self._schedule.watched == 0 or bool(np.isfinite(self._best_loss).all())
        return watched and bool(torch.isfinite(self.best).all())

    def step(self) -> bool:
        """Gradient of the present minibatches and the optimiser's step; whether there is another minibatch."""
        self._compute()
        self._adamw()
        if self._next_minibatches():
            return True
        return not self._watch() and self._next_epoch()

    def _compute(self) -> None:
        pairs = list(zip(self._learners, self._minibatches, strict=True))
        pack = Pack.join([one.data.take(one.train[batch.bags], batch.kept) for one, batch in pairs])
        y = torch.from_numpy(np.concatenate([one.y[batch.bags] for one, batch in pairs]))
        weight = torch.from_numpy(np.concatenate([one.weight[batch.bags] for one, batch in pairs]))
        sizes = torch.from_numpy(np.repeat([len(b.bags) for b in self._minibatches], pack.bags))

        def residual(logits: Tensor) -> Tensor:
            return (logits.sigmoid() - y) * weight / sizes

        self._network.gradient(self._views, self._gradient_views, pack, residual)

    def _adamw(self) -> None:
        # torch.optim.AdamW spends ten times as long around this as in it.
        first, second = self._moments
        adamw(
            [self._flat], [self._gradient], [first], [second], [], [self._taken],
            fused=True, amsgrad=False, maximize=False, beta1=0.9, beta2=0.999, eps=1e-8,
            lr=self._schedule.learning_rate, weight_decay=self._schedule.weight_decay,
        )  # fmt: skip

    def _next_epoch(self) -> bool:
        self._epoch += 1
        if self._epoch >= self._schedule.epochs:
            return False
        self._steps = zip(*(one.epoch(self._epoch, self._schedule) for one in self._learners), strict=True)
        return self._next_minibatches()

    def _next_minibatches(self) -> bool:
        self._minibatches: tuple[Minibatch, ...] = next(self._steps, ())
        return len(self._minibatches) > 0

    def _watch(self) -> bool:
        """Keep what is best on the watched patients; whether every model has stopped getting better."""
        if self._schedule.watched == 0:
            return False
        for k, one in enumerate(self._learners):
            if self._epoch - self._best_epoch[k] > self._schedule.patience:
                continue
            logits = predict(self._network, self._flat[k : k + 1], self._layout, one.data, one.watched)
            loss = one.loss(torch.from_numpy(logits[0]).float())
            if loss < self._best_loss[k]:
                self._best_loss[k], self._best_epoch[k] = loss, self._epoch
                self.best[k] = self._flat[k]
        return bool((self._epoch - self._best_epoch >= self._schedule.patience).all())
