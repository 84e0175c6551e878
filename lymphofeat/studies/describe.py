"""A trial's head in words, and several in short."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..heads.drawn_values import BUILT_IN, INDICATOR, VALUES
from .space import HEAD_TYPE
from .summary import TrialSummary

__all__ = ["describe_head", "describe_heads"]


_SHORTCUT = "bag_size"


def describe_head(trial: TrialSummary) -> str:
    """A trial's head in words: its head type, what it is given, and its parameters."""
    head_type = str(trial.params[HEAD_TYPE])
    own = {
        name.removeprefix(f"{head_type}."): value for name, value in trial.params.items() if name != HEAD_TYPE
    }
    own.pop("inputs", None)
    for told in (VALUES, INDICATOR):  # by `_seen`
        own.pop(told, None)
    values = ", ".join(f"{_words(name)} {_value(value)}" for name, value in own.items())
    shortcut = "; it uses the number of images, a shortcut" if own.get(_SHORTCUT) else ""
    return f"{head_type} on {_seen(trial)}" + (f": {values}" if values else "") + shortcut


def describe_heads(trials: Sequence[TrialSummary]) -> str:
    """Several heads in short: how many of each type, and how many are given what."""
    types = Counter(str(trial.params[HEAD_TYPE]) for trial in trials)
    seen = Counter(_seen(trial) for trial in trials)
    inputs = ", ".join(f"{n} on {given}" for given, n in seen.most_common())
    shortcuts = sum(bool(trial.params.get(f"{trial.params[HEAD_TYPE]}.{_SHORTCUT}")) for trial in trials)
    shortcut = f"; {shortcuts} of them with the number of images, a shortcut" if shortcuts else ""
    return f"{', '.join(f'{name} × {n}' for name, n in types.most_common())}; {inputs}{shortcut}"


def _seen(trial: TrialSummary) -> str:
    """What a trial's head is given: `images, age, sex, count, haemoglobin, log ldh`."""
    values = [] if trial.inputs == "image" else [BUILT_IN, *trial.clinical_values]
    if trial.missing_indicator:
        values.append("which of these are missing")
    return ", ".join([*(["images"] if trial.inputs != "clinical" else []), *values])


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", " ")


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
