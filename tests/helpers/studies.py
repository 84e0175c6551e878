"""What stands in a study's file, for comparisons."""

import sqlite3
from pathlib import Path
from typing import Any

from lymphofeat.studies.store import open_store


def trials_of(path: Path) -> list[tuple[int, Any, dict[str, Any], dict[str, Any]]]:
    """(number, value, parameters, attributes) of each trial; the value is None if it failed."""
    with open_store(path) as store:
        return [
            (row.number, None if row.failed else row.value, row.params, store.attrs(row))
            for row in store.rows()
        ]


def states_of(path: Path) -> dict[str, int]:
    """Optuna's states of trials, and how many trials are in each."""
    with sqlite3.connect(path) as database:
        states = dict(database.execute("SELECT state, COUNT(*) FROM trials GROUP BY state").fetchall())
    database.close()
    return states
