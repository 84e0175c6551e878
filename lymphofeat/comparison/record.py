"""A comparison as a table of numbers and as JSON: what `compare` keeps, and what a report is made from."""

from typing import Any

import pandas as pd

from ..estimates.persons import n_persons
from ..estimates.scores import Interval
from ..storage.json_tables import json_rows
from ..storage.provenance import made_by
from .conclusions import conclusions
from .result import Comparison, Measured

__all__ = ["SHORT", "comparison_json", "comparison_table"]

SHORT = {"balanced_accuracy": "ba", "auc": "auc", "log_loss": "log_loss"}


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """All of it as JSON values; null for what is not known.

    Keys: metric, n (records), persons, malignant, patients (a digest of whom it was measured on, as of
    `ScoredPatients`), made (command, versions, time), sentences (the conclusions), table (the rows of
    `comparison_table`).
    """
    patients = comparison.patients
    return {
        "metric": comparison.metric,
        "n": len(patients.y),
        "persons": n_persons(patients.groups) or len(patients.y),
        "malignant": int(patients.y.sum()),
        "patients": comparison.digest,
        "made": made_by(),
        "sentences": [*conclusions(comparison), *comparison.left_out],
        "table": json_rows(comparison_table(comparison)),
    }


def comparison_table(comparison: Comparison) -> pd.DataFrame:
    """One row per pipeline, the best first.

    Columns: pipeline, n (and persons, where these have several records), then balanced accuracy, AUC and their 95 %
    bounds (`_low`, `_high`), log_loss, seconds; the bounds of the log loss; inputs, encoder, encoder_family, recipe,
    encoder_seconds (of the seconds, those of the encoder; empty where not recorded); per metric the difference to the
    best pipeline (`ba_difference`, …) with bounds; tied (whether that of the comparison's metric covers zero); and per
    metric the score with bounds on the `ambiguous_n` patients whose count is at most the median, empty where they are
    of one class.
    """
    return pd.DataFrame([_row(comparison, m) for m in comparison.measured])


def _row(comparison: Comparison, m: Measured) -> dict[str, Any]:
    scores = {metric: score.interval() for metric, score in m.all.items()}
    row: dict[str, Any] = {"pipeline": m.pipeline.name, "n": len(comparison.patients.y)}
    if comparison.patients.groups is not None:
        row["persons"] = n_persons(comparison.patients.groups)
    row["balanced_accuracy"] = scores["balanced_accuracy"].value
    row |= _bounds("ba", scores["balanced_accuracy"])
    row |= {"auc": scores["auc"].value, **_bounds("auc", scores["auc"])}
    row |= {"log_loss": scores["log_loss"].value, "seconds": m.seconds}
    row |= _bounds("log_loss", scores["log_loss"])
    row |= {
        "inputs": m.pipeline.inputs,
        "encoder": m.pipeline.encoder or "none",
        "encoder_family": m.pipeline.encoder_family or "",
    }
    row |= {"recipe": m.pipeline.recipe, "encoder_seconds": m.encoder_seconds}
    for metric, short in SHORT.items():
        row |= _named(f"{short}_difference", comparison.difference(m, comparison.best, metric))
    row |= {"tied": m is comparison.best or m in comparison.tied}
    row |= {"ambiguous_n": int(comparison.patients.ambiguous.sum())}
    for metric, short in SHORT.items():
        score = m.ambiguous.get(metric)
        row |= _named(f"ambiguous_{short}", score.interval() if score else Interval(*[float("nan")] * 3))
    return row


def _named(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, **_bounds(name, interval)}


def _bounds(name: str, interval: Interval) -> dict[str, float]:
    return {f"{name}_low": interval.low, f"{name}_high": interval.high}
