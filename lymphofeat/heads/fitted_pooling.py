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
from .pooling import pool

if TYPE_CHECKING:  # it needs torch, which takes a second to import
    from .neural.instances import Coordinates

__all__ = ["FITTED_POOLINGS", "FittedPooling"]

Floats = NDArray[np.float64]

_SHARPNESS = 2.0
_SECOND_ORDER_AXES = 8


@dataclass(frozen=True)
class FittedPooling:
    """One way from a bag and the coordinates of its instances to a vector.

    Attributes:
        name: what the search space and the reports call it.
        about: one sentence for `lymphofeat heads`.
        axes: principal axes of the instances that it looks at; None: the standardised features.
        reduce: one bag's (n, q) float64 coordinates → a vector.
        beside: a pooling of `POOLINGS` whose vector stands before this one; "" without.
    """

    name: str
    about: str
    axes: int | None
    reduce: Callable[[Floats], Floats]
    beside: str = ""

    def pool(self, coordinates: "Coordinates", bags: Bags) -> Floats:
        """(n_bags, width) float64.

        Raises:
            InputError: a feature is not finite.
        """
        vectors = []
        for i in range(len(bags)):  # a bag at a time: never all instances in memory
            one = bags.select(np.array([i]))
            vectors.append(self.reduce(coordinates.transform(one).numpy().astype(np.float64)))
        fitted = np.stack(vectors) if vectors else np.empty((0, 0))
        return np.hstack([pool(bags, self.beside), fitted]) if self.beside else fitted


def _log_sum_exp(x: Floats) -> Floats:
    top = x.max(axis=0)
    return np.asarray(top + np.log(np.exp(_SHARPNESS * (x - top)).mean(axis=0)) / _SHARPNESS)


def _second_order(x: Floats) -> Floats:
    centred = x - x.mean(axis=0)
    covariance = centred.T @ centred / len(x)
    upper = covariance[np.triu_indices(len(covariance))]
    return np.asarray(np.sign(upper) * np.sqrt(np.abs(upper)))


FITTED_POOLINGS = {
    pooling.name: pooling
    for pooling in (
        FittedPooling("log-sum-exp", "a smooth maximum of each standardised feature", None, _log_sum_exp),
        FittedPooling(
            "second-order",
            f"standard deviations, and the covariance along the {_SECOND_ORDER_AXES} widest axes",
            _SECOND_ORDER_AXES,
            _second_order,
            beside="std",
        ),
    )
}
