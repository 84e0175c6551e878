"""Poolings that need the coordinates of instances which the training patients give.

Each is a function of a bag in these coordinates, invariant to the order of the images and to repeating the bag:

    log-sum-exp    log(mean exp(r·x)) / r of each standardised feature, between mean and maximum (Pinheiro & Collobert,
                   CVPR 2015), r = 2
    second-order   the standard deviation of each feature (the diagonal), and the bag's covariance along the 8 widest
                   axes of the instances (the low-rank part), square roots with their signs (Lin & Maji, BMVC 2017)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cache.bags import Bags
from ..cache.pooling import bag_means, pool, runs_of_bags

if TYPE_CHECKING:  # it needs torch, which takes a second to import
    from .neural.instances import Coordinates

__all__ = ["FITTED_POOLINGS", "FittedPooling"]

Floats = NDArray[np.float64]

_SHARPNESS = np.float32(2.0)
_SECOND_ORDER_AXES = 8


@dataclass(frozen=True)
class FittedPooling:
    """One way from a bag and the coordinates of its instances to a vector.

    Attributes:
        name: what the search space and the reports call it.
        about: one sentence for `lymphofeat heads`.
        axes: principal axes of the instances that it looks at; None: the standardised features.
        reduce: (rows (n, q) float32 coordinates, which it may overwrite; offsets (b,), lengths (b,)) → (b, width)
            float64, for bags that lie one behind the other in `rows`.
        prepended: a pooling of `POOLINGS` whose vector stands before this one; "" without.
    """

    name: str
    about: str
    axes: int | None
    reduce: Callable[[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]], Floats]
    prepended: str = ""

    def pool(self, coordinates: "Coordinates", bags: Bags, prepended: Floats | None = None) -> Floats:
        """(n_bags, width) float64.

        Args:
            prepended: what the pooling of that name makes of the bags, where it is known already.

        Raises:
            InputError: a feature is not finite.
        """
        vectors = []
        for some in runs_of_bags(bags.lengths):  # never all instances in memory
            part = bags.select(some)
            offsets = np.cumsum(part.lengths) - part.lengths
            vectors.append(self.reduce(coordinates.transform(part).numpy(), offsets, part.lengths))
        fitted = np.concatenate(vectors) if vectors else np.empty((0, 0))
        if not self.prepended:
            return fitted
        return np.hstack([pool(bags, self.prepended) if prepended is None else prepended, fitted])


def _log_sum_exp(x: NDArray[np.float32], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
    # In float32, where exponentials take a quarter of the time; each is right to seven digits, and so is their mean.
    top = np.maximum.reduceat(x, offsets, axis=0)
    x -= np.repeat(top, lengths, axis=0)
    x *= _SHARPNESS
    np.exp(x, out=x)
    return np.asarray(top + np.log(bag_means(x, offsets, lengths)) / _SHARPNESS)


def _second_order(x: NDArray[np.float32], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
    centred = x - np.repeat(bag_means(x, offsets, lengths), lengths, axis=0)
    first, second = np.triu_indices(x.shape[1])
    covariance = bag_means(centred[:, first] * centred[:, second], offsets, lengths)
    return np.asarray(np.sign(covariance) * np.sqrt(np.abs(covariance)))


FITTED_POOLINGS = {
    pooling.name: pooling
    for pooling in (
        FittedPooling("log-sum-exp", "a smooth maximum of each standardised feature", None, _log_sum_exp),
        FittedPooling(
            "second-order",
            f"standard deviations, and the covariance along the {_SECOND_ORDER_AXES} widest axes",
            _SECOND_ORDER_AXES,
            _second_order,
            prepended="std",
        ),
    )
}
