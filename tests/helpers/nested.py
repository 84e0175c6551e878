"""Nested results made by hand: probabilities of a known truth, folds dealt in turn, no search behind them."""

import numpy as np
import pandas as pd
from scipy.special import expit

from lymphofeat.metric import METRICS
from lymphofeat.nested.result import Nested, NestedFold


def nested(
    name: str = "image + clinical",
    *,
    n: int = 120,
    strength: float = 2.0,
    seed: int = 0,
    runs: int = 1,
    n_folds: int = 5,
    inputs: tuple[str, ...] = ("both",),
    inner: bool = True,
    sharp: float = 1.0,
    threshold: float = 0.5,
    metric: str = "balanced_accuracy",
) -> Nested:
    """A pipeline whose log-odds are `strength` × the truth + noise; the noise of one seed is the same under all names.

    Labels (2 of 5 reactive) and folds depend on n alone, so that pipelines can be compared; `sharp` multiplies the
    log-odds: above 1, too sure.
    """
    y = (np.arange(n) % 5 >= 2).astype(np.int8)
    folds = (np.arange(n) // 5) % n_folds
    parts = []
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        logits = sharp * (strength * (y - 0.5) + rng.normal(size=n))
        inside = sharp * (strength * (y - 0.5) + rng.normal(size=(n_folds, n)))
        for k in range(n_folds):
            rows = np.flatnonzero(folds == k)
            held = np.full(n, np.nan)
            if inner:
                held = expit(inside[k])
                held[rows] = np.nan
            params = {"family": "logistic", "logistic.C": 10.0 ** (k % 2), "logistic.pooling": "mean"}
            parts.append(
                NestedFold(
                    run,
                    run,
                    seed,
                    k,
                    rows.astype(np.int64),
                    expit(logits[rows]),
                    threshold,
                    held,
                    ((params, 1.0),),
                    dict.fromkeys(METRICS, 0.9),
                    10,
                    1.0,
                )
            )
    return Nested(name, "frozen", inputs, metric, tuple(f"P{i}" for i in range(n)), y, tuple(parts))


def table_of(n: int = 120, seed: int = 0) -> pd.DataFrame:
    """Patients' rows for `nested` of the same n, in another order, and one that was not scored."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "id": [f"P{i}" for i in range(n + 1)],
            "sex": np.where(np.arange(n + 1) % 4 == 0, "", np.where(np.arange(n + 1) % 2, "M", "F")),
            "age": rng.normal(65, 12, n + 1).round(),
            "lymphocyte_count": np.exp(rng.normal(2, 0.7, n + 1)),
            "n_images": rng.integers(16, 190, n + 1),
            "date_order": np.where(np.arange(n + 1) % 3, "m/d/y", "d-m-y"),
        }
    )
    table.loc[3, "age"] = np.nan
    return table.sample(frac=1, random_state=seed)
