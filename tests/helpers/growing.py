"""Caches of a cohort that grows, shrinks or is sorted anew while its patients keep their folds."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from lymphofeat.cache import open_cache, save_cache

from .caches import features, patients

Bags = dict[str, np.ndarray]


def table_of_visits() -> pd.DataFrame:
    """40 labelled patients, the first two records of one person, and 6 test patients."""
    found = patients()
    found.loc[1, ["birth", "sex"]] = found.loc[0, ["birth", "sex"]]
    return found


def bags_of(table: pd.DataFrame) -> Bags:
    """Features of each patient, by ID."""
    stops = np.cumsum(table["n_images"].to_numpy())
    return dict(zip(table["id"], np.split(features(table), stops[:-1]), strict=True))


def saved(path: Path, table: pd.DataFrame, bags: Bags, **options: Any) -> Path:
    """A cache of the patients of `table`, whose order and choice of `bags` it follows."""
    save_cache(
        path,
        table.reset_index(drop=True),
        {"frozen": {name: bags[name] for name in table["id"]}},
        **{"n_folds": 3, **options},
    )
    return path


def with_folds_of(path: Path, other: Path) -> Path:
    """The cache at `path` with the folds that the patients have in the one at `other`."""
    now, then = open_cache(path), open_cache(other)
    folds = np.full((len(now.ids), then.folds.shape[1]), -1, dtype=np.int8)
    rows = then.ids.get_indexer(now.ids)
    folds[now.labels >= 0] = 0  # new ones
    folds[rows >= 0] = then.folds[rows[rows >= 0]]
    with h5py.File(path, "r+") as file:
        file["patients/folds"][...] = folds
        file["patients/fold"][...] = folds[:, 0]
    return path


def with_test_patients(table: pd.DataFrame, bags: Bags) -> tuple[pd.DataFrame, Bags]:
    """Two test patients gone, one with other values and images, and three new ones that come first."""
    test = table[table["split"] == "test"]
    new = test.iloc[:3].assign(id=["N1", "N2", "N3"], age=[1.0, 99.0, np.nan], birth="")
    changed = test.iloc[2:].assign(age=70.0)
    other = {name: bags[name] + 1 for name in changed["id"]}
    more = {name: bags[old] - 1 for name, old in zip(new["id"], test["id"], strict=False)}
    return pd.concat([new, table[table["split"] == "train"], changed]), bags | other | more
