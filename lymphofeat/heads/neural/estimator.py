"""The heads of this folder as scikit-learn's estimators: coordinates, clinical values, training, averaging."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from ...cache.bags import Bags
from ...cohort.clinical import person_numbers
from ..base import FitCache, HeadMixin, Split
from ..checks import Legal, check_both_classes, check_params, is_above, is_whole
from ..clinical import ClinicalFeatures, clinical_constraints
from ..registry import TrialLike
from .batched import Model, Schedule, predict, train_models
from .instances import MOST_AXES, Coordinates, coordinates_of, coordinates_of_splits
from .network import Layout, Network
from .packing import BagTensors

__all__ = ["FIRST", "INPUTS", "NeuralHead", "suggest_training"]

Floats = NDArray[np.float64]

INPUTS = ("image", "both")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# A first point of every head type here, in the names of `suggest_training`.
FIRST: Mapping[str, Any] = {
    "inputs": "both", "class_weight": None, "pca": 32, "hidden": 32, "learning_rate": 1e-3, "weight_decay": 0.1,
    "instance_dropout": 0.25, "early_stopping": False, "epochs": 20,
}  # fmt: skip
# Instances in the coordinates of several splits that are held at a time.
_HELD_BYTES = 1 << 29


class NeuralHead(HeadMixin, BaseEstimator):  # type: ignore[misc]
    """A network over the instances of a bag, trained by AdamW on the cross-entropy of patients.

    All models of a call (splits × members) are trained together; how many threads share the work is
    `torch.get_num_threads()`, which changes the time only. The same seed gives the same result on the same machine.
    With `early_stopping`, patients are set aside from the training patients alone, records of one person together
    (known by the index of the clinical table, see `cohort.clinical.clinical_frame`).

    Args:
        inputs: "image", or "both": clinical values beside the bag's embedding.
        pca: principal axes of the instances kept (1 to 128); None: the standardised features.
        hidden: width of the hidden layers, ≥ 1.
        epochs: passes over the training patients, ≥ 1.
        batch_size: patients of a step, ≥ 1.
        learning_rate: > 0.
        weight_decay: of AdamW, ≥ 0.
        instance_dropout: share of the images that a pass leaves out, in [0, 1).
        early_stopping: set patients aside, keep the epoch that is best on them, stop after `patience` without
            a better one.
        validation_fraction: share of the training patients set aside, in (0, 1).
        patience: ≥ 1.
        members: models from different seeds whose probabilities are averaged, ≥ 1.
        class_weight: None, or "balanced": both classes weigh the same.
        dtype: "float32", or "bfloat16": matrices are multiplied in bfloat16 and summed in float32; parameters stay
            float32.
        random_state: seed.
        clinical_values, missing_indicator: as of `ClinicalFeatures`.

    Attributes:
        coordinates_: the fitted `Coordinates` of the instances.
        clinical_: the fitted clinical pipeline; None for inputs="image".
        parameters_: (members, P) float32 tensor.
        classes_: (2,) the labels 0 and 1.
    """

    # Of heads stored before there were these arguments: no declared columns, and always the indicators.
    clinical_values: Sequence[str] = ()
    missing_indicator: bool = True

    def __init__(
        self,
        *,
        inputs: str = "both",
        pca: int | None = 64,
        hidden: int = 64,
        epochs: int = 30,
        batch_size: int = 16,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        instance_dropout: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        patience: int = 10,
        members: int = 1,
        class_weight: str | None = None,
        dtype: str = "float32",
        random_state: int = 0,
        clinical_values: Sequence[str] = (),
        missing_indicator: bool = False,
    ) -> None:
        self.inputs = inputs
        self.pca = pca
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.instance_dropout = instance_dropout
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.members = members
        self.class_weight = class_weight
        self.dtype = dtype
        self.random_state = random_state
        self.clinical_values = clinical_values
        self.missing_indicator = missing_indicator

    @abstractmethod
    def _network(self) -> Network:
        """The network that the parameters stand for."""

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: NDArray[np.int8]) -> Self:
        """Learn from n patients; see `Head`.

        Raises:
            InputError: bad parameters (all are listed), one class only, or features that are not finite.
        """
        self._check_params()
        check_both_classes(y)
        self.coordinates_ = coordinates_of(bags, self.pca)
        self.clinical_ = self._clinical_pipeline(clinical)
        data = self._tensors(self.coordinates_, self.clinical_, bags, clinical)
        models = self._models(data, clinical, y)
        layout = self._layout(data)
        self.parameters_ = train_models(
            self._network(), models, self._schedule(), layout, torch.get_num_threads()
        )
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant; one's own bag and row only decide.

        Raises:
            InputError: a feature is not finite.
        """
        check_is_fitted(self, "parameters_")
        data = self._tensors(self.coordinates_, self.clinical_, bags, clinical)
        p = self._predict(self.parameters_, data, np.arange(len(bags)))
        return np.stack([1 - p, p], axis=1)

    def fit_predict_splits(
        self, splits: Sequence[Split], clinical: pd.DataFrame, y: NDArray[np.int8], fit_cache: FitCache
    ) -> list[Floats]:
        """As `fit` and `predict_proba` on each split, all models trained together."""
        self._check_params()
        for split in splits:
            check_both_classes(y[split.train])
        coordinates = coordinates_of_splits(splits, self.pca, fit_cache)
        probabilities: list[Floats] = []
        for some in self._waves(splits):
            probabilities.extend(
                self._wave([splits[i] for i in some], [coordinates[i] for i in some], clinical, y)
            )
        return probabilities

    def _wave(
        self, splits: Sequence[Split], coordinates: Sequence[Coordinates], clinical: pd.DataFrame,
        y: NDArray[np.int8],
    ) -> list[Floats]:  # fmt: skip
        """Splits whose instances are held in memory together."""
        data = []
        models: list[Model] = []
        for split, axes in zip(splits, coordinates, strict=True):
            rows = np.concatenate([split.train, split.test])
            pipeline = self._clinical_pipeline(clinical.iloc[split.train])
            data.append(self._tensors(axes, pipeline, split.bags.select(rows), clinical.iloc[rows]))
            models.extend(self._models(data[-1], clinical.iloc[split.train], y[split.train]))
        layout = self._layout(data[0])
        trained = train_models(
            self._network(), models, self._schedule(), layout, torch.get_num_threads()
        ).view(len(splits), self.members, layout.size)
        return [
            self._predict(parameters, one, len(split.train) + np.arange(len(split.test)))
            for parameters, one, split in zip(trained, data, splits, strict=True)
        ]

    def _waves(self, splits: Sequence[Split]) -> list[range]:
        if not splits:
            return []
        bags = splits[0].bags
        width = bags.dim if self.pca is None else min(self.pca, bags.dim)
        size = int(bags.lengths.sum()) * width * DTYPES[self.dtype].itemsize
        step = max(2, _HELD_BYTES // size)
        return [range(i, min(i + step, len(splits))) for i in range(0, len(splits), step)]

    def _models(self, data: BagTensors, clinical: pd.DataFrame, y: NDArray[np.int8]) -> list[Model]:
        """One for each member, trained on the first len(y) bags of `data`."""
        train = np.arange(len(y))
        who = person_numbers(clinical)
        seeds = np.random.SeedSequence(self.random_state).generate_state(self.members)
        return [Model(data, train, y, who, int(seed)) for seed in seeds]

    def _predict(self, parameters: torch.Tensor, data: BagTensors, bags: NDArray[np.int64]) -> Floats:
        logits = predict(self._network(), parameters, self._layout(data), data, bags)
        return np.asarray(expit(logits).mean(axis=0))

    def _tensors(
        self, coordinates: Coordinates, pipeline: Any, bags: Bags, clinical: pd.DataFrame
    ) -> BagTensors:
        values = np.empty((len(bags), 0)) if pipeline is None else pipeline.transform(clinical)
        rows = coordinates.transform(bags, DTYPES[self.dtype])
        return BagTensors(rows, bags.lengths, torch.from_numpy(values).float())

    def _clinical_pipeline(self, clinical: pd.DataFrame) -> Any:
        if self.inputs == "image":
            return None
        features = ClinicalFeatures(
            clinical_values=self.clinical_values, missing_indicator=self.missing_indicator
        )
        return make_pipeline(features, StandardScaler()).fit(clinical)

    def _layout(self, data: BagTensors) -> Layout:
        return Layout(self._network().weights(data.rows.shape[1], data.clinical.shape[1]))

    def _schedule(self) -> Schedule:
        return Schedule(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            dropout=self.instance_dropout,
            balanced=self.class_weight == "balanced",
            watched=self.validation_fraction if self.early_stopping else 0.0,
            patience=self.patience,
        )

    def _check_params(self) -> None:
        legal: Legal = clinical_constraints(self) | {
            "inputs": (self.inputs in INPUTS, "'image' or 'both'"),
            "pca": (
                self.pca is None or (is_whole(self.pca) and self.pca <= MOST_AXES),
                f"None or 1 to {MOST_AXES}",
            ),
            "learning_rate": (is_above(self.learning_rate), "a number above 0"),
            "weight_decay": (_from_zero(self.weight_decay), "a number, 0 or more"),
            "instance_dropout": (
                _from_zero(self.instance_dropout) and self.instance_dropout < 1,
                "at least 0 and below 1",
            ),
            "early_stopping": (isinstance(self.early_stopping, bool), "True or False"),
            "validation_fraction": (
                is_above(self.validation_fraction) and self.validation_fraction < 1,
                "between 0 and 1",
            ),
            "class_weight": (self.class_weight in (None, "balanced"), "None or 'balanced'"),
            "dtype": (self.dtype in DTYPES, "'float32' or 'bfloat16'"),
            "random_state": (is_whole(self.random_state, 0), "a whole number, 0 or more"),
        }
        for name in ("hidden", "epochs", "batch_size", "patience", "members"):
            legal[name] = (is_whole(getattr(self, name)), "a whole number, 1 or more")
        check_params(self, legal)


def suggest_training(
    draws: TrialLike,
    *,
    widths: Sequence[int] = (16, 32, 64, 128),
    dropouts: Sequence[float] = (0.0, 0.25, 0.5),
    most_epochs: int = 40,
) -> dict[str, Any]:
    """What all heads of this folder are tried with.

    Args:
        draws: the trial.
        widths, dropouts: values of `hidden` and `instance_dropout`.
        most_epochs: as many with early stopping, at most as many without.

    Returns:
        Arguments of the head's constructor.
    """
    params: dict[str, Any] = {
        "inputs": draws.suggest_categorical("inputs", INPUTS),
        "class_weight": draws.suggest_categorical("class_weight", (None, "balanced")),
        "pca": draws.suggest_categorical("pca", (16, 32, 64)),
        "hidden": draws.suggest_categorical("hidden", tuple(widths)),
        "learning_rate": draws.suggest_float("learning_rate", 2e-4, 5e-3, log=True),
        "weight_decay": draws.suggest_float("weight_decay", 1e-3, 1.0, log=True),
        "instance_dropout": draws.suggest_categorical("instance_dropout", tuple(dropouts)),
        "early_stopping": draws.suggest_categorical("early_stopping", (False, True)),
    }
    if params["early_stopping"]:
        return params | {"epochs": most_epochs}
    return params | {"epochs": draws.suggest_int("epochs", 5, most_epochs, log=True)}


def _from_zero(value: object) -> bool:
    return is_above(value) or value == 0
