"""Every image is classified with its patient's label; the patient is what its images' probabilities add up to.

The multiple-instance baseline ("SI" in Ray & Craven, ICML 2005; the "instance-space paradigm" of Amores, Artificial
Intelligence 201, 2013). Most labels of images are wrong where few cells are ill, and yet the shares tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted

from ..cache.bags import Bags
from ..cache.pooling import POOLINGS, pool
from .base import FitCache, HeadMixin, Split, map_splits
from .checks import check_both_classes, check_params, is_above, is_whole
from .clinical import ClinicalFeatures, clinical_constraints
from .inner import inner_folds
from .registry import HeadType, TrialLike
from .regression import exact_regression

if TYPE_CHECKING:  # it needs torch, which takes a second to import
    from .neural.instances import Coordinates

__all__ = ["HEAD_TYPE", "InstanceLevel"]

Floats = NDArray[np.float64]

INPUTS = ("image", "both")
_MOST_AXES = 128  # as many as instances have coordinates
_INNER_FOLDS = 3


class InstanceLevel(HeadMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression of images, and one of patients on the pooled probabilities of their images.

    The images' regression sees principal axes of the instances; each patient weighs the same, however many images it
    has. The patients' regression learns from probabilities of images whose patients the first one did not see (inner
    folds of the training patients, one person in one fold); clinical values stand beside them if asked for.

    Args:
        inputs: "image" or "both".
        aggregate: a key of `POOLINGS`, how a bag's probabilities are pooled.
        pca: principal axes of the instances, 1 to 128.
        C: inverse strength of the images' L2 penalty, with patients counted, not images, > 0.
        link_C: inverse strength of the patients' L2 penalty, > 0.
        class_weight: None, or "balanced": both classes weigh the same.
        random_state: of the inner folds.
        clinical_values, missing_indicator: as of `ClinicalFeatures`.

    Attributes:
        model_: the fitted `_Model`.
        classes_: (2,) the labels 0 and 1.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    # Of heads stored before there were these arguments: no declared columns, and always the indicators.
    clinical_values: Sequence[str] = ()
    missing_indicator: bool = True

    def __init__(
        self,
        *,
        inputs: str = "both",
        aggregate: str = "mean",
        pca: int = 16,
        C: float = 1.0,
        link_C: float = 1.0,
        class_weight: str | None = None,
        random_state: int = 0,
        clinical_values: Sequence[str] = (),
        missing_indicator: bool = False,
    ) -> None:
        self.inputs = inputs
        self.aggregate = aggregate
        self.pca = pca
        self.C = C
        self.link_C = link_C
        self.class_weight = class_weight
        self.random_state = random_state
        self.clinical_values = clinical_values
        self.missing_indicator = missing_indicator

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> "InstanceLevel":
        """Learn from n patients; see `Head`.

        Raises:
            InputError: bad arguments (all are listed), one class only or a single patient of one, or features that
                are not finite.
        """
        from .neural.instances import coordinates_of

        self._check_params()
        check_both_classes(y)
        self.model_ = self._model(coordinates_of(bags, self.pca), bags, clinical, y)
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant; one's own bag and row only decide."""
        check_is_fitted(self, "model_")
        return self.model_.predict_proba(bags, clinical)

    def fit_predict_splits(
        self, splits: Sequence[Split], clinical: pd.DataFrame, y: NDArray[np.int8], fit_cache: FitCache
    ) -> list[Floats]:
        """As `fit` and `predict_proba` on each split; the instances' axes are kept between the trials of a study."""
        from .neural.instances import coordinates_of_splits

        self._check_params()

        def fitted(split: Split, coordinates: "Coordinates") -> Floats:
            train, test = split.train, split.test
            check_both_classes(y[train])
            model = self._model(coordinates, split.bags.select(train), clinical.iloc[train], y[train])
            return model.predict_proba(split.bags.select(test), clinical.iloc[test])[:, 1]

        return map_splits(fitted, splits, coordinates_of_splits(splits, self.pca, fit_cache), fit_cache)

    def instance_probabilities(self, bags: Bags) -> list[Floats]:
        """Per bag, (n_i,) float64: each image's probability to be one of a malignant patient."""
        check_is_fitted(self, "model_")
        return np.split(self.model_.of_images(bags), np.cumsum(bags.lengths)[:-1])

    def _model(
        self, coordinates: "Coordinates", bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]
    ) -> "_Model":
        rows = coordinates.transform(bags).numpy().astype(np.float64)
        patient = np.repeat(np.arange(len(bags)), bags.lengths)
        weights = compute_sample_weight(self.class_weight, y)
        held_out = np.empty(len(rows))
        for train, test in inner_folds(clinical, y, _INNER_FOLDS, self.random_state):
            inside, outside = np.isin(patient, train), np.isin(patient, test)
            images = self._images(rows[inside], patient[inside], bags.lengths, y, weights)
            held_out[outside] = images.predict_proba(rows[outside])[:, 1]
        features = ClinicalFeatures(
            clinical_values=self.clinical_values, missing_indicator=self.missing_indicator
        )
        values = None if self.inputs == "image" else features.fit(clinical)
        images = self._images(rows, patient, bags.lengths, y, weights)
        link = Pipeline([("scale", StandardScaler()), ("regression", exact_regression(self.link_C))])
        table = _table(held_out, bags.lengths, self.aggregate, values, clinical)
        link.fit(table, y, regression__sample_weight=weights)
        return _Model(coordinates, images, self.aggregate, values, link)

    def _images(
        self, rows: Floats, patient: NDArray[np.int64], lengths: NDArray[np.int64], y: NDArray[np.int8],
        weights: Floats,
    ) -> LogisticRegression:  # fmt: skip
        return exact_regression(self.C).fit(rows, y[patient], sample_weight=(weights / lengths)[patient])

    def _check_params(self) -> None:
        check_params(
            self,
            clinical_constraints(self)
            | {
                "inputs": (self.inputs in INPUTS, "'image' or 'both'"),
                "aggregate": (self.aggregate in POOLINGS, f"one of {', '.join(sorted(POOLINGS))}"),
                "pca": (
                    is_whole(self.pca) and self.pca <= _MOST_AXES,
                    f"a whole number from 1 to {_MOST_AXES}",
                ),
                "C": (is_above(self.C), "a finite number above 0"),
                "link_C": (is_above(self.link_C), "a finite number above 0"),
                "class_weight": (self.class_weight in (None, "balanced"), "None or 'balanced'"),
                "random_state": (is_whole(self.random_state, 0), "a whole number, 0 or more"),
            },
        )


@dataclass(frozen=True)
class _Model:
    """What `fit` learnt: coordinates, the images' regression, the clinical features, the patients' regression."""

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    coordinates: "Coordinates"
    images: LogisticRegression
    aggregate: str
    clinical: ClinicalFeatures | None
    link: Any

    def of_images(self, bags: Bags) -> Floats:
        """(n_images,) probabilities, bags one behind the other."""
        rows = self.coordinates.transform(bags).numpy().astype(np.float64)
        return np.asarray(self.images.predict_proba(rows)[:, 1])

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, 2) float64."""
        table = _table(self.of_images(bags), bags.lengths, self.aggregate, self.clinical, clinical)
        return np.asarray(self.link.predict_proba(table))


def _table(
    p: Floats,
    lengths: NDArray[np.int64],
    aggregate: str,
    features: ClinicalFeatures | None,
    clinical: pd.DataFrame,
) -> Floats:
    """(n, q) pooled probabilities of images, clinical values beside them."""
    of_images = Bags(p[:, None].astype(np.float32), np.cumsum(lengths) - lengths, lengths)
    pooled = pool(of_images, aggregate)
    return pooled if features is None else np.hstack([pooled, features.transform(clinical)])


def suggest(draws: TrialLike) -> dict[str, Any]:
    """Arguments of `InstanceLevel` to try."""
    return {
        "inputs": draws.suggest_categorical("inputs", INPUTS),
        "class_weight": draws.suggest_categorical("class_weight", (None, "balanced")),
        "aggregate": draws.suggest_categorical("aggregate", ("mean", "mean+std", "quantiles", "top-mean")),
        "pca": draws.suggest_categorical("pca", (4, 8, 16, 32)),
        "C": draws.suggest_float("C", 1e-3, 1e2, log=True),
        "link_C": draws.suggest_float("link_C", 1e-2, 1e1, log=True),
    }


_FIRST = {"class_weight": None, "aggregate": "mean", "pca": 16, "C": 1.0, "link_C": 1.0}

HEAD_TYPE = HeadType(
    name="instances",
    summary="Every image is classified with its patient's label, the probabilities are pooled.",
    source="Ray & Craven, ICML 2005; Amores, Artificial Intelligence 201, 2013",
    cost="moderate",
    space=suggest,
    build=InstanceLevel,
    default_params=({"inputs": "image", **_FIRST}, {"inputs": "both", **_FIRST}),
    check=lambda clinical, y: inner_folds(clinical, y, _INNER_FOLDS, 0),
    declared_values=True,
)
