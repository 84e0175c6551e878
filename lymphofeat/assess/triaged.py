"""Deciding some patients and referring others: the target error, and the error observed on patients not used for the
rule.

The folds' heads have different thresholds and are not equally certain of themselves. On the scale of log-odds every
probability is moved by its fold's threshold, so that all have the threshold 0.5, and stretched by the slope of the
fold's Platt calibration; both come from the training part of the fold, never from the patients they are used on. A rule
is found on the nested predictions of all patients, which is what would be deployed. Beside it stands what was measured
by cross-fitting: for each fold the rule found on the other folds' patients decides the fold's.

Where persons have several records, rules are found on one record of each person, since their target errors are for
independent patients; what they decide counts all records.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from ..estimates import REFER, Conformal, PlattCalibrator, Triage, split_conformal, triage
from ..estimates._logistic import log_odds
from ..estimates.exact import share_interval_over_runs
from ..estimates.persons import one_row_each
from ..estimates.risk_coverage import aurc, aurc_interval, risk_coverage
from ..estimates.scores import Interval
from ..nested.result import Nested
from .calibrated import inner_of

__all__ = ["CONFIDENCES", "ERRORS", "centred", "risk_coverage_table", "triage_table"]

Floats = NDArray[np.float64]
Rule = Triage | Conformal
Finder = Callable[[NDArray[np.int8], Floats], Rule]

ERRORS = (0.05, 0.10)
CONFIDENCES = (0.95, 0.90)
_CUT = 0.5
_LEAST_SLOPE = 1e-3  # a head that says nothing is certain of nothing, and still has its decisions
_COVERAGES = np.arange(1, 21) / 20


def centred(nested: Nested) -> Floats:
    """(n, runs) float64: σ(b (logit p − logit threshold)), b the fold's Platt slope; 1 without inner predictions."""
    found = np.full(nested.probabilities.shape, np.nan)
    for fold in nested.folds_of_runs:
        inner = inner_of(nested, fold)
        slope = 1.0
        if inner is not None:
            y, p = inner
            slope = max(PlattCalibrator().fit(p, y).slope_, _LEAST_SLOPE)
        threshold = log_odds(np.array([fold.threshold]))
        found[fold.rows, fold.run] = expit(slope * (log_odds(fold.probabilities) - threshold))
    return found


def triage_table(
    nested: Nested, errors: Sequence[float] = ERRORS, confidences: Sequence[float] = CONFIDENCES
) -> pd.DataFrame:
    """One row per rule, target error and confidence.

    Columns: rule ("triage", "conformal", "conformal by class"), target_error, of (whom the target is about),
    confidence; found on all patients: decided (share), wrong (share of the decided), limit (surer patients are decided;
    of conformal sets the smaller of the two classes' limits); by cross-fitting: measured_decided, measured_wrong with
    exact 95 % bounds, measured_wrong_of_all, referred (patients). Numbers are means over the runs; bounds are of the
    rounded mean counts, empty where nobody is decided.
    """
    values = centred(nested)
    rows = []
    for error in errors:
        for confidence in confidences:
            for rule, (of, find) in _rules(error, confidence).items():
                row = {"rule": rule, "target_error": error, "of": of, "confidence": confidence}
                rows.append(row | _measured(nested, values, find))
    return pd.DataFrame(rows)


def risk_coverage_table(nested: Nested, *, n_resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """The risk–coverage curve at twentieths; columns coverage, risk, least_risk, then aurc with bounds in every row.

    The risk at a coverage is that of the fewest surest patients that make up at least that share, averaged over the
    runs; AURC is averaged over the runs on the same resamples, with a BCa interval.
    """
    values = centred(nested)
    curves = [risk_coverage(nested.y, p, threshold=_CUT, n_resamples=1, seed=seed) for p in values.T]
    at = [np.searchsorted(curve.coverage, _COVERAGES - 1e-9) for curve in curves]
    areas = [aurc(nested.y, p, _CUT) for p in values.T]

    def area(weights: Floats) -> Floats:
        return np.asarray(np.mean([of_run(weights) for of_run in areas], axis=0))

    interval = aurc_interval(area, nested.y, groups=nested.groups, n_resamples=n_resamples, seed=seed)
    return pd.DataFrame(
        {
            "coverage": _COVERAGES,
            "risk": np.mean([c.risk[k] for c, k in zip(curves, at, strict=True)], axis=0),
            "least_risk": np.mean([c.least_risk[k] for c, k in zip(curves, at, strict=True)], axis=0),
            "aurc": interval.value,
            "aurc_low": interval.low,
            "aurc_high": interval.high,
        }
    )


def _rules(error: float, confidence: float) -> dict[str, tuple[str, Finder]]:
    return {
        "triage": (
            "the decided",
            lambda y, p: triage(y, p, error, confidence=confidence, threshold=_CUT),
        ),
        "conformal": ("all patients", lambda y, p: split_conformal(y, p, error, confidence=confidence)),
        "conformal by class": (
            "either class",
            lambda y, p: split_conformal(y, p, error, confidence=confidence, class_conditional=True),
        ),
    }


def _measured(nested: Nested, values: Floats, find: Finder) -> dict[str, Any]:
    n, n_runs = values.shape
    one_each = one_row_each(nested.y, nested.groups)
    found = [find(nested.y[one_each], p[one_each]) for p in values.T]
    decided, wrong = _counts(
        nested.y, np.column_stack([r.decide(p) for r, p in zip(found, values.T, strict=True)])
    )
    held = np.full((n, n_runs), REFER, dtype=np.int8)
    for fold in nested.folds_of_runs:
        others = np.ones(n, dtype=bool)
        others[fold.rows] = False
        others &= one_each
        rule = find(nested.y[others], values[others, fold.run])
        held[fold.rows, fold.run] = rule.decide(values[fold.rows, fold.run])
    held_decided, held_wrong = _counts(nested.y, held)
    bounds = Interval(*[float("nan")] * 3)
    if round(held_decided):
        cases = held != REFER
        bounds = share_interval_over_runs(cases & (held != nested.y[:, None]), cases, nested.groups)
    return {
        "decided": decided / n,
        "wrong": _ratio(wrong, decided),
        "limit": float(np.mean([_limit(rule) for rule in found])),
        "measured_decided": held_decided / n,
        "measured_wrong": _ratio(held_wrong, held_decided),
        "measured_wrong_low": bounds.low,
        "measured_wrong_high": bounds.high,
        "measured_wrong_of_all": held_wrong / n,
        "referred": n - held_decided,
    }


def _counts(y: NDArray[np.int8], decisions: NDArray[np.int8]) -> tuple[float, float]:
    """How many are decided and how many of them wrongly, mean over the runs."""
    decided = decisions != REFER
    wrong = decided & (decisions != y[:, None])
    return float(decided.sum(axis=0).mean()), float(wrong.sum(axis=0).mean())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _limit(rule: Rule) -> float:
    return rule.limit if isinstance(rule, Triage) else float(rule.limits.min())
