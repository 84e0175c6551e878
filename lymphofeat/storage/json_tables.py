"""Tables and records as JSON files: a row an object, null for what is not known and for what nothing bounds."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .atomic import atomic_write

if TYPE_CHECKING:  # it takes a while to import, and who has a table has it
    import pandas as pd

__all__ = ["json_rows", "json_text", "json_value", "write_json_record"]


def json_rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """A table's rows as JSON values."""
    return [{str(key): json_value(value) for key, value in row.items()} for row in table.to_dict("records")]


def json_value(value: Any) -> Any:
    """A cell as JSON has it: Python's own number, null for NaN and the infinities."""
    if not isinstance(value, bool) and hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_text(record: Mapping[str, Any]) -> str:
    """A record as the text of its file."""
    return json.dumps(record, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def write_json_record(record: Mapping[str, Any], path: Path, *, overwrite: bool = True) -> None:
    """Write a record; its folder is made if need be.

    Raises:
        InputError: the file exists and `overwrite` is false.
    """
    with atomic_write(path, overwrite=overwrite) as temporary:
        temporary.write_text(json_text(record), encoding="utf-8")
