"""What the scores on a model card rest on: predictions of patients by models that did not see them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..estimates.persons import Groups
from ..estimates.scores import ClassWeights, Interval, bootstrap
from ..estimates.subgroups import Subgroup, describe_subgroups
from ..metric import METRICS
from .evaluation import Reported

__all__ = ["Evidence"]

_OLD = 65.0  # years


@dataclass(frozen=True)
class Evidence:
    """Predictions of labelled patients by models that did not see them.

    Attributes:
        y: (n,) labels.
        probabilities, decisions: (n, runs).
        patients: (n,) rows of the cache's table.
        nested: the name of the nested cross-validation they come from; None: selected out-of-fold predictions.
        caveat: what has to be said with them.
        reported: scores of a nested evaluation, if its report was given.
        groups: (n,) int64, equal where two records may be of one person; None where no two are.
    """

    y: NDArray[np.int8]
    probabilities: NDArray[np.float64]
    decisions: NDArray[np.bool_]
    patients: pd.DataFrame
    nested: str | None
    caveat: str
    reported: Reported | None = None
    groups: Groups = None

    @property
    def is_nested(self) -> bool:
        """Whether the scores are of a nested evaluation, so that they may be quoted."""
        return self.nested is not None or self.reported is not None

    def scores(self, class_weights: ClassWeights) -> dict[str, Interval]:
        """Per metric the score: as reported, else averaged over the runs, with the bootstrap interval by patient."""
        if self.reported is not None:
            return dict(self.reported.scores)
        return {
            metric: bootstrap(
                metric,
                self.y,
                self.probabilities,
                decision=self.decisions,
                class_weights=class_weights,
                groups=self.groups,
            ).interval()
            for metric in METRICS
        }

    @cached_property
    def subgroups(self) -> list[Subgroup]:
        """Balanced accuracy and AUC of women and men, by age, count and number of images."""
        return describe_subgroups(
            self.y,
            self.probabilities.mean(axis=1),
            self.decisions.mean(axis=1) >= 0.5,
            _masks(self.patients),
            names=("balanced_accuracy", "auc"),
            groups=self.groups,
        )


def _masks(patients: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    age, count = (patients[name].to_numpy(np.float64) for name in ("age", "lymphocyte_count"))
    sex, size = patients["sex"].to_numpy(), patients["n_images"].to_numpy()
    middle, half = float(np.nanmedian(count)) if np.isfinite(count).any() else 0.0, float(np.median(size))
    masks = {
        "women": sex == "F",
        "men": sex == "M",
        f"under {_OLD:g} years": age < _OLD,
        f"{_OLD:g} years and older": age >= _OLD,
        "count in the lower half": count <= middle,
        "count in the upper half": count > middle,
        "fewer images": size <= half,
        "more images": size > half,
    }
    return {name: np.asarray(mask, dtype=bool) for name, mask in masks.items()}
