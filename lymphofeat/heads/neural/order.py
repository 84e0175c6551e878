"""What a model sees when: minibatches, dropped instances, and the patients set aside for early stopping.

All of it follows from the seed and the number of patients alone, so that a model trained among many or by the
plain loop sees the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from ...cohort.folds import fewest_of_a_class
from ...errors import InputError

__all__ = ["Minibatch", "epoch_minibatches", "set_aside"]

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Minibatch:
    """Bags of one step.

    Attributes:
        bags: (b,) positions among the training patients.
        kept: per bag, the instances that stay; None where all do.
    """

    bags: Indices
    kept: tuple[Indices, ...] | None


def epoch_minibatches(
    seed: int, epoch: int, lengths: Indices, batch_size: int, dropout: float
) -> Iterator[Minibatch]:
    """One pass over all bags in the order of this seed and epoch.

    Args:
        lengths: (n,) instances of each training bag.
        batch_size: bags of a step; the last one takes what is left.
        dropout: probability with which an instance is left out of this pass; one always stays.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    for first in range(0, len(order), batch_size):
        bags = order[first : first + batch_size]
        kept = tuple(_kept(rng.random(lengths[b]), dropout) for b in bags) if dropout > 0 else None
        yield Minibatch(bags, kept)


def _kept(draws: NDArray[np.float64], dropout: float) -> Indices:
    stay = np.flatnonzero(draws >= dropout)
    return stay if len(stay) else np.array([np.argmax(draws)])


def set_aside(y: NDArray[np.int8], persons: Indices, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Training patients split into those that train and those that tell when to stop, the classes spread evenly.

    Records that may be of one person stay together. With few persons of a class, more is set aside than asked for.

    Args:
        y: (n,) labels of the training patients.
        persons: (n,) equal where two of them may be one person.
        fraction: share that is set aside, up to rounding to 1/2, 1/3, 1/4, …

    Returns:
        Positions that train, positions that are watched; each sorted.

    Raises:
        InputError: too few patients to have both classes on both sides.
    """
    _, fewest = fewest_of_a_class(y, persons)
    if fewest >= 2:
        shares = min(fewest, max(2, round(1 / fraction)))
        splitter = StratifiedGroupKFold(shares, shuffle=True, random_state=seed)
        for train, watched in splitter.split(y, y, persons):
            if len(np.unique(y[train])) == len(np.unique(y[watched])) == 2:
                return train, watched
    raise InputError(
        "Early stopping sets some training patients of both classes aside, for which there are too few persons here "
        f"({fewest} of the rarer class); turn early_stopping off or add patients."
    )
