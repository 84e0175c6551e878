"""An assessment as JSON: what `evaluate` keeps, and what a report is made from."""

from typing import Any

from ..storage.json_tables import json_rows, json_value
from ..storage.provenance import made_by
from .assessment import Assessment
from .sentences import answer

__all__ = ["KEPT", "assessment_json"]

KEPT = "evaluate.json"  # beside the searches inside outer folds


def assessment_json(assessment: Assessment) -> dict[str, Any]:
    """All of it as JSON values; null for what is not known, and for what nothing bounds.

    Keys: pipeline, encoding, metric, patients (records), persons, malignant (records), folds, runs, search (what was
    repeated inside the folds), made (command, versions, time), answer (sentences), simplest (per kind the best, the
    simplest and the standard error), tables (per name a list of rows; `predictions` has those of each patient), notes.
    """
    rules = {"pipeline": assessment.simplest_pipeline, "head_type": assessment.simplest_head_type}
    return {
        "pipeline": assessment.name,
        "encoding": assessment.encoding,
        "metric": assessment.metric,
        "patients": assessment.n,
        "persons": assessment.n if assessment.n_persons is None else assessment.n_persons,
        "malignant": assessment.n_malignant,
        "folds": assessment.n_folds,
        "runs": assessment.n_runs,
        "search": dict(assessment.search),
        "made": made_by(),
        "answer": answer(assessment),
        "simplest": {
            kind: {
                "metric": rule.metric, "best": rule.best, "simplest": rule.simplest, "error": json_value(rule.error),
            }
            for kind, rule in rules.items()
            if rule is not None
        },
        "tables": {
            name: json_rows(table) for name, table in assessment.tables.items()
        },
        "notes": list(assessment.notes),
    }  # fmt: skip
