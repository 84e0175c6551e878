"""The YAML head of a model card, which model hubs read: licence, task, tags, and nested scores as results.

The keys are those of Hugging Face's model card metadata (https://huggingface.co/docs/hub/model-cards). Every value is
written as JSON, which YAML contains, so that no writer of YAML is needed.
"""

import json
import math
from collections.abc import Mapping
from textwrap import indent
from typing import Any

from ..estimates.persons import n_persons
from ..estimates.scores import Interval
from ..wording import interval_text, metric_label, sample_text
from .encoders import ELSEWHERE
from .evidence import Evidence

__all__ = ["NAME", "TAGS", "UNKNOWN", "card_head"]

NAME = "reactive or malignant lymphocytosis"  # what the model is called
TAGS = (
    "medical",
    "haematology",
    "lymphocytosis",
    "blood-smear",
    "multiple-instance-learning",
    "small-cohort",
)
UNKNOWN = "unknown"  # a licence that nobody gave, as hubs call it
_HUB = {"auc": "roc_auc", "brier": "brier_score"}  # metrics that hubs know by other names
_TASKS = {"image-classification": "Image classification", "tabular-classification": "Tabular classification"}


def card_head(
    evidence: Evidence, scores: Mapping[str, Interval], about: Mapping[str, Any], licence: str | None = None
) -> str:
    """The head, from `---` to `---`.

    Results are in it only where they are nested: a selected score without its sentence would be quoted as it stands.

    Args:
        evidence: what the scores rest on.
        scores: per metric.
        about: `model.json`.
        licence: of the model; None: not known.
    """
    task = _task(about)
    values: dict[str, Any] = {
        "license": licence or UNKNOWN,
        "library_name": "lymphofeat",
        "pipeline_tag": task,
        "tags": list(TAGS),
    }
    if evidence.is_nested:
        known = {name: one for name, one in scores.items() if math.isfinite(one.value)}
        values["metrics"] = [_HUB.get(name, name) for name in known]
        values["model-index"] = [
            {
                "name": NAME,
                "results": [
                    {
                        "task": {"type": task, "name": _TASKS[task]},
                        "dataset": {"type": "lymphofeat-cohort", "name": _sample(evidence)},
                        "metrics": [_metric(name, one) for name, one in known.items()],
                    }
                ],
            }
        ]
    return "\n".join(["---", *(f"{key}:{_value(value)}" for key, value in values.items()), "---", ""])


def _task(about: Mapping[str, Any]) -> str:
    """What a hub lists the model under: images count only where they go in as images."""
    seen = [record["kind"] for record in about["encoders"]]
    return "image-classification" if seen and ELSEWHERE not in seen else "tabular-classification"


def _sample(evidence: Evidence) -> str:
    if evidence.reported is not None:
        reported = evidence.reported
        return sample_text(reported.n, reported.n_malignant, reported.n_persons)
    return sample_text(len(evidence.y), int(evidence.y.sum()), n_persons(evidence.groups))


def _metric(name: str, one: Interval) -> dict[str, Any]:
    label = metric_label(name)
    return {
        "type": _HUB.get(name, name),
        "name": f"{label[0].upper()}{label[1:]}, nested cross-validation, 95 % interval: {interval_text(one)}",
        "value": one.value,
    }


def _value(value: Any) -> str:
    """A value behind its key, indented so that strict parsers of YAML take it as the key's."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    return f" {text}" if isinstance(value, str) else f"\n{indent(text, '  ')}"
