"""Pooled features, principal components, clinical values, logistic regression: the head to beat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from ..cache.bags import Bags
from ..errors import InputError
from .base import Memo, Split
from .clinical import ClinicalFeatures
from .pooling import POOLINGS, pool
from .registry import Draws, HeadFamily

__all__ = ["INPUTS", "PooledLogistic", "PrincipalAxes"]

Floats = NDArray[np.float64]

INPUTS = ("image", "clinical", "both")
CLASS_WEIGHTS = (None, "balanced")


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

    scaler: StandardScaler
    axes: Floats

    @classmethod
    def fit(cls, pooled: Floats, *, scale: bool) -> "PrincipalAxes":
        """Learn from (n, P) pooled features of the training patients.

        Raises:
            InputError: NaN or an infinite value.
        """
        if not np.isfinite(pooled).all():
            raise InputError("The pooled features hold NaN or infinite values; extract the features again.")
        scaler = StandardScaler(with_std=scale).fit(pooled)
        _, singular, axes = scipy.linalg.svd(scaler.transform(pooled), full_matrices=False)
        kept = max(1, min(len(pooled) - 1, pooled.shape[1]))
        deviation = singular[0] / np.sqrt(len(pooled))
        return cls(scaler, axes[:kept].T / (deviation if deviation > 0 else 1.0))

    def transform(self, pooled: Floats) -> Floats:
        """(n, q) float64 coordinates, the widest axis first."""
        return np.asarray(self.scaler.transform(pooled) @ self.axes)


class PooledLogistic(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Pooling → scaler → PCA or none → logistic regression with an L2 penalty, with or without clinical values.

    Everything that is learnt is learnt in `fit`. Deterministic; no randomness is used.

    Args:
        pooling: a key of `POOLINGS`; not looked at for inputs="clinical".
        inputs: "image", "clinical" or "both" (their columns side by side).
        scale: whether pooled features are brought to unit variance before the axes are found.
        pca: the number of principal axes kept, at most n_train − 1 and the number of features; None: all.
        C: inverse strength of the penalty, > 0.
        class_weight: None, or "balanced": both classes weigh the same.

    Attributes:
        axes_: the fitted `PrincipalAxes`; None without images.
        clinical_: the fitted clinical pipeline; None without clinical values.
        classifier_: the fitted `LogisticRegression`.
    """

    def __init__(
        self,
        *,
        pooling: str = "mean",
        inputs: str = "both",
        scale: bool = True,
        pca: int | None = None,
        C: float = 1.0,
        class_weight: str | None = None,
    ) -> None:
        self.pooling = pooling
        self.inputs = inputs
        self.scale = scale
        self.pca = pca
        self.C = C
        self.class_weight = class_weight

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> "PooledLogistic":
        """Learn from n patients; see `Head`.

        Raises:
            InputError: bad parameters (all are listed), one class only, or features that are not finite.
        """
        self._check_params()
        blocks: list[Floats] = []
        self.axes_ = self.clinical_ = None
        if self.inputs != "clinical":
            pooled = pool(bags, self.pooling)
            self.axes_ = PrincipalAxes.fit(pooled, scale=self.scale)
            blocks.append(self.axes_.transform(pooled)[:, : self.pca])
        if self.inputs != "image":
            self.clinical_ = _clinical_pipeline().fit(clinical)
            blocks.append(self.clinical_.transform(clinical))
        self.classifier_ = self._classifier(np.hstack(blocks), y)
        self.classes_ = self.classifier_.classes_
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant; one's own row only decides."""
        check_is_fitted(self, "classifier_")
        blocks: list[Floats] = []
        if self.axes_ is not None:
            blocks.append(self.axes_.transform(pool(bags, self.pooling))[:, : self.pca])
        if self.clinical_ is not None:
            blocks.append(self.clinical_.transform(clinical))
        return np.asarray(self.classifier_.predict_proba(np.hstack(blocks)))

    def fit_predict_splits(
        self, splits: Sequence[Split], clinical: pd.DataFrame, y: NDArray[np.int8], memo: Memo
    ) -> list[Floats]:
        """As `fit` and `predict_proba` on each split; coordinates are kept between the trials of a study."""
        self._check_params()
        probabilities = []
        for split in splits:
            design = np.hstack(self._shared_blocks(split, clinical, memo))
            model = self._classifier(design[split.train], y[split.train])
            probabilities.append(np.asarray(model.predict_proba(design[split.test])[:, 1]))
        return probabilities

    def _shared_blocks(self, split: Split, clinical: pd.DataFrame, memo: Memo) -> list[Floats]:
        """The blocks of all patients, in the coordinates that the split's training patients give."""
        trained_on = split.train.tobytes()

        def image() -> Floats:
            pooled = memo.get(("pooled", split.key, self.pooling), lambda: pool(split.bags, self.pooling))
            return PrincipalAxes.fit(pooled[split.train], scale=self.scale).transform(pooled)

        def values() -> Floats:
            pipeline = _clinical_pipeline().fit(clinical.iloc[split.train])
            return np.asarray(pipeline.transform(clinical))

        blocks: list[Floats] = []
        if self.inputs != "clinical":
            kept = memo.get(("axes", split.key, self.pooling, self.scale, trained_on), image)
            blocks.append(kept[:, : self.pca])
        if self.inputs != "image":
            blocks.append(memo.get(("clinical", trained_on), values))
        return blocks

    def _classifier(self, design: Floats, y: NDArray[np.int8]) -> LogisticRegression:
        if len(np.unique(y)) < 2:
            raise InputError("The training patients are all of one class; a head needs both to learn from.")
        # Newton steps: few, exact, and without a tolerance that the probabilities would depend on.
        model = LogisticRegression(
            C=self.C, class_weight=self.class_weight, solver="newton-cholesky", tol=1e-8
        )
        return model.fit(design, y)

    def _check_params(self) -> None:
        legal = {
            "pooling": (self.pooling in POOLINGS, f"one of {', '.join(sorted(POOLINGS))}"),
            "inputs": (self.inputs in INPUTS, f"one of {', '.join(INPUTS)}"),
            "pca": (self.pca is None or (isinstance(self.pca, int) and self.pca >= 1), "None or at least 1"),
            "C": (np.isfinite(self.C) and self.C > 0, "a finite number above 0"),
            "class_weight": (self.class_weight in CLASS_WEIGHTS, "None or 'balanced'"),
        }
        wrong = [
            f"{name} must be {wanted}, not {getattr(self, name)!r}"
            for name, (holds, wanted) in legal.items()
            if not holds
        ]
        if wrong:
            raise InputError(f"PooledLogistic: {'; '.join(wrong)}.")


def _clinical_pipeline() -> Any:
    return make_pipeline(ClinicalFeatures(), StandardScaler())


def suggest(draws: Draws) -> dict[str, Any]:
    """Arguments of `PooledLogistic` to try."""
    params: dict[str, Any] = {
        "inputs": draws.suggest_categorical("inputs", list(INPUTS)),
        "C": draws.suggest_float("C", 1e-3, 1e3, log=True),
        "class_weight": draws.suggest_categorical("class_weight", [None, "balanced"]),
    }
    if params["inputs"] == "clinical":
        return params
    params["pooling"] = draws.suggest_categorical("pooling", sorted(POOLINGS))
    params["scale"] = draws.suggest_categorical("scale", [True, False])
    if draws.suggest_categorical("reduce", [False, True]):
        params["pca"] = draws.suggest_int("pca", 2, 64, log=True)
    return params


def build(params: Mapping[str, Any]) -> PooledLogistic:
    """The head of a point of `suggest`."""
    return PooledLogistic(**params)


_PLAIN = {"C": 1.0, "class_weight": None, "pooling": "mean", "scale": True}
FAMILY = HeadFamily(
    name="logistic",
    summary="Pooled features and clinical values side by side, logistic regression.",
    source="Cox, J. R. Stat. Soc. B 20, 1958",
    cost="cheap",
    space=suggest,
    build=build,
    first=(
        {"inputs": "clinical", "C": 1.0, "class_weight": None},
        {"inputs": "image", **_PLAIN, "reduce": False},
        {"inputs": "both", **_PLAIN, "reduce": False},
        {"inputs": "both", **_PLAIN, "reduce": True, "pca": 32},
        {"inputs": "both", **_PLAIN, "class_weight": "balanced", "pooling": "mean+std", "reduce": False},
    ),
    inputs=INPUTS,
)
