"""Heads by composition: a design makes bags and clinical rows a table, a classifier classifies it."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, clone
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from ..cache.bags import Bags
from ..cohort.clinical import person_numbers
from ..errors import InputError
from .base import FitCache, HeadMixin, Split, map_splits
from .checks import Constrained, Legal, check_both_classes, check_params
from .clinical import SPLINES
from .contributions import Contributions
from .design import ALL_POOLINGS, INPUTS, Design
from .registry import TrialLike

__all__ = ["PooledHead", "pooled", "suggest_pooled"]

Floats = NDArray[np.float64]

_SAME = 1e-6  # two probabilities that differ by rounding


class PooledHead(HeadMixin, BaseEstimator):  # type: ignore[misc]
    """A table of pooled features and clinical values, and any classifier of it.

    Everything that is learnt is learnt in `fit`. Beside the table and the labels, the classifier's `fit` is given those
    of these keywords that it has: `groups`, (n,) int64, equal where two patients may be one person; `design`, the
    unfitted `Design`; `sample_weight`, for `class_weight`.

    Args:
        design: what the table holds.
        classifier: in scikit-learn's manner: `fit(table, y)`, `predict_proba(table)`, clone-able.
        class_weight: "balanced": both classes weigh the same, by the classifier's own argument `class_weight` if it has
            one, else by `sample_weight`. None: as the classifier has it.

    Attributes:
        design_: the fitted `Design`.
        classifier_: the fitted classifier of its table.
        classes_: (2,) the labels 0 and 1.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(self, *, design: Design, classifier: Any, class_weight: str | None = None) -> None:
        self.design = design
        self.classifier = classifier
        self.class_weight = class_weight

    @property
    def inputs(self) -> str:
        """What the head is given: "image", "clinical" or "both"."""
        return self.design.inputs

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> Self:
        """Learn from n patients; see `Head`.

        Raises:
            InputError: bad arguments (all are listed), one class only, or features that are not finite.
        """
        self._check_params()
        check_both_classes(y)
        self.design_ = clone(self.design).fit(bags, clinical)
        self.classifier_ = self._trained(self.design_.transform(bags, clinical), y, clinical)
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant; one's own bag and row only decide.

        Raises:
            InputError: a feature is not finite.
        """
        check_is_fitted(self, "classifier_")
        table = self.design_.transform(bags, clinical)
        return np.asarray(self.classifier_.predict_proba(table), dtype=np.float64)

    def image_contributions(self, bags: Bags, clinical: pd.DataFrame) -> Contributions | None:
        """What each image adds to the log-odds; see `ExplainsImages`.

        Returns:
            None without mean pooling, or where the classifier is not linear. It is linear if it has `coef_` and
            `intercept_` as scikit-learn's have, and the sums have the probabilities of `predict_proba`.
        """
        check_is_fitted(self, "classifier_")
        if not hasattr(self.classifier_, "coef_"):
            return None
        weights = np.asarray(self.classifier_.coef_, dtype=np.float64).reshape(-1)
        start = float(np.asarray(self.classifier_.intercept_).reshape(-1)[0])
        found = self.design_.contributions(bags, clinical, weights, start)
        if found is None:
            return None
        p = self.predict_proba(bags, clinical)[:, 1]
        return found if np.allclose(expit(found.logits), p, rtol=0, atol=_SAME) else None

    def fit_predict_splits(
        self, splits: Sequence[Split], clinical: pd.DataFrame, y: NDArray[np.int8], fit_cache: FitCache
    ) -> list[Floats]:
        """As `fit` and `predict_proba` on each split; tables are kept between the trials of a study."""
        self._check_params()

        def fitted(split: Split, coordinates: Any) -> Floats:
            labels = y[split.train]
            check_both_classes(labels)
            table = self.design.of_split(split, coordinates, clinical, fit_cache)
            model = self._trained(table[split.train], labels, clinical.iloc[split.train])
            return np.asarray(model.predict_proba(table[split.test]), dtype=np.float64)[:, 1]

        return map_splits(fitted, splits, self.design.coordinates(splits, fit_cache), fit_cache)

    def _trained(self, table: Floats, y: NDArray[np.int8], clinical: pd.DataFrame) -> Any:
        """A fitted classifier of the (n, p) table of the training patients, whose rows in `clinical` these are."""
        classifier = clone(self.classifier)
        known: dict[str, Any] = {}
        if self.class_weight is not None:
            if "class_weight" in classifier.get_params():
                classifier.set_params(class_weight=self.class_weight)
            elif has_fit_parameter(classifier, "sample_weight"):
                known["sample_weight"] = compute_sample_weight(self.class_weight, y)
            else:
                raise InputError(
                    f"{type(classifier).__name__} cannot weigh patients; leave class_weight at None."
                )
        if has_fit_parameter(classifier, "groups"):
            known["groups"] = person_numbers(clinical)
        if has_fit_parameter(classifier, "design"):
            known["design"] = self.design.named_for(clinical)
        return classifier.fit(table, y, **known)

    def _check_params(self) -> None:
        legal: Legal = {
            "design": (isinstance(self.design, Design), "a Design"),
            "classifier": (hasattr(self.classifier, "predict_proba"), "a classifier with predict_proba"),
            "class_weight": (self.class_weight in (None, "balanced"), "None or 'balanced'"),
        }
        for name in ("design", "classifier"):
            part = getattr(self, name)
            if isinstance(part, Constrained):
                legal |= {f"{name}__{own}": fact for own, fact in part._parameter_constraints().items()}
        check_params(self, legal)


_OF_DESIGN = frozenset(Design().get_params())


def pooled(classifier: type, /, *, class_weight: str | None = None, **arguments: Any) -> PooledHead:
    """A `PooledHead` from arguments in one row: those of `Design` by their names, all others are the classifier's.

    Args:
        classifier: the class.
        class_weight: as `PooledHead`.
        arguments: of `Design` and of the classifier.
    """
    design = {name: value for name, value in arguments.items() if name in _OF_DESIGN}
    own = {name: value for name, value in arguments.items() if name not in _OF_DESIGN}
    return PooledHead(design=Design(**design), classifier=classifier(**own), class_weight=class_weight)


def suggest_pooled(draws: TrialLike, *, reduced: bool = False) -> dict[str, Any]:
    """Draw arguments of `pooled`: the class weight and those of `Design`, but the bag size, which is a shortcut.

    Args:
        draws: the trial.
        reduced: always keep some principal axes only, where a classifier does not work with all.
    """
    inputs = draws.suggest_categorical("inputs", INPUTS)
    options: dict[str, Any] = {
        "inputs": inputs,
        "class_weight": draws.suggest_categorical("class_weight", (None, "balanced")),
    }
    if inputs != "clinical":
        options["pooling"] = draws.suggest_categorical("pooling", ALL_POOLINGS)
        options["scale"] = draws.suggest_categorical("scale", (True, False))
        if reduced or draws.suggest_categorical("reduce", (False, True)):
            options["pca"] = draws.suggest_int("pca", 2, 64, log=True)
    if inputs != "image":
        options["interaction"] = draws.suggest_categorical("interaction", (False, True))
        options["spline"] = draws.suggest_categorical("spline", SPLINES)
    if inputs == "both":
        options["cross"] = draws.suggest_categorical("cross", (False, True))
    return options
