"""What `evaluate` and `compare` have kept, read back from their JSON files."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ..errors import InputError

__all__ = [
    "ComparisonRecord",
    "EvaluationRecord",
    "made_of",
    "read_comparison",
    "read_evaluation_record",
    "read_record",
    "table_of",
]

Found = TypeVar("Found")


@dataclass(frozen=True)
class EvaluationRecord:
    """An `evaluate.json`.

    Attributes:
        path: its file.
        pipeline, encoding, metric: what was evaluated.
        n, n_malignant: labelled patients; records, where persons have several.
        n_persons: None where no person has several.
        n_folds, n_runs: outer folds of a run, and runs.
        search: what was repeated inside the folds; see `assess.Assessment.search`.
        made: command, versions and time.
        answer: the sentences that `evaluate` prints first.
        simplest: per "pipeline" and "head_type" the metric, the best, the simplest and the standard error.
        notes: what is lacking.
        tables: by name; null is NaN. `predictions` is not there in what earlier versions wrote.
    """

    path: Path
    pipeline: str
    encoding: str
    metric: str
    n: int
    n_malignant: int
    n_persons: int | None
    n_folds: int
    n_runs: int
    search: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)
    answer: Sequence[str] = ()
    simplest: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<EvaluationRecord of {self.pipeline} on {self.n} patients, {len(self.tables)} tables>"

    def table(self, name: str) -> pd.DataFrame:
        """A table, empty where it was not kept."""
        return self.tables.get(name, pd.DataFrame())


@dataclass(frozen=True)
class ComparisonRecord:
    """A `compare.json`.

    Attributes:
        path: its file.
        metric: what "best" means.
        n, n_malignant: labelled patients; records, where persons have several.
        n_persons: None where no person has several.
        patients: digest of whom it was measured on.
        made: command, versions and time.
        sentences: the conclusions.
        table: a row per pipeline, the best first; see `report.compare.comparison_table`.
    """

    path: Path
    metric: str
    n: int
    n_malignant: int
    n_persons: int | None
    patients: str
    made: Mapping[str, str]
    sentences: Sequence[str]
    table: pd.DataFrame

    def __repr__(self) -> str:
        return f"<ComparisonRecord of {len(self.table)} pipelines on {self.n} patients>"


def read_evaluation_record(path: Path) -> EvaluationRecord:
    """Read an `evaluate.json`.

    Raises:
        InputError: no such file, or not one.
    """
    return read_record(path, "evaluate", _evaluation)


def read_comparison(path: Path) -> ComparisonRecord:
    """Read a `compare.json`.

    Raises:
        InputError: no such file, or not one.
    """
    return read_record(path, "compare", _comparison)


def read_record(path: Path, command: str, parse: Callable[[Path, dict[str, Any]], Found]) -> Found:
    """Read what a command has kept.

    Args:
        path: the JSON file.
        command: that writes it.
        parse: makes the record of the path and the file's content.

    Raises:
        InputError: no such file, or not one of that command.
    """
    way_out = f"give the {command}.json that `lymphofeat {command}` wrote, or run it again."
    try:
        return parse(path, json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); {way_out}") from error
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"{path} is not what `lymphofeat {command}` writes ({error!r}); {way_out}"
        ) from error


def _evaluation(path: Path, raw: dict[str, Any]) -> EvaluationRecord:
    n, malignant, folds, runs = (int(raw[key]) for key in ("patients", "malignant", "folds", "runs"))
    pipeline, encoding, metric = (str(raw[key]) for key in ("pipeline", "encoding", "metric"))
    tables = {str(name): table_of(rows) for name, rows in raw["tables"].items()}
    for needed in ("pipelines", "metrics"):
        tables[needed]["pipeline" if needed == "pipelines" else "metric"]
    return EvaluationRecord(
        path, pipeline, encoding, metric, n, malignant, _persons(raw.get("persons", n), n), folds, runs,
        dict(raw.get("search") or {}), made_of(raw), tuple(map(str, raw.get("answer", ()))),
        dict(raw.get("simplest") or {}), tuple(map(str, raw.get("notes", ()))), tables,
    )  # fmt: skip


def _comparison(path: Path, raw: dict[str, Any]) -> ComparisonRecord:
    n, table = int(raw["n"]), table_of(raw["table"])
    table["pipeline"]
    return ComparisonRecord(
        path, str(raw["metric"]), n, int(raw["malignant"]), _persons(raw["persons"], n), str(raw["patients"]),
        made_of(raw), tuple(map(str, raw["sentences"])), table,
    )  # fmt: skip


def table_of(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of a record as a table; a column of numbers has NaN for null, one of words keeps None."""
    table = pd.DataFrame(list(rows))
    for name in table.columns:
        known = [value for value in table[name] if value is not None]
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
        if len(known) < len(table) and numbers:
            table[name] = pd.to_numeric(table[name]).astype(np.float64)
    return table


def _persons(persons: Any, n: int) -> int | None:
    return None if int(persons) == n else int(persons)


def made_of(raw: Mapping[str, Any]) -> dict[str, str]:
    """Command, versions and time of a record; empty where it does not say them."""
    return {str(key): str(value) for key, value in (raw.get("made") or {}).items()}
