"""Clinical columns that a cohort declares beside age, sex and lymphocyte count: `[clinical.NAME]` of lymphofeat.toml.

Their values: `cohort.values`.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, model_validator
from pydantic_core import PydanticCustomError

from ..validation import Settings, Words

__all__ = [
    "ClinicalColumn",
    "DeclaredSection",
    "bad_name",
    "column_of_others",
    "declared_columns",
]

_NAME = re.compile(r"[^\W\d_][\w-]{0,39}")
# What patients' tables, caches, recipes and heads call something else; compared without case.
_RESERVED = frozenset(
    {
        "age", "sex", "count", "lymphocyte_count", "log_count", "male", "female", "birth", "birth_month", "birth_year",
        "date_order", "examined", "id", "label", "person", "fold", "folds", "split", "n_images", "offset",
        "probability", "calibrated", "decision", "set", "warnings",
    }
)  # fmt: skip


def bad_name(name: str) -> str:
    """Why a declared column cannot have that name; "" where it can."""
    if name.casefold() in _RESERVED:
        return "a cohort has a value of that name already; choose another name"
    if not _NAME.fullmatch(name):
        return "a name begins with a letter and has letters, digits, _ and - only, 40 at most"
    return ""


def _name(name: str) -> str:
    if reason := bad_name(name):
        raise PydanticCustomError("name", "{reason}", {"reason": reason})
    return name


def _pair(value: Any) -> tuple[float, float]:
    numbers = value if isinstance(value, list | tuple) else ()
    if len(numbers) != 2 or not all(type(number) in (int, float) for number in numbers):
        raise PydanticCustomError("pair", "not two numbers")
    return float(numbers[0]), float(numbers[1])


def _texts(value: Any) -> tuple[str, ...]:
    """Categories, which keep their case."""
    words = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(word, str) for word in words):
        raise PydanticCustomError("texts", "not texts")
    return tuple(word.strip() for word in words)


class ClinicalColumn(Settings):
    """A clinical column of the tables: `[clinical.NAME]`.

    Attributes:
        column: of the tables, in any case; "": the name.
        kind: "number", "yes/no" or "category".
        unit: of a number, as reports print it.
        range: of a number: lowest and highest plausible value; outside, `check` and `predict` warn.
        log: of a number above 0: heads and networks see its natural logarithm.
        yes, no: words of a yes/no, in any case.
        categories: all that there may be, in any case; (): whatever the tables hold.

    Example:
        >>> ClinicalColumn(unit="g/dl", range=(3, 25)).range_text
        '3 to 25 g/dl'
    """

    column: str = ""
    kind: Literal["number", "yes/no", "category"] = "number"
    unit: str = ""
    range: Annotated[tuple[float, float], BeforeValidator(_pair)] | None = None
    log: bool = False
    yes: Words = ("yes", "y", "1", "true", "t", "pos", "positive", "+", "present", "ja", "oui")
    no: Words = ("no", "n", "0", "false", "f", "neg", "negative", "absent", "nein", "non")
    categories: Annotated[tuple[str, ...], BeforeValidator(_texts)] = ()

    @model_validator(mode="after")
    def _agree(self) -> "ClinicalColumn":
        """Refuse keys of another kind, and ranges that are none."""
        for key, kind in _OF_KIND.items():
            if key in self.model_fields_set and self.kind != kind:
                raise PydanticCustomError("kind", f"`{key}` goes with kind {kind!r} only")
        if self.range is not None:
            low, high = self.range
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise PydanticCustomError("range", "`range` is the lowest and the highest plausible value")
            if self.log and low < 0:
                raise PydanticCustomError("range", "a number with `log` has no `range` below 0")
        if both := sorted(set(self.yes) & set(self.no)):
            raise PydanticCustomError("words", f"{both[0]!r} is in `yes` and in `no`")
        folded = [category.casefold() for category in self.categories]
        if "" in folded or len(set(folded)) < len(folded):
            raise PydanticCustomError("categories", "`categories` are different texts, none of them empty")
        return self

    @property
    def is_text(self) -> bool:
        """Whether its values are texts."""
        return self.kind == "category"

    @property
    def missing(self) -> float | str:
        """What stands for a missing value."""
        return "" if self.is_text else math.nan

    def is_plausible(self, number: float) -> bool:
        """Whether a number lies in `range`; NaN does, and any number does without one. Logarithms need one above 0."""
        if math.isnan(number) or self.kind != "number":
            return True
        low, high = self.range or (-math.inf, math.inf)
        return low <= number <= high

    @property
    def range_text(self) -> str:
        """`3 to 25 g/dl`."""
        return "" if self.range is None else f"{self.range[0]:g} to {self.range[1]:g} {self.unit}".rstrip()

    @property
    def decides(self) -> str:
        """What of the declaration a score can depend on."""
        return f"{self.kind}, logarithm" if self.log else self.kind


_OF_KIND = {
    "unit": "number", "range": "number", "log": "number", "yes": "yes/no", "no": "yes/no", "categories": "category",
}  # fmt: skip

_Declared = Mapping[str, ClinicalColumn]  # `values.Declared`, which this module must not import
DeclaredSection = dict[Annotated[str, AfterValidator(_name)], ClinicalColumn]


def declared_columns(declared: _Declared) -> dict[str, str]:
    """Name → column of the tables."""
    return {name: column.column or name for name, column in declared.items()}


def column_of_others(declared: _Declared, others: Mapping[str, str]) -> str:
    """Which declared column is read from one that has another meaning, as a label, which would tell the answer.

    Args:
        declared: the columns.
        others: what it is → column, of the columns that mean something else.

    Returns:
        A clause; "" where there is none.
    """
    taken = {column.casefold(): f"the column of {what}" for what, column in others.items() if column}
    for name, column in declared_columns(declared).items():
        if what := taken.get(column.casefold()):
            return f"[clinical.{name}] reads the column {column!r}, which is {what}; name another column"
        taken[column.casefold()] = f"the column of [clinical.{name}]"
    return ""
