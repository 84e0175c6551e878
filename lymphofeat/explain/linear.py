"""Heads whose log-odds are a sum over images: exact contributions.

With mean pooling, centring, axes A and a linear classifier w, w₀ on the axes, the log-odds of a patient are

    logit = Σⱼ (xⱼ − μ) A w / n + clinical part + w₀

so that (xⱼ − μ) A w / n is what image j adds, against the mean bag μ of the training patients. Products of axes with
age and count are linear in the images too, at the patient's own age and count, and belong to the images here. Averages
of log-odds of two such heads, and a logistic regression on them, are again such sums.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.bags import Bags
from ..heads.axes import PrincipalAxes
from ..heads.design import CROSSED_AXES, CROSSED_VALUES
from ..heads.fusion.late import SUREST_LOG_ODDS, LateFusion
from ..heads.fusion.stacked import StackedFusion
from ..heads.pooled import PooledHead

__all__ = ["LinearParts", "linear_parts"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearParts:
    """The log-odds of n patients as sums.

    Attributes:
        images: per patient, (n_i,) float64: what each image adds.
        clinical: (n,) float64, what the clinical values add, against the mean of the training patients.
        size: (n,) float64, what the number of images adds; 0 unless the head was given that shortcut.
        intercept: the log-odds of the mean training patient.
    """

    images: list[Floats]
    clinical: Floats
    size: Floats
    intercept: float

    @property
    def logits(self) -> Floats:
        """(n,) the sums."""
        return np.array([v.sum() for v in self.images]) + self.clinical + self.size + self.intercept

    def times(self, factor: float) -> "LinearParts":
        """All parts, times a factor."""
        images = [factor * values for values in self.images]
        return LinearParts(images, factor * self.clinical, factor * self.size, factor * self.intercept)

    def plus(self, other: "LinearParts") -> "LinearParts":
        """The sum of two heads' parts for the same patients."""
        images = [one + two for one, two in zip(self.images, other.images, strict=True)]
        return LinearParts(
            images, self.clinical + other.clinical, self.size + other.size, self.intercept + other.intercept
        )


def linear_parts(head: Any, bags: Bags, clinical: pd.DataFrame) -> LinearParts | None:
    """The parts of each patient's log-odds; None where the head's are no such sum.

    Args:
        head: fitted.
        bags, clinical: n patients, as for `predict_proba`.
    """
    if isinstance(head, LateFusion) and head.average == "logits":
        return _fused(head.parts_, (head.weight, 1 - head.weight), 0.0, bags, clinical)
    if isinstance(head, StackedFusion):
        weights = tuple(float(w) for w in head.link_.coef_[0])
        return _fused(head.parts_, weights, float(head.link_.intercept_[0]), bags, clinical)
    if isinstance(head, PooledHead):
        return _pooled(head, bags, clinical)
    return None


def _fused(
    parts: list[Any], weights: tuple[float, ...], intercept: float, bags: Bags, clinical: pd.DataFrame
) -> LinearParts | None:
    image, values = (linear_parts(part, bags, clinical) for part in parts)
    # Fused heads clip surer parts, so that the sum is no sum any more.
    if image is None or values is None or np.abs([image.logits, values.logits]).max() > SUREST_LOG_ODDS:
        return None
    both = image.times(weights[0]).plus(values.times(weights[1]))
    return LinearParts(both.images, both.clinical, both.size, both.intercept + intercept)


def _pooled(head: PooledHead, bags: Bags, clinical: pd.DataFrame) -> LinearParts | None:
    found = _coefficients(head.classifier_)
    fitted = head.design_
    averaged = isinstance(fitted.axes, PrincipalAxes) and fitted.design.pooling == "mean"
    if found is None or not (fitted.axes is None or averaged):
        return None
    coefficients, intercept = found
    values = np.empty((len(bags), 0)) if fitted.clinical is None else fitted.clinical.transform(clinical)
    of_image, of_product, of_size, of_clinical = _blocks(head, coefficients, values.shape[1])
    images = []
    for i, bag in enumerate(bags):
        if fitted.axes is None:
            images.append(np.zeros(len(bag)))
            continue
        weights = of_image.copy()
        weights[: len(of_product)] += of_product @ values[i, : of_product.shape[1]]
        images.append(fitted.axes.transform(bag.astype(np.float64)) @ weights / len(bag))
    size = np.zeros(len(bags))
    if fitted.size is not None:
        size = fitted.size.transform(np.log(bags.lengths.astype(np.float64))[:, None])[:, 0] * of_size[0]
    return LinearParts(images, values @ of_clinical, size, intercept)


def _blocks(head: PooledHead, w: Floats, n_clinical: int) -> tuple[Floats, Floats, Floats, Floats]:
    """The coefficients of all axes (0 of those not kept), of products (axes × values), of the size, of the values."""
    fitted, first = head.design_, 0
    of_image, of_product = np.zeros(0), np.zeros((0, 0))
    if isinstance(fitted.axes, PrincipalAxes):
        n_axes = fitted.axes.axes.shape[1]
        first = n_axes if head.pca is None else min(head.pca, n_axes)
        of_image = np.zeros(n_axes)
        of_image[:first] = w[:first]
        if head.cross and n_clinical:
            crossed = min(CROSSED_AXES, n_axes)
            of_product = w[first : first + crossed * CROSSED_VALUES].reshape(crossed, CROSSED_VALUES)
            first += of_product.size
    of_size = w[first : first + (fitted.size is not None)]
    return of_image, of_product, of_size, w[len(w) - n_clinical :]


def _coefficients(classifier: Any) -> tuple[Floats, float] | None:
    """The weights of the table and the intercept of a classifier whose log-odds are linear in it."""
    if hasattr(classifier, "machine"):  # a support vector machine and the logistic function of its decisions
        machine = classifier.machine
        if not hasattr(machine, "weights"):
            return None
        slope = float(classifier.link.coef_[0, 0]) / classifier.spread
        start = float(classifier.link.intercept_[0]) + slope * (machine.start - classifier.mean)
        return slope * machine.weights, start
    if not hasattr(classifier, "coef_"):
        return None
    return np.asarray(classifier.coef_[0], dtype=np.float64), float(classifier.intercept_[0])
