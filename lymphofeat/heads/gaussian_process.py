"""A Gaussian process on pooled features: a Bayesian kernel classifier with probabilities of its own."""

from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import ConstantKernel

from .checks import Legal, is_above
from .design import INPUTS
from .kernels import GaussianKernel, median_distance, squared_distances
from .pooled_head import pooled, suggest_pooled
from .registry import HeadType, TrialLike
from .table_classifier import TableClassifier

__all__ = ["HEAD_TYPE", "GaussianProcess"]

Floats = NDArray[np.float64]


class GaussianProcess(TableClassifier):
    """A Gaussian process with a Gaussian kernel, by Laplace's approximation.

    Its hyperparameters are arguments, not fitted: a search over them is what `tune` is. Nothing is random. The
    process has mean 0, so far from all patients the probability goes to 1/2.

    Args:
        width: length scale, in median distances of two training patients, > 0.
        amplitude: standard deviation of the latent log odds, > 0.
        class_weight: None, or "balanced": the log odds of the training shares are taken off the probabilities' log
            odds.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(
        self, *, width: float = 1.0, amplitude: float = 3.0, class_weight: str | None = None
    ) -> None:
        self.width = width
        self.amplitude = amplitude
        self.class_weight = class_weight

    def fit(self, table: Floats, y: NDArray[np.int8]) -> Self:
        """Learn from the (n, p) table of the training patients."""
        median = median_distance(squared_distances(table))
        kernel = ConstantKernel(self.amplitude**2) * GaussianKernel(self.width * median)
        # It looks for the mode twice in one fit, for the likelihood and for predicting: now from where it is.
        process = GaussianProcessClassifier(kernel, optimizer=None, warm_start=True).fit(table, y)
        shift = 0.0 if self.class_weight is None else float(logit(np.mean(y == 1)))
        return self._fitted(_Shifted(process, shift))

    def _parameter_constraints(self) -> Legal:
        return {
            "width": (is_above(self.width), "a finite number above 0"),
            "amplitude": (is_above(self.amplitude), "a finite number above 0"),
        }


class _Shifted:
    """A classifier whose log odds are lowered by `shift`."""

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(self, classifier: Any, shift: float) -> None:
        self.classifier, self.shift = classifier, shift

    def predict_proba(self, table: Floats) -> Floats:
        """(n, 2) float64."""
        p = expit(logit(self.classifier.predict_proba(table)[:, 1]) - self.shift)
        return np.stack([1 - p, p], axis=1)


def suggest(draws: TrialLike) -> dict[str, Any]:
    """A point of the Gaussian process to try."""
    params: dict[str, Any] = {**suggest_pooled(draws)}
    return params | {
        "width": draws.suggest_float("width", 0.3, 10.0, log=True),
        "amplitude": draws.suggest_float("amplitude", 0.5, 20.0, log=True),
    }


HEAD_TYPE = HeadType(
    name="gp",
    summary="Gaussian process classifier on pooled features and clinical values.",
    source="Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, section 3.4",
    cost="cheap",
    space=suggest,
    build=partial(pooled, GaussianProcess),
    default_params=(
        {
            "inputs": "both", "class_weight": None, "pooling": "mean", "scale": True, "reduce": False,
            "interaction": False, "spline": None, "cross": False, "width": 1.0, "amplitude": 3.0,
        },
    ),
    inputs=INPUTS,
    weighs_encodings=True,
    declared_values=True,
)  # fmt: skip
