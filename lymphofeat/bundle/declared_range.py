"""What the training patients have in a declared clinical column, so that other values can be noticed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cohort.declared import ClinicalColumn

__all__ = ["DeclaredRange", "known_numbers", "rounded"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DeclaredRange:
    """What the training patients have in a declared clinical column.

    Attributes:
        kind, unit: as declared.
        low, high: of a number, rounded outwards to two digits; 0 and 0 where all are missing.
        categories: of texts, those of the training patients, sorted.
    """

    kind: str
    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    categories: tuple[str, ...] = ()

    @classmethod
    def fit(cls, column: ClinicalColumn, values: "pd.Series[Any]") -> "DeclaredRange":
        """Learn from (n,) values of the training patients."""
        if column.is_text:
            return cls(column.kind, categories=tuple(sorted({str(text) for text in values if text})))
        numbers = known_numbers(values)
        if not len(numbers):
            return cls(column.kind, column.unit)
        return cls(
            column.kind, column.unit, rounded(numbers.min(), np.floor), rounded(numbers.max(), np.ceil)
        )

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "DeclaredRange":
        """The opposite of `dataclasses.asdict`.

        Raises:
            KeyError, TypeError: not such a range.
        """
        return cls(**{**raw, "categories": tuple(raw["categories"])})

    @property
    def text(self) -> str:
        """`9 to 17 g/dl`, `B, T`; "" of a yes/no."""
        if self.kind == "number":
            return f"{self.low:g} to {self.high:g} {self.unit}".rstrip()
        return ", ".join(self.categories)

    def probe(self, n: int, rng: np.random.Generator) -> Floats:
        """(n,) float64 made-up values, the last missing; of texts their places among `categories`."""
        if self.kind == "number":
            numbers = rng.uniform(self.low, self.high, n)
        else:
            numbers = rng.integers(0, 2 if self.kind == "yes/no" else max(len(self.categories), 1), n).astype(
                float
            )
        return np.where(np.arange(n) == n - 1, np.nan, numbers)

    def of_probe(self, numbers: Floats) -> "Floats | list[str]":
        """The values that `probe` made up."""
        if self.kind != "category":
            return numbers
        known = dict(enumerate(self.categories))
        return [known.get(int(number), "") if np.isfinite(number) else "" for number in numbers]

    def warnings(self, name: str, value: Any) -> list[str]:
        """What is unusual about a patient's value."""
        if value is None or value == "" or (not isinstance(value, str) and not np.isfinite(value)):
            return [f"{name} missing"]
        if self.kind == "category" and value not in self.categories:
            return [f"{name} {value} not among the training patients ({self.text})"]
        if self.kind == "number" and not isinstance(value, str) and not self.low <= value <= self.high:
            return [f"{name} {value:.4g} outside the training range {self.text}"]
        return []


def known_numbers(values: Any) -> Floats:
    """Those that are finite."""
    numbers = np.asarray(values, dtype=np.float64)
    return numbers[np.isfinite(numbers)]


def rounded(value: float, how: Any) -> float:
    """To two digits, by `np.floor` or `np.ceil`."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (np.floor(np.log10(abs(value))) - 1)
    return float(how(round(value / unit, 9)) * unit)
