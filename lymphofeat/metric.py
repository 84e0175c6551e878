"""All that is known of a metric: its label, which way it is better, and what it is measured on.

The functions that measure it are in `estimates`. Nothing is imported here, so the command line offers the names without
loading anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeVar

from .errors import InputError

__all__ = ["METRICS", "NAMED", "Direction", "Metric", "find_metric"]

Direction = Literal["maximize", "minimize"]  # Optuna's words
_P = TypeVar("_P")
_D = TypeVar("_D")


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: its key, in options, arguments and files.
        label: in sentences and table headers.
        direction: which way it is better.
        takes: what it is measured on. "decisions": 0 or 1 for each patient; "scores": only the order of the patients
            counts; "probabilities": their values count.
        unit: whether its values lie between 0 and 1.
    """

    name: str
    label: str
    direction: Direction
    takes: Literal["decisions", "scores", "probabilities"]
    unit: bool = True

    @property
    def is_loss(self) -> bool:
        """Whether smaller is better."""
        return self.direction == "minimize"

    @property
    def sign(self) -> int:
        """1 or −1; a value times the sign is larger where it is better."""
        return -1 if self.is_loss else 1

    @property
    def header(self) -> str:
        """The label for a table, with an arrow down if smaller is better."""
        return f"{self.label} ↓" if self.is_loss else self.label

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is strictly better than `other`."""
        return self.sign * one > self.sign * other

    def is_worse(self, low: float, high: float) -> bool:
        """Whether a difference's interval from `low` to `high` lies on the worse side of zero."""
        return low > 0 if self.is_loss else high < 0

    def judged(self, probabilities: _P, decisions: _D) -> _P | _D:
        """Which of the two it is measured on."""
        return decisions if self.takes == "decisions" else probabilities


_ALL = (
    Metric("balanced_accuracy", "balanced accuracy", "maximize", "decisions"),
    Metric("sensitivity", "sensitivity", "maximize", "decisions"),
    Metric("specificity", "specificity", "maximize", "decisions"),
    Metric("auc", "AUC", "maximize", "scores"),
    Metric("average_precision", "average precision", "maximize", "scores"),
    Metric("sensitivity_at_95_specificity", "sensitivity at 95 % specificity", "maximize", "scores"),
    Metric("specificity_at_95_sensitivity", "specificity at 95 % sensitivity", "maximize", "scores"),
    Metric("log_loss", "log loss", "minimize", "probabilities", unit=False),
    Metric("brier", "Brier score", "minimize", "probabilities"),
    Metric("calibration_error", "calibration error", "minimize", "probabilities"),
)

# Every metric that is better the larger or the smaller it is, by name. Calibration slope and intercept are not: they
# are best at 1 and at 0.
NAMED: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})
# Those that heads are scored by and searched for.
METRICS: Mapping[str, Metric] = MappingProxyType(
    {name: NAMED[name] for name in ("balanced_accuracy", "auc", "average_precision", "log_loss", "brier")}
)


def find_metric(name: str) -> Metric:
    """One of `METRICS` by its name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in METRICS:
        raise InputError(f"There is no metric {name!r}; choose one of {', '.join(METRICS)}.")
    return METRICS[name]
