"""Evaluations made by hand, as the page reads them back."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from lymphofeat.assess import Assessment, SelectedModels, assess
from lymphofeat.assess.runs import Runs
from lymphofeat.page.names import Names
from lymphofeat.page.records import EvaluationRecord, read_evaluation_record
from lymphofeat.page.records import table_of as read_table
from lymphofeat.page.sources import Places, Sources
from lymphofeat.report.assess import assessment_json
from lymphofeat.storage.json_tables import json_text

from .nested import nested, table_of

LONG = "resnet18-pbc-finetuned-with-a-recipe-of-a-long-name + clinical values"
N = 120


@cache
def assessed(*, n: int = N, runs: int = 1, clinical: bool = True, whole: bool = False) -> Assessment:
    """An assessment on `tests.helpers.nested`, few resamples.

    Args:
        n, runs: patients and runs.
        clinical: beside clinical values alone, an untrained encoder and shuffled labels.
        whole: with a learning curve, a permutation test, and one more pipeline of a long name.
    """
    options: dict[str, Any] = {"n": n, "runs": runs, "n_folds": 5 if n >= 25 else 2}
    main, others = nested(**options), []
    if clinical:
        shuffled = nested("shuffled labels", seed=3, strength=0, **options)
        mixed = np.random.default_rng(0).permutation(shuffled.y)
        others = [
            nested("clinical only", inputs=("clinical",), seed=1, strength=1.5, **options),
            nested("untrained encoder", seed=2, strength=0.8, **options),
            replace(shuffled, y=mixed),
        ]
    if whole:
        others.append(nested(LONG, seed=4, **options))
    best = Runs.of(nested(strength=2.3, **options))
    selected = SelectedModels(main.ids, best, 50, {"logistic": ("cheap", best)})
    found = assess(main, others, table_of(n), selected, n_resamples=60)
    if whole:
        found = found.with_table("learning_curve", _learning()).with_table("permutation", _permutation())
    return found


def record(folder: Path, assessment: Assessment, **changes: Any) -> EvaluationRecord:
    """What the page reads of it."""
    path = folder / "evaluate.json"
    path.write_text(json_text(assessment_json(replace(assessment, **changes))), encoding="utf-8")
    return read_evaluation_record(path)


def tables_of(assessment: Assessment) -> dict[str, pd.DataFrame]:
    """Its tables as the page reads them: null is NaN."""
    raw = json.loads(json_text(assessment_json(assessment)))["tables"]
    return {name: read_table(rows) for name, rows in raw.items()}


def sources(found: EvaluationRecord | None, *, ids: bool = False, **more: Any) -> Sources:
    """Sources of that evaluation and no files behind them."""
    everyone = [f"P{k}" for k in range(N + 1)]
    cohort = SimpleNamespace(ids=np.array(everyone), groups=np.arange(len(everyone)) // 2, path=Path("c.h5"))
    missing = {"evaluate": "No `evaluate` of this study was found", "compare": "No comparison was found"}
    return Sources(
        Places(Path("c.h5"), Path("s.db")), cohort, None, found, more.pop("comparison", None),  # type: ignore[arg-type]
        names=Names(tuple(everyone), shown=ids), missing=missing, **more,
    )  # fmt: skip


def _learning() -> pd.DataFrame:
    n = np.append(np.geomspace(24, 96, 6), [144.0, 192.0])
    score = 0.95 - 0.7 * n**-0.6
    table = pd.DataFrame({"n": n, "score": score, "score_low": score - 0.05, "score_high": score + 0.04})
    table.loc[6:, ["score", "score_low", "score_high"]] = np.nan
    return table.assign(fitted=score, fitted_low=score - 0.04, fitted_high=score + 0.04, measured=n <= 96)


def _permutation() -> pd.DataFrame:
    values = {"metric": "balanced_accuracy", "value": 0.86, "shuffles": 100, "shuffled_mean": 0.502}
    return pd.DataFrame([values | {"shuffled_q025": 0.41, "shuffled_q975": 0.59, "p": 1 / 101}])
