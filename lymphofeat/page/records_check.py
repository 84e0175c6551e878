"""What `check` has kept of a cohort, read back from its JSON file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from .records import made_of, read_record, table_of

__all__ = ["CheckRecord", "read_check"]

_AUDIT = ("quantity", "value", "low", "high", "higher_in", "separates", "sentence", "by_person")


@dataclass(frozen=True)
class CheckRecord:
    """A `check.json`; see `report.check_record.check_json`.

    Attributes:
        path: its file.
        patients: digest of who was checked, as `CohortTables.bags`.
        counts: reactive, malignant, train, test, persons, images, bytes.
        missing: clinical value → patients without it.
        microns_per_pixel: None where the layout does not say it.
        sizes: width, height, images.
        formats: format, images.
        exclusions: reason, patients, images.
        audit: a row per quantity: quantity, value (AUC alone, at least 0.5), low, high, higher_in, separates, sentence,
            by_person.
        warnings: cause, n.
        made: command, versions and time.
    """

    path: Path
    patients: str
    counts: Mapping[str, int]
    missing: Mapping[str, int]
    microns_per_pixel: float | None
    sizes: pd.DataFrame
    formats: pd.DataFrame
    exclusions: pd.DataFrame
    audit: pd.DataFrame
    warnings: pd.DataFrame
    made: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<CheckRecord of {self.counts['images']} images, {len(self.audit)} quantities audited>"


def read_check(path: Path) -> CheckRecord:
    """Read a `check.json`.

    Raises:
        InputError: no such file, or not one.
    """
    return read_record(path, "check", _check)


def _check(path: Path, raw: dict[str, Any]) -> CheckRecord:
    counts = {str(key): int(n) for key, n in raw["counts"].items()}
    counts["images"]
    pixel_size = raw["microns_per_pixel"]
    return CheckRecord(
        path, str(raw["patients"]), counts,
        {str(key): int(n) for key, n in raw["missing"].items()},
        None if pixel_size is None else float(pixel_size),
        _table(raw["sizes"], ("width", "height", "images")), _table(raw["formats"], ("format", "images")),
        _table(raw["exclusions"], ("reason", "patients", "images")), _table(raw["audit"], _AUDIT),
        _table(raw["warnings"], ("cause", "n")), made_of(raw),
    )  # fmt: skip


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    """With these columns also where there is no row; KeyError where one is lacking."""
    return table_of(rows)[list(columns)] if rows else pd.DataFrame(columns=list(columns))
