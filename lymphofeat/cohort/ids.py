"""Characters in IDs that files cannot hold, or that spreadsheets take for something else than text."""

import unicodedata
from collections.abc import Mapping

from ..storage.csv_tables import looks_like_formula
from .alike import shown_id
from .problems import Problems, Where, beyond_the_first

__all__ = ["has_control_characters", "report_ids"]

_CONTROL = ("Cc", "Zl", "Zp")  # categories of Unicode: control characters, separators of lines and paragraphs


def has_control_characters(text: str) -> bool:
    """Whether a text holds a line break, a tab, NUL or another character that is none on paper."""
    return any(unicodedata.category(sign) in _CONTROL for sign in text)


def report_ids(places: Mapping[str, Where], problems: Problems) -> None:
    """Report IDs that cannot be written to a table or into a file, and warn of those that look like formulas.

    Nothing else in an ID matters: no file is named after one, so that `../x` or `CON` is text like any other.

    Args:
        places: by ID, where it stands.
        problems: where to report.
    """
    for name, place in places.items():
        if has_control_characters(name):
            problems.error(
                "id-characters",
                place.path,
                place.row,
                f"ID {name!a} holds a line break, a tab or another control character",
                "give the patient an ID without it",
            )
    formulas = [name for name in places if looks_like_formula(name) and not has_control_characters(name)]
    if formulas:
        first = places[formulas[0]]
        verb = "begins" if len(formulas) == 1 else "begin"
        problems.warning(
            "formula-id",
            first.path,
            first.row,
            f"ID {shown_id(formulas[0])}{beyond_the_first(len(formulas) - 1, 'ID', 'the cohort')} {verb} with a sign "
            "that spreadsheets take for a formula; IDs are written unchanged to submission.csv and other CSV files "
            "for programs",
            "give other IDs, or open only CSV files made by --csv-for excel, which marks such cells as text",
        )
