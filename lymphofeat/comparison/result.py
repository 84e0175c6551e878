"""The scores of compared pipelines, what sets them apart, and what may be concluded."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..estimates.bootstrap import Resampled
from ..estimates.persons import Groups, taken
from ..estimates.scores import Interval, bootstrap
from ..metric import METRICS, find_metric
from .out_of_fold import OutOfFold
from .pipelines import Pipeline

__all__ = ["Comparison", "Measured", "Patients"]

Labels = NDArray[np.int8]


@dataclass(frozen=True)
class Patients:
    """Whom the pipelines are compared on: the labelled patients, in the cache's order.

    Attributes:
        y: (n,) labels.
        folds: (n,) their folds.
        counts: (n,) float64 lymphocyte counts, 10⁹/l, NaN where missing.
        groups: (n,) int64, equal where two records may be of one person; None where no two are.
    """

    y: Labels
    folds: NDArray[np.int8]
    counts: NDArray[np.float64]
    groups: Groups = None

    def __repr__(self) -> str:
        return f"<Patients {len(self.y)}, {int(self.y.sum())} malignant>"

    @property
    def median_count(self) -> float:
        """The median of the known counts; NaN where none is known."""
        known = self.counts[~np.isnan(self.counts)]
        return float(np.median(known)) if len(known) else float("nan")

    @property
    def ambiguous(self) -> NDArray[np.bool_]:
        """(n,) whether the count is known and at most the median: the half that a count alone does not decide."""
        return self.counts <= self.median_count


class Measured:
    """One pipeline's scores on the patients.

    Attributes:
        pipeline: what was measured.
        found: its out-of-fold predictions.
        encoder_seconds: that its encodings took; NaN where not recorded.
        all, ambiguous: per metric, the score on all patients and on those with ambiguous counts; the latter empty where
            these are of one class.
    """

    def __init__(
        self, pipeline: Pipeline, found: OutOfFold, patients: Patients, encoder_seconds: float
    ) -> None:
        self.pipeline, self.found, self.encoder_seconds = pipeline, found, encoder_seconds
        order = _ordering(found.probabilities, patients.folds)
        self.all = _scores(patients, found, order, np.ones(len(patients.y), dtype=bool))
        few = patients.ambiguous
        self.ambiguous = _scores(patients, found, order, few) if len(set(patients.y[few])) == 2 else {}

    def __repr__(self) -> str:
        values = ", ".join(f"{metric} {found.value:.3f}" for metric, found in self.all.items())
        return f"<Measured {self.pipeline.name}: {values}>"

    @property
    def seconds(self) -> float:
        """From pixels to predictions, as far as it was recorded."""
        return self.found.seconds + (0.0 if np.isnan(self.encoder_seconds) else self.encoder_seconds)


def _ordering(probabilities: NDArray[np.float64], folds: NDArray[np.int8]) -> NDArray[np.float64]:
    """What the AUC is taken of: the probabilities, or none of them where every fold has one for all its patients.

    Such constants differ by the training parts' shares only, which are low where the fold's own is high; an AUC of
    them would fall below one half by construction.
    """
    if all(len(np.unique(probabilities[folds == k])) == 1 for k in np.unique(folds)):
        return np.zeros_like(probabilities)
    return probabilities


def _scores(
    patients: Patients, found: OutOfFold, order: NDArray[np.float64], who: NDArray[np.bool_]
) -> dict[str, Resampled]:
    return {
        name: bootstrap(
            name,
            patients.y[who],
            (order if metric.takes == "scores" else found.probabilities)[who],
            decision=found.decisions[who],
            groups=taken(patients.groups, who),
        )
        for name, metric in METRICS.items()
    }


@dataclass(frozen=True)
class Comparison:
    """Pipelines measured on the same patients and folds, the best first.

    Attributes:
        measured: sorted by `metric`, of equals those named first in the alphabet.
        patients: whom on.
        metric: what "best" means.
        source: of the features: the cache's path.
        left_out: a sentence for each pipeline that was not measured, and for each control experiment that is missing.
        digest: of the patients, their labels, values, images and folds, as of `scoring.scored.ScoredPatients`.
    """

    measured: tuple[Measured, ...]
    patients: Patients
    metric: str
    source: str
    left_out: tuple[str, ...] = ()
    digest: str = ""

    @classmethod
    def of(
        cls,
        measured: Sequence[Measured],
        patients: Patients,
        metric: str,
        source: str,
        left_out: Sequence[str],
        digest: str = "",
    ) -> "Comparison":
        """Sort the pipelines.

        Raises:
            InputError: an unknown metric.
        """
        sign = find_metric(metric).sign
        ranked = sorted(measured, key=lambda m: (-sign * m.all[metric].value, m.pipeline.name))
        return cls(tuple(ranked), patients, metric, source, tuple(left_out), digest)

    def __repr__(self) -> str:
        n, patients = len(self.measured), len(self.patients.y)
        return f"<Comparison of {n} pipelines by {self.metric} on {patients} patients; best {self.best!r}>"

    @property
    def table(self) -> pd.DataFrame:
        """One row per pipeline, the best first: pipeline, and per metric its score and the bounds of its interval."""
        rows = []
        for one in self.measured:
            row: dict[str, object] = {"pipeline": one.pipeline.name}
            for metric, found in one.all.items():
                row[metric], row[f"{metric}_low"], row[f"{metric}_high"] = found.interval()
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def best(self) -> Measured:
        return self.measured[0]

    def difference(self, one: Measured, other: Measured, metric: str | None = None) -> Interval:
        """`one` − `other` with its 95 % interval, on the same resamples of the patients."""
        metric = metric or self.metric
        return (one.all[metric] - other.all[metric]).percentile()

    def verdict(self, one: Measured, other: Measured, metric: str | None = None) -> str:
        """ "better", "worse" or "": whether the difference's interval leaves zero out."""
        metric = metric or self.metric
        interval = self.difference(one, other, metric)
        if METRICS[metric].is_worse(interval.low, interval.high):
            return "worse"
        return "better" if interval.low > 0 or interval.high < 0 else ""

    @cached_property
    def tied(self) -> tuple[Measured, ...]:
        """The pipelines behind the best one that cannot be told apart from it."""
        return tuple(m for m in self.measured[1:] if not self.verdict(self.best, m))

    def best_of(self, encoders: Sequence[str], inputs: str, backbone: str = "") -> Measured | None:
        """The best pipeline on one of these kinds of encoder with these inputs, and this backbone if one is named."""
        wanted = (
            m
            for m in self.measured
            if m.pipeline.encoder in encoders
            and m.pipeline.inputs == inputs
            and backbone in ("", m.pipeline.backbone)
        )
        return next(wanted, None)

    def named(self, name: str) -> Measured | None:
        """The pipeline of that name."""
        return next((m for m in self.measured if m.pipeline.name == name), None)
