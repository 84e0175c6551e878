"""What a pipeline adds to its control experiments, and the simplest one within reach of the best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..estimates import holm, mcnemar, resample
from ..estimates.scores import Interval
from ..metric import METRICS
from ..nested.result import Nested
from .runs import Runs, check_same_patients, compare_runs, corrected_over_folds

__all__ = [
    "COMPARED",
    "Difference",
    "OneStandardError",
    "differences",
    "one_standard_error",
    "pipelines",
    "role_of",
    "simplicity",
]

COMPARED = ("balanced_accuracy", "auc")
# From the simplest: no image is taken; no clinical value, or an encoder that nobody has to train; everything.
_SIMPLICITY = ("clinical", "image", "slide", "untrained", "whole")
_SHUFFLED = "shuffled"
_LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """Main less other, by one metric, on the same patients.

    Attributes:
        main, other: names of the pipelines.
        role: of the other, see `role_of`.
        metric: of `COMPARED`.
        difference: with its 95 % percentile interval, scores averaged over the runs on the same resamples.
        p_value: two-sided bootstrap p-value.
        p_holm: adjusted for all differences that are reported together.
        only_main, only_other: patients that only this one decides rightly, by the majority of its runs; of persons with
            several records, those of whom it decides more rightly.
        p_mcnemar: McNemar's exact test of these.
    """

    main: str
    other: str
    role: str
    metric: str
    difference: Interval
    p_value: float
    p_holm: float
    only_main: int
    only_other: int
    p_mcnemar: float

    @property
    def alone(self) -> str:
        """ "better", "worse" or "": whether the interval leaves zero out, as if this were the only comparison."""
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else ""

    @property
    def verdict(self) -> str:
        """`alone` where it stands beside all the other comparisons, Holm's p-value at most 5 %; else ""."""
        return self.alone if self.p_holm <= _LEVEL else ""


@dataclass(frozen=True)
class OneStandardError:
    """The one-standard-error rule (Breiman et al. 1984, section 3.4.3) on one metric.

    Attributes:
        metric: the metric.
        best: name of the best candidate.
        simplest: the simplest one whose score is at most one standard error of the best's from it.
        error: that standard error: the standard deviation of the best's score over resamples of the patients.
        table: one row per candidate, the simplest first: name, simplicity (rank), score, within.
    """

    metric: str
    best: str
    simplest: str
    error: float
    table: pd.DataFrame

    def __repr__(self) -> str:
        return f"<OneStandardError by {self.metric}: simplest {self.simplest}, best {self.best} of {len(self.table)}>"


def role_of(nested: Nested, main: Nested | None = None) -> str:
    """What a pipeline is to the main one: "clinical", "image", "slide", "untrained", "shuffled" or "whole".

    Known by its labels, its inputs and, for the untrained encoder and the slide around the cells, by its name.
    """
    shuffled = main is not None and not np.array_equal(nested.y, main.y)
    if shuffled or nested.name.startswith(_SHUFFLED):
        return _SHUFFLED
    if tuple(nested.inputs) == ("clinical",):
        return "clinical"
    if nested.name.startswith("untrained"):
        return "untrained"
    if nested.name.startswith("slide"):
        return "slide"
    return "image" if tuple(nested.inputs) == ("image",) else "whole"


def differences(
    main: Nested, others: Sequence[Nested], *, n_resamples: int = 2000, seed: int = 0
) -> list[Difference]:
    """Main against each of the others on `COMPARED`; those on shuffled labels are left out.

    Raises:
        InputError: pipelines on different patients, or not complete.
    """
    found: list[Difference] = []
    here = Runs.of(main)
    for other in others:
        if role_of(other, main) == _SHUFFLED:
            continue
        check_same_patients(main, other)
        there = Runs.of(other)
        apart = mcnemar(main.y, _majority(here), _majority(there), main.groups)
        for metric in COMPARED:
            tested = compare_runs(here, there, metric, n_resamples=n_resamples, seed=seed)
            found.append(
                Difference(
                    main.name,
                    other.name,
                    role_of(other),
                    metric,
                    tested.difference,
                    tested.p_value,
                    float("nan"),
                    apart.only_first,
                    apart.only_second,
                    apart.p_value,
                )
            )
    adjusted = holm([d.p_value for d in found]).tolist()
    return [Difference(**{**vars(d), "p_holm": float(p)}) for d, p in zip(found, adjusted, strict=True)]


def pipelines(everyone: Sequence[Nested], *, n_resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """One row per pipeline: pipeline, encoding, inputs, runs, then each of `COMPARED` with 95 % bounds.

    The bounds `_low`, `_high` are by patient; `_t`, `_t_low`, `_t_high` are the corrected repeated k-fold t interval of
    the folds' mean, empty where a fold holds one class only.
    """
    rows = []
    for nested in everyone:
        row = {
            "pipeline": nested.name, "encoding": nested.encoding, "inputs": "+".join(nested.inputs),
            "runs": nested.n_runs,
        }  # fmt: skip
        scores = Runs.of(nested).describe(COMPARED, n_resamples=n_resamples, seed=seed)
        for metric, interval in scores.items():
            folds = corrected_over_folds(nested, metric)
            row |= {metric: interval.value, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
            row |= {f"{metric}_t": folds.value, f"{metric}_t_low": folds.low, f"{metric}_t_high": folds.high}
        rows.append(row)
    return pd.DataFrame(rows)


def simplicity(nested: Nested) -> int:
    """Rank of a pipeline, 0 the simplest: clinical only < images only < slide only < untrained encoder <
    everything."""
    return _SIMPLICITY.index(role_of(nested))


def one_standard_error(
    candidates: Sequence[tuple[str, int, Runs]], metric: str, *, n_resamples: int = 2000, seed: int = 0
) -> OneStandardError:
    """Apply the rule.

    Args:
        candidates: name, rank of simplicity (0 the simplest) and predictions of each, on the same patients.
        metric: one of `metric.METRICS`.
        n_resamples, seed: of the bootstrap behind the standard error.

    Of equally simple ones within reach the better is taken.
    """
    sign = METRICS[metric].sign
    scored = [(name, rank, sign * runs.value(metric), runs) for name, rank, runs in candidates]
    best = max(scored, key=lambda c: c[2])
    runs = best[3]
    found = resample(runs.weighted(metric), runs.y, groups=runs.groups, n_resamples=n_resamples, seed=seed)
    error = float(found.resampled.std(ddof=1))
    ranked = sorted(scored, key=lambda c: (c[1], -c[2]))
    within = [c[2] >= best[2] - error for c in ranked]
    table = pd.DataFrame(
        {
            "name": [c[0] for c in ranked],
            "simplicity": [c[1] for c in ranked],
            "score": [sign * c[2] for c in ranked],
            "within": within,
        }
    )
    return OneStandardError(metric, best[0], ranked[within.index(True)][0], error, table)


def _majority(runs: Runs) -> NDArray[np.bool_]:
    """(n,) the decision of most runs; of a tie, malignant."""
    return np.asarray(runs.decisions.mean(axis=1) >= 0.5)
