"""Decision curves: is acting on the pipeline worth more than treating all, none, or acting on age and count alone?"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..estimates import net_benefit_difference
from ..estimates.net_benefit import TREAT_ALL, TREAT_NONE
from ..nested.result import Nested
from .calibrated import calibrated

__all__ = ["THRESHOLDS", "decision_table", "probabilities_to_act_on"]

Floats = NDArray[np.float64]

THRESHOLDS = np.arange(1, 20) / 20
_CALIBRATOR = "platt"


def probabilities_to_act_on(nested: Nested) -> tuple[Floats, bool]:
    """(n, runs) Platt-calibrated probabilities and true; false where folds have no inner ones to learn from."""
    found = calibrated(nested, _CALIBRATOR)
    return (nested.probabilities, False) if found is None else (found, True)


def decision_table(
    main: Nested, clinical: Nested | None, *, n_resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Net benefit over threshold probabilities, in true positives per patient.

    Columns: threshold, calibrated (whether probabilities were, inside the folds), net benefits of the pipeline
    (`main`), `clinical` (if given), `treat_all` and `treat_none`; and what the pipeline gains over each of these,
    `over_…`, with pointwise 95 % bounds. Of several runs, values and bounds are means over the runs, which is wider
    than an interval of the mean.
    """
    n = len(main.y)
    acted, is_calibrated = probabilities_to_act_on(main)
    others: dict[str, Floats] = {}
    if clinical is not None:
        others["clinical"] = probabilities_to_act_on(clinical)[0]
    others |= {_column(TREAT_ALL): np.ones((n, 1)), _column(TREAT_NONE): np.zeros((n, 1))}
    table = pd.DataFrame({"threshold": THRESHOLDS, "calibrated": is_calibrated})
    for name, p in {"main": acted, **others}.items():
        table[name] = _difference(main, p, np.zeros((n, 1)), n_resamples=1, seed=seed)["value"]
    for name, p in others.items():
        for end, values in _difference(main, acted, p, n_resamples=n_resamples, seed=seed).items():
            table[f"over_{name}" + ("" if end == "value" else f"_{end}")] = values
    return table


def _difference(
    main: Nested, first: Floats, second: Floats, *, n_resamples: int, seed: int
) -> Mapping[str, Floats]:
    """Means over the runs; a single column stands for every run."""
    n_runs = max(first.shape[1], second.shape[1])
    curves = [
        net_benefit_difference(
            main.y,
            first[:, run % first.shape[1]],
            second[:, run % second.shape[1]],
            THRESHOLDS,
            groups=main.groups,
            n_resamples=n_resamples,
            seed=seed,
        )
        for run in range(n_runs)
    ]
    return {
        end: np.asarray(np.mean([getattr(curve, end) for curve in curves], axis=0))
        for end in ("value", "low", "high")
    }


def _column(name: str) -> str:
    return name.replace(" ", "_")
