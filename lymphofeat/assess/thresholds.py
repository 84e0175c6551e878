"""Where to set the threshold: by balanced accuracy, by what errors cost, or by the sensitivity to be kept.

Every threshold comes from the training part of an outer fold (its inner predictions) and decides the fold's patients.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..estimates import cost_threshold, mean_cost, sensitive_threshold
from ..estimates.exact import share_interval_over_runs
from ..estimates.persons import Groups, taken
from ..nested.result import Nested
from .benefit import probabilities_to_act_on
from .calibrated import inner_of

__all__ = ["COSTS_OF_MISSED", "SENSITIVITIES", "thresholds_table"]

Floats = NDArray[np.float64]
Found = tuple[list[float], NDArray[np.bool_]]

COSTS_OF_MISSED = (1.0, 2.0, 5.0, 10.0)
SENSITIVITIES = (0.90, 0.95)
_CONFIDENCE = 0.95


def thresholds_table(
    nested: Nested,
    costs: Sequence[float] = COSTS_OF_MISSED,
    sensitivities: Sequence[float] = SENSITIVITIES,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per rule.

    Columns: rule ("balanced accuracy", "cost", "sensitivity"), aim (cost of a missed patient in false alarms, or the
    sensitivity to be kept at 95 % confidence), threshold (median over the outer folds; by cost, of the calibrated
    probability), sensitivity and specificity on the folds with exact 95 % bounds, and mean_cost per patient at that
    cost (in false alarms; 1 for the rules without one) with its BCa bounds. Counts are means over the runs. Rules by
    sensitivity are left out where folds have no inner predictions.
    """
    rows = []
    for rule, aim, cost, (thresholds, decisions) in _rules(nested, costs, sensitivities):
        row: dict[str, Any] = {"rule": rule, "aim": aim, "threshold": float(np.median(thresholds))}
        for name, members in (("sensitivity", nested.y == 1), ("specificity", nested.y == 0)):
            row |= _share(
                name, (decisions == (nested.y == 1)[:, None])[members], taken(nested.groups, members)
            )
        each = [
            mean_cost(nested.y, decided, cost, 1.0, groups=nested.groups, seed=seed)
            for decided in decisions.T
        ]
        names = ("mean_cost", "mean_cost_low", "mean_cost_high")
        rows.append(row | dict(zip(names, np.mean(each, axis=0).tolist(), strict=True)))
    return pd.DataFrame(rows)


def _rules(
    nested: Nested, costs: Sequence[float], sensitivities: Sequence[float]
) -> Iterator[tuple[str, float, float, Found]]:
    """Rule, aim, cost of a missed patient, and what the rule finds."""
    as_chosen = [fold.threshold for fold in nested.folds_of_runs]
    yield "balanced accuracy", float("nan"), 1.0, (as_chosen, nested.decisions)
    acted, _ = probabilities_to_act_on(nested)
    for cost in costs:
        threshold = cost_threshold(cost, 1.0)
        yield "cost", cost, cost, ([threshold], acted >= threshold)
    for target in sensitivities:
        found = _by_sensitivity(nested, target)
        if found is not None:
            yield "sensitivity", target, 1.0, found


def _by_sensitivity(nested: Nested, target: float) -> Found | None:
    thresholds, decisions = [], np.zeros(nested.probabilities.shape, dtype=bool)
    for fold in nested.folds_of_runs:
        inner = inner_of(nested, fold, one_each=True)
        if inner is None:
            return None
        thresholds.append(sensitive_threshold(*inner, target, _CONFIDENCE).threshold)
        decisions[fold.rows, fold.run] = fold.probabilities >= thresholds[-1]
    return thresholds, decisions


def _share(name: str, right: NDArray[np.bool_], groups: Groups) -> dict[str, float]:
    """(n_class, runs) whether decided rightly → the mean share, and exact bounds of the rounded mean count."""
    bounds = share_interval_over_runs(right, np.ones_like(right), groups)
    return {name: float(right.mean()), f"{name}_low": bounds.low, f"{name}_high": bounds.high}
