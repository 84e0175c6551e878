"""What the training patients were like, in numbers of all of them together, so that others can be noticed.

Images: the mean of a patient's features, and its Mahalanobis distance under the Gaussian of probabilistic principal
component analysis (Tipping & Bishop, J. R. Stat. Soc. B 61, 1999): the covariance is kept along the widest axes and is
one variance in all other directions, which is what shrinks it where there are more features than patients. That
variance is measured on patients whom the axes were not found on. So are the distances that others are compared with:
each training patient's from axes that were found without that patient (of one that the axes know, it is too short). A
patient is unlike the training images beyond the ⌈0.95 (n + 1)⌉-th smallest of these n distances, as at most one in
twenty patients of the same kind is; with fewer than 20 training patients, beyond all of them, as about one of n + 1 is
(split conformal prediction as in `estimates.conformal`, over folds: Vovk, *Cross-conformal predictors*, Annals of
Mathematics and Artificial Intelligence 74, 2015).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.model_selection import KFold

from ..cache.bags import Bags
from ..cache.pooling import pool
from ..cohort.values import Declared
from ..estimates.conformal import calibration_rank
from .declared_range import DeclaredRange, known_numbers, rounded

__all__ = [
    "WARNED",
    "DeclaredRange",
    "ImageDistribution",
    "TrainingRanges",
    "out_of_distribution",
    "patient_means",
]

Floats = NDArray[np.float64]

WARNED = 0.05  # the share of patients of the same kind that are called unlike the training images

_MOST_AXES = 16
_PATIENTS_PER_AXIS = 4
_LEAST_NOISE = 1e-3  # of the mean variance of a standardised feature, which is 1
_FOLDS = 10


@dataclass(frozen=True)
class ImageDistribution:
    """The training patients' mean features under one encoder.

    Attributes:
        mean, scale: (D,) of the features.
        axes: (q, D) orthonormal, of the standardised features.
        variances: (q,) along them.
        noise: the variance in any other direction.
        limit: the distance beyond which a patient is unlike the training images.
    """

    mean: Floats
    scale: Floats
    axes: Floats
    variances: Floats
    noise: float
    limit: float

    @classmethod
    def fit(cls, train: Floats, held: Floats) -> "ImageDistribution":
        """Of a single encoder; see `fit_all`."""
        return cls.fit_all([(train, held)])[0]

    @classmethod
    def fit_all(cls, parts: Sequence[tuple[Floats, Floats]]) -> tuple["ImageDistribution", ...]:
        """Learn from mean features of the patients that the heads learn from; the encoders have one limit in common.

        Args:
            parts: per encoder, train (n, D), n ≥ 2, and held (m, D) of labelled patients that neither encoder nor
                heads learn from; m = 0 where there are none, and then parts of `train` stand in.
        """
        each = [cls._separate(train, held) for train, held in parts]
        # The residuals of the patients that axes were found on are too small; those of others give the noise. All
        # encoders share it: of the few patients that one encoder leaves, each would have a large part in its own.
        residual = np.concatenate(
            [one._split(means)[1] for _, known in each for one, means in known] or [np.empty(0)]
        )
        directions = [one.axes.shape[1] - len(one.axes) for one, _ in each]
        noise = (
            max(float(residual.mean()) / max(float(np.mean(directions)), 1), _LEAST_NOISE)
            if len(residual)
            else 1.0
        )
        far = [replace(one, noise=noise).distances(means) for _, known in each for one, means in known]
        distances = np.sort(np.concatenate(far or [np.empty(0)]))
        rank = min(calibration_rank(len(distances), WARNED), len(distances))
        limit = float(distances[rank - 1]) if rank else np.inf  # of nobody known, nobody is unlike
        return tuple(replace(one, noise=noise, limit=limit) for one, _ in each)

    @classmethod
    def _separate(
        cls, train: Floats, held: Floats
    ) -> tuple["ImageDistribution", list[tuple["ImageDistribution", Floats]]]:
        """The summary of all, and pairs of a summary and of patients whom it does not know; noise and limit missing."""
        folds = [(a, b) for a, b in _parts(len(train)) if len(a) > 1]
        fewest = min((len(a) for a, _ in folds), default=len(train))
        kept = max(1, min(_MOST_AXES, fewest // _PATIENTS_PER_AXIS, train.shape[1]))
        whole = cls._of(train, kept)
        if len(held):
            return whole, [(whole, held)]
        return whole, [(cls._of(train[a], kept), train[b]) for a, b in folds]

    @classmethod
    def _of(cls, train: Floats, kept: int) -> "ImageDistribution":
        mean, deviation = train.mean(axis=0), train.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)
        # Of patients who are all alike, the shares of variance are 0/0; nothing here uses them.
        with np.errstate(invalid="ignore"):
            fitted = PCA(min(kept, len(train)), svd_solver="full").fit((train - mean) / scale)
        variances = np.maximum(fitted.explained_variance_, _LEAST_NOISE)
        return cls(mean, scale, fitted.components_, variances, 1.0, 0.0)

    def distances(self, means: Floats) -> Floats:
        """(n, D) mean features → (n,) Mahalanobis distances."""
        along, residual = self._split(means)
        return np.asarray(np.sqrt((along**2 / self.variances).sum(axis=1) + residual / self.noise))

    def _split(self, means: Floats) -> tuple[Floats, Floats]:
        """(n, q) coordinates along the axes, and (n,) squared lengths of what is left."""
        x = (means - self.mean) / self.scale
        along = x @ self.axes.T
        return along, np.maximum((x**2).sum(axis=1) - (along**2).sum(axis=1), 0)

    def arrays(self, prefix: str) -> dict[str, Floats]:
        """As named arrays, for safetensors."""
        parts = {"mean": self.mean, "scale": self.scale, "axes": self.axes, "variances": self.variances}
        parts["noise_limit"] = np.array([self.noise, self.limit])
        return {f"{prefix}.{name}": np.asarray(value, dtype=np.float64) for name, value in parts.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], prefix: str) -> "ImageDistribution":
        """The opposite of `arrays`.

        Raises:
            KeyError: one is not there.
        """
        mean, scale, axes, variances, last = (
            arrays[f"{prefix}.{name}"] for name in ("mean", "scale", "axes", "variances", "noise_limit")
        )
        return cls(mean, scale, axes, variances, float(last[0]), float(last[1]))

    def put_right(self) -> "ImageDistribution | None":
        """What was meant, of a summary whose axes may have been stored as they lay in memory, in Fortran order.

        Principal axes are orthonormal, and scikit-learn turns each so that its largest element is positive: hardly ever
        can both readings be so. None where they are, or neither is.
        """
        ways = [self.axes, self.axes.reshape(self.axes.shape[::-1]).T]
        if np.array_equal(ways[0], ways[1]):
            return self
        right = [axes for axes in ways if _principal(axes)]
        return replace(self, axes=right[0]) if len(right) == 1 else None


def _principal(axes: Floats) -> bool:
    orthonormal = np.allclose(axes @ axes.T, np.eye(len(axes)), rtol=0, atol=1e-9)
    return bool(orthonormal and (axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)] > 0).all())


@dataclass(frozen=True)
class TrainingRanges:
    """Ranges of the training patients' values. Whole years and rounded counts: an age to the day is a date of birth.

    Attributes:
        n, n_malignant: training patients.
        age: lowest and highest, whole years, rounded outwards.
        count: lowest and highest, 10⁹/l, rounded outwards to two digits.
        images: quantiles 0, 0.05, 0.5, 0.95 and 1 of the number of images.
        declared: by name, of the declared clinical columns that the model looks at.
    """

    n: int
    n_malignant: int
    age: tuple[float, float]
    count: tuple[float, float]
    images: tuple[int, int, int, int, int]
    declared: Mapping[str, DeclaredRange] = field(default_factory=dict)

    @classmethod
    def fit(
        cls, patients: pd.DataFrame, labels: NDArray[np.int8], declared: Declared | None = None
    ) -> "TrainingRanges":
        """Learn from (n,) rows of the training patients, their labels, and the declared columns to look at."""
        ages = known_numbers(patients["age"])
        counts = known_numbers(patients["lymphocyte_count"])
        sizes = np.quantile(patients["n_images"].to_numpy(), [0, 0.05, 0.5, 0.95, 1], method="nearest")
        low, q05, half, q95, high = (int(s) for s in sizes)
        return cls(
            len(labels),
            int((labels == 1).sum()),
            (float(np.floor(ages.min())), float(np.ceil(ages.max()))) if len(ages) else (0.0, 0.0),
            (rounded(counts.min(), np.floor), rounded(counts.max(), np.ceil)) if len(counts) else (0.0, 0.0),
            (low, q05, half, q95, high),
            {name: DeclaredRange.fit(column, patients[name]) for name, column in (declared or {}).items()},
        )

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "TrainingRanges":
        """The opposite of `dataclasses.asdict`.

        Raises:
            KeyError, TypeError: not such a table.
        """
        low, q05, half, q95, high = raw["images"]
        age, count = tuple(raw["age"]), tuple(raw["count"])
        declared = {name: DeclaredRange.from_json(one) for name, one in raw.get("declared", {}).items()}
        return cls(int(raw["n"]), int(raw["n_malignant"]), age, count, (low, q05, half, q95, high), declared)

    def warnings(self, row: Mapping[str, Any], *, images: bool, clinical: bool) -> list[str]:
        """What is unusual about a patient, of what the model looks at.

        Args:
            row: n_images, age (years), sex ("M", "F", ""), lymphocyte_count (10⁹/l), declared columns.
            images, clinical: whether the model looks at them.
        """
        found = []
        if images and row["n_images"] < self.images[0]:
            found.append(f"too few images ({row['n_images']}, training {self.images[0]} or more)")
        if clinical:
            ranges = (("age", "age", self.age, "years"), ("count", "lymphocyte_count", self.count, "10⁹/l"))
            for name, column, (low, high), unit in ranges:
                value = float(row[column])
                if not np.isfinite(value):
                    found.append(f"{name} missing")
                elif not low <= value <= high:
                    found.append(f"{name} {value:.4g} outside the training range {low:g} to {high:g} {unit}")
            if row["sex"] not in ("M", "F"):
                found.append("sex missing")
            for name, known in self.declared.items():
                found += known.warnings(name, row.get(name, ""))
        return found


def _parts(n: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    return list(KFold(min(_FOLDS, n), shuffle=True, random_state=0).split(np.arange(n)))


def patient_means(bags: Bags) -> Floats:
    """(n, D) mean features."""
    return pool(bags, "mean")


def out_of_distribution(
    distances: Sequence[Floats], distributions: Sequence[ImageDistribution]
) -> NDArray[np.bool_]:
    """(n,) whether a patient is unlike the training images, by the median of what the encoders say."""
    ratios = [
        d / max(one.limit, np.finfo(float).tiny) for d, one in zip(distances, distributions, strict=True)
    ]
    return np.asarray(np.median(ratios, axis=0) > 1)
