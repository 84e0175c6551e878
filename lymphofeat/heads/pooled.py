"""What all heads on pooled features share: the table of numbers, the check of arguments, the quick way over splits."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from ..cache.bags import Bags
from .base import FitCache, Split, map_splits
from .checks import check_both_classes, check_params, is_whole
from .clinical import SPLINES
from .contributions import Contributions
from .design import ALL_POOLINGS, INPUTS, Design
from .registry import TrialLike

__all__ = ["Legal", "PooledHead", "PooledOptions", "suggest_pooled"]

Floats = NDArray[np.float64]
Legal = dict[str, tuple[bool, str]]

_SAME = 1e-6  # two probabilities that differ by rounding


class PooledOptions(TypedDict, total=False):
    """Arguments that every `PooledHead` takes; see there."""

    pooling: str
    inputs: str
    scale: bool
    pca: int | None
    interaction: bool
    spline: str | None
    cross: bool
    bag_size: bool
    class_weight: str | None


class PooledHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Pooling → scaler → principal axes, beside clinical values → a classifier of a table.

    Everything that is learnt is learnt in `fit`. A subclass says which classifier in `_classifier`, and adds its own
    arguments to `__init__` and to `_parameter_constraints`.

    Args:
        pooling: one of `ALL_POOLINGS`; not looked at for inputs="clinical".
        inputs: "image", "clinical" or "both" (their columns side by side: early fusion).
        scale: whether pooled features are brought to unit variance before the axes are found.
        pca: the number of principal axes kept, at most n_train − 1 and the number of features; None: all.
        interaction: also products of the clinical values.
        spline: None, or "age" or "log_count": also splines of it.
        cross: also products of the 16 widest axes with age and log count; for inputs="both".
        bag_size: also the logarithm of the number of images. A shortcut: it follows the lymphocyte count and the
            laboratory's habits, not the cells; reports name it.
        class_weight: None, or "balanced": both classes weigh the same.

    Attributes:
        design_: the `FittedDesign`.
        classifier_: the fitted classifier of its table.
        classes_: (2,) the labels 0 and 1.
    """

    _rotate = True

    def __init__(
        self,
        *,
        pooling: str = "mean",
        inputs: str = "both",
        scale: bool = True,
        pca: int | None = None,
        interaction: bool = False,
        spline: str | None = None,
        cross: bool = False,
        bag_size: bool = False,
        class_weight: str | None = None,
    ) -> None:
        self.pooling = pooling
        self.inputs = inputs
        self.scale = scale
        self.pca = pca
        self.interaction = interaction
        self.spline = spline
        self.cross = cross
        self.bag_size = bag_size
        self.class_weight = class_weight

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """The constructor's arguments: a subclass's own and, through `**options`, those of `PooledHead`."""
        return sorted({*super()._get_param_names(), *PooledOptions.__annotations__})

    @abstractmethod
    def _classifier(self) -> Any:
        """An unfitted classifier in scikit-learn's manner; with class weights, its `fit` takes `sample_weight`."""

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> Self:
        """Learn from n patients; see `Head`.

        Raises:
            InputError: bad arguments (all are listed), one class only, or features that are not finite.
        """
        check_params(self, self._parameter_constraints())
        check_both_classes(y)
        self.design_ = self._design().fit(bags, clinical)
        self.classifier_ = self._train(self.design_.transform(bags, clinical), y, clinical)
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant; one's own bag and row only decide.

        Raises:
            InputError: a feature is not finite.
        """
        check_is_fitted(self, "classifier_")
        return self._probabilities(self.classifier_, self.design_.transform(bags, clinical))

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
        check_params(self, self._parameter_constraints())
        design = self._design()

        def fitted(split: Split, coordinates: Any) -> Floats:
            labels = y[split.train]
            check_both_classes(labels)
            table = design.of_split(split, coordinates, clinical, fit_cache)
            model = self._train(table[split.train], labels, clinical.iloc[split.train])
            return self._probabilities(model, table[split.test])[:, 1]

        return map_splits(fitted, splits, design.coordinates(splits, fit_cache), fit_cache)

    def _train(self, table: Floats, y: NDArray[np.int8], clinical: pd.DataFrame) -> Any:
        """A fitted classifier of the (n, p) table of the training patients, whose rows in `clinical` these are."""
        classifier = self._classifier()
        if self.class_weight is None:
            return classifier.fit(table, y)
        if not has_fit_parameter(classifier, "sample_weight"):
            raise TypeError(f"{type(classifier).__name__} cannot weigh patients; override _train.")
        return classifier.fit(table, y, sample_weight=compute_sample_weight(self.class_weight, y))

    def _probabilities(self, model: Any, table: Floats) -> Floats:
        return np.asarray(model.predict_proba(table), dtype=np.float64)

    def _design(self) -> Design:
        return Design(
            pooling=self.pooling,
            inputs=self.inputs,
            scale=self.scale,
            pca=self.pca,
            interaction=self.interaction,
            spline=self.spline,
            cross=self.cross,
            bag_size=self.bag_size,
            rotate=self._rotate,
        )

    def _parameter_constraints(self) -> Legal:
        """Per argument, whether its value is legal, and which are."""
        flags = {
            name: (isinstance(getattr(self, name), bool), "True or False")
            for name in ("scale", "interaction", "cross", "bag_size")
        }
        return flags | {
            "pooling": (self.pooling in ALL_POOLINGS, f"one of {', '.join(ALL_POOLINGS)}"),
            "inputs": (self.inputs in INPUTS, f"one of {', '.join(INPUTS)}"),
            "pca": (self.pca is None or is_whole(self.pca), "None or a whole number, 1 or more"),
            "spline": (self.spline in SPLINES, "None, 'age' or 'log_count'"),
            "class_weight": (self.class_weight in (None, "balanced"), "None or 'balanced'"),
        }


def suggest_pooled(draws: TrialLike, *, reduced: bool = False) -> PooledOptions:
    """Draw what every `PooledHead` takes, the bag size apart, which is a shortcut.

    Args:
        draws: the trial.
        reduced: always keep some principal axes only, where a classifier does not work with all.
    """
    inputs = draws.suggest_categorical("inputs", INPUTS)
    options: PooledOptions = {
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
