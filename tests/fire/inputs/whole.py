"""A folder with everything that commands read: cohort, caches, study, exported model, features of another toolkit."""

import hashlib
from pathlib import Path

import pytest

from ...helpers.caches import frozen_cache
from ...helpers.elsewhere import plain_table, simulated, write_stamp
from ...helpers.tiny import tiny_cohort

__all__ = ["listing", "make_whole"]


def make_whole(folder: Path) -> Path:
    """Make it: `data`, `c.h5`, `s.db`, `model`; `other.h5`; `features` and `patients.csv`."""
    from lymphofeat import export, extract, tune

    tiny_cohort(folder / "data", n=12, side=80)
    (folder / "data/lymphofeat.toml").write_text("[images]\nsmallest = 64\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        extract("data", "c.h5", frozen=True, backbone="small-cnn", weights="none", seed=0, crop=64, n_folds=3)
        tune("c.h5", "s.db", n_trials=3, heads=["logistic"], inputs=["image"])
        export("c.h5", "s.db", "model")
        frozen_cache(Path("other.h5"))
        given = simulated()
        write_stamp(folder / "features", given, unit="patient")
        plain_table(folder / "patients.csv", given, age="60")
    return folder


def listing(folder: Path) -> dict[str, str]:
    """All files and folders but locks, with what they hold."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
        if not path.name.endswith(".lock")
    }
