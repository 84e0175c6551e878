"""A trial's head in words."""

from typing import Any

from .space import HEAD_TYPE
from .summary import TrialSummary

__all__ = ["describe_head"]


_SHORTCUT = "bag_size"


def describe_head(trial: TrialSummary) -> str:
    """A trial's head in words: its head type, what it is given, and its parameters."""
    head_type = str(trial.params[HEAD_TYPE])
    seen = {"clinical": "age, sex, count", "image": "images", "both": "images, age, sex, count"}[trial.inputs]
    own = {
        name.removeprefix(f"{head_type}."): value for name, value in trial.params.items() if name != HEAD_TYPE
    }
    own.pop("inputs", None)
    values = ", ".join(f"{_words(name)} {_value(value)}" for name, value in own.items())
    shortcut = "; it uses the number of images, a shortcut" if own.get(_SHORTCUT) else ""
    return f"{head_type} on {seen}" + (f": {values}" if values else "") + shortcut


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", " ")


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
