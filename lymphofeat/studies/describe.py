"""A trial's head in words, and several in short."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from .space import HEAD_TYPE
from .summary import TrialSummary

__all__ = ["describe_head", "describe_heads"]


_SHORTCUT = "bag_size"
_SEEN = {"clinical": "age, sex, count", "image": "images", "both": "images, age, sex, count"}


def describe_head(trial: TrialSummary) -> str:
    """A trial's head in words: its head type, what it is given, and its parameters."""
    head_type = str(trial.params[HEAD_TYPE])
    seen = _SEEN[trial.inputs]
    own = {
        name.removeprefix(f"{head_type}."): value for name, value in trial.params.items() if name != HEAD_TYPE
    }
    own.pop("inputs", None)
    values = ", ".join(f"{_words(name)} {_value(value)}" for name, value in own.items())
    shortcut = "; it uses the number of images, a shortcut" if own.get(_SHORTCUT) else ""
    return f"{head_type} on {seen}" + (f": {values}" if values else "") + shortcut


def describe_heads(trials: Sequence[TrialSummary]) -> str:
    """Several heads in short: how many of each type, and how many are given what."""
    types = Counter(str(trial.params[HEAD_TYPE]) for trial in trials)
    seen = Counter(trial.inputs for trial in trials)
    inputs = ", ".join(f"{n} on {_SEEN[given]}" for given, n in seen.most_common())
    shortcuts = sum(bool(trial.params.get(f"{trial.params[HEAD_TYPE]}.{_SHORTCUT}")) for trial in trials)
    shortcut = f"; {shortcuts} of them with the number of images, a shortcut" if shortcuts else ""
    return f"{', '.join(f'{name} × {n}' for name, n in types.most_common())}; {inputs}{shortcut}"


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", " ")


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
