"""Which column of a table is what: by the name that a user gave, else by its usual names."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import InputError
from ..wording import did_you_mean

__all__ = ["LABEL", "PATIENT", "SLIDE", "VALUES", "ColumnNames"]

PATIENT, SLIDE, LABEL = "patient", "slide", "label"
# Usual names, lower case: CLAM's case_id and slide_id, STAMP's PATIENT and FILENAME, the challenge's ID among them.
_USUAL = {
    PATIENT: ("patient", "patient_id", "patientid", "case_id", "case", "id"),
    SLIDE: ("slide", "slide_id", "filename", "file", "wsi"),
    LABEL: ("label",),
}
# Columns with values of patients → what they are.
VALUES = {
    "age": "age",
    "sex": "sex",
    "gender": "sex",
    "lymphocyte_count": "lymphocyte_count",
    "lymph_count": "lymphocyte_count",
    "birth": "birth",
    "person": "person",
}


@dataclass(frozen=True)
class ColumnNames:
    """Names of columns as a user gave them; "" stands for the usual ones.

    Attributes:
        patient, slide, label: a name, in any case; a table that lacks it may have a usual one.
        features: names or patterns (`feat_*`) of the features' columns; empty: those that count on.
    """

    patient: str = ""
    slide: str = ""
    label: str = ""
    features: tuple[str, ...] = ()

    def find(self, role: str, columns: Iterable[str]) -> str:
        """The column of a role, as it is written there; "" if there is none."""
        by_lower = {str(column).lower(): str(column) for column in columns}
        given = getattr(self, role)
        wanted = (*([given.lower()] if given else []), *_USUAL[role])
        return next((by_lower[name] for name in wanted if name in by_lower), "")

    def check_found(self, tables: Iterable[Iterable[str]], where: str) -> None:
        """Refuse a name that no table has.

        Raises:
            InputError: there is one.
        """
        there = list(dict.fromkeys(str(column) for table in tables for column in table))
        for role in _USUAL:
            given = getattr(self, role)
            if given and given.lower() not in {column.lower() for column in there}:
                raise InputError(
                    f"{where}: no table has the column {given!r} of --{role}-column{did_you_mean(given, there)}."
                )

    def is_known(self, column: str) -> bool:
        """Whether the column may be one of patients, slides, labels or values, and so is no feature."""
        return column.lower() in VALUES or any(self.find(role, [column]) for role in _USUAL)
