"""Tables as CSV files: for programs, or for Excel where a comma is the decimal sign."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:  # it takes a while to import, and who has a table has it
    import pandas as pd

__all__ = ["CSV_FOR", "check_csv_for", "looks_like_formula", "write_csv"]

CSV_FOR = ("programs", "excel")
# OWASP, "CSV Injection"; the wide forms are what spreadsheets in Japanese and Chinese read as the same signs.
_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_csv(
    table: "pd.DataFrame", file: Path, *, csv_for: str = "programs", digits: int | None = None
) -> None:
    """Write a table without its index.

    Args:
        table: plain columns.
        file: where; what lies there is replaced.
        csv_for: "programs": commas, decimal points, UTF-8. "excel": semicolons, decimal commas, UTF-8 with the mark by
            which Excel knows it; text that Excel would take for a formula gets an apostrophe before it.
        digits: significant ones of numbers with a fraction; None: as many as it takes to read the same number again.

    Raises:
        InputError: another `csv_for`.
    """
    check_csv_for(csv_for)
    style = None if digits is None else f"%.{digits}g"
    if csv_for == "programs":
        table.to_csv(file, index=False, float_format=style, lineterminator="\n")
        return
    worded = table.map(_for_excel(style))
    worded.columns = [_harmless(str(name)) for name in table.columns]
    worded.to_csv(file, index=False, sep=";", encoding="utf-8-sig", lineterminator="\r\n")


def check_csv_for(csv_for: str) -> None:
    """Refuse a form of CSV that there is not.

    Raises:
        InputError: it is none of `CSV_FOR`.
    """
    if csv_for not in CSV_FOR:
        raise InputError(f"csv_for is {csv_for!r}; it must be one of {', '.join(CSV_FOR)}.")


def looks_like_formula(text: str) -> bool:
    """Whether a spreadsheet takes a cell of a CSV file for a formula, which then does what its author wished."""
    return text.startswith(_BEGINS_FORMULA)


def _for_excel(style: str | None) -> Callable[[Any], Any]:
    def worded(cell: Any) -> Any:
        if isinstance(cell, str):
            return _harmless(cell)
        if isinstance(cell, float):  # NumPy's as well
            return (
                ""
                if cell != cell
                else (repr(float(cell)) if style is None else style % cell).replace(".", ",")
            )
        return cell

    return worded


def _harmless(text: str) -> str:
    return f"'{text}" if looks_like_formula(text) else text
