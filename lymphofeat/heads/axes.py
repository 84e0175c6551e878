"""Pooled features in the coordinates that the training patients give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from ..errors import InputError

__all__ = ["JoinedAxes", "PrincipalAxes", "check_finite", "side_by_side"]

Floats = NDArray[np.float64]

# Against the widest axis. The square of it times rounding leaves eight digits.
_NARROW = 1e-4


@dataclass(frozen=True)
class PrincipalAxes:
    """Centring, scaling and rotating pooled features, as learnt from the training patients.

    Keeping all n − 1 axes loses nothing: the solution of an L2-penalised linear model lies in the span of the
    centred training rows, so a model on these coordinates equals the one on the features (and is far
    cheaper where there are more features than patients); keeping the first k is PCA. The block is divided by its
    first singular value, as in multiple factor analysis (Escofier & Pagès, Comput. Stat. Data Anal. 18, 1994), so
    that beside the clinical values it weighs the same whatever its width and unit, and so does C.

    Attributes:
        scaler: centres, and scales to unit variance if asked to.
        axes: (P, q) float64, orthonormal columns over the standard deviation along the first; q = min(n − 1, P).
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    scaler: StandardScaler
    axes: Floats

    @classmethod
    def fit(cls, pooled: Floats, *, scale: bool) -> "PrincipalAxes":
        """Learn from (n, P) pooled features of the training patients.

        Raises:
            InputError: NaN or an infinite value.
        """
        check_finite(pooled)
        scaler = StandardScaler(with_std=scale).fit(pooled)
        widest, axes = _axes(scaler.transform(pooled))
        kept = max(1, min(len(pooled) - 1, pooled.shape[1]))
        deviation = widest / np.sqrt(len(pooled))
        return cls(scaler, axes[:, :kept] / (deviation if deviation > 0 else 1.0))

    @property
    def n_axes(self) -> int:
        """q."""
        return int(self.axes.shape[1])

    def transform(self, pooled: Floats) -> Floats:
        """(n, q) float64 coordinates, the widest axis first.

        Raises:
            InputError: NaN or an infinite value.
        """
        check_finite(pooled)
        return np.asarray(self.scaler.transform(pooled) @ self.axes)


@dataclass(frozen=True)
class JoinedAxes:
    """The pooled features of several encodings, each on its own axes and with its own weight, side by side.

    The columns take turns, the widest axis of each encoding first, so that whoever looks at the first few sees all
    encodings.

    Attributes:
        each: per encoding, its axes.
        widths: per encoding, its pooled features.
        kept: per encoding, how many of its axes.
        weights: per encoding, what its coordinates are multiplied by.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    each: tuple[Any, ...]
    widths: tuple[int, ...]
    kept: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def n_axes(self) -> int:
        """Of all encodings together."""
        return sum(self.kept)

    def transform(self, pooled: Floats) -> Floats:
        """(n, ΣP) pooled features, the encodings one behind the other → (n, q) float64 coordinates.

        Raises:
            InputError: NaN or an infinite value.
        """
        blocks = np.split(pooled, np.cumsum(self.widths)[:-1], axis=1)
        each = [axes.transform(block) for axes, block in zip(self.each, blocks, strict=True)]
        return side_by_side(each, self.kept, self.weights)


def side_by_side(blocks: Sequence[Floats], kept: Sequence[int], weights: Sequence[float]) -> Floats:
    """The coordinates of each encoding on all its axes → (n, Σkept), as `JoinedAxes` has them."""
    weighted = [weight * block[:, :k] for weight, block, k in zip(weights, blocks, kept, strict=True)]
    turn = np.concatenate([np.arange(k) for k in kept])
    return np.hstack(weighted)[:, np.argsort(turn, kind="stable")]


def _axes(x: Floats) -> tuple[float, Floats]:
    """The largest singular value of (n, P) x, and (P, min(n, P)) its right singular vectors, the widest first.

    They come from the eigenvectors of the smaller of xᵀx and xxᵀ: a tenth of the work. Squaring costs the narrow
    directions digits. With n > P any orthonormal basis of those that rounding blurs serves as well; with n ≤ P they
    would not be orthonormal, and the singular value decomposition is asked.
    """
    if len(x) > x.shape[1]:
        squares, vectors = scipy.linalg.eigh(x.T @ x, driver="evd")
        return float(np.sqrt(max(squares[-1], 0.0))), vectors[:, ::-1]
    squares, left = scipy.linalg.eigh(x @ x.T, driver="evd")
    # Centring leaves one direction of no width, the first here; it is not among the axes kept.
    if len(x) > 1 and squares[1] > _NARROW**2 * squares[-1]:
        singular = np.sqrt(np.maximum(squares, squares[1]))
        return float(singular[-1]), (x.T @ (left / singular))[:, ::-1]
    _, singular, axes = scipy.linalg.svd(x, full_matrices=False)
    return float(singular[0]), axes.T


def check_finite(pooled: Floats) -> None:
    """Refuse pooled features with holes.

    Raises:
        InputError: NaN or an infinite value.
    """
    if not np.isfinite(pooled).all():
        raise InputError("The pooled features hold NaN or infinite values; extract the features again.")
