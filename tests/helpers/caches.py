"""Small caches from simulated features, for tests of the heads' side; each is made once a process and copied."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lymphofeat.cache import Cache, save_cache
from lymphofeat.cohort.declared import ClinicalColumn

DECLARED = {
    "haemoglobin": ClinicalColumn(unit="g/dl", range=(3, 25)),
    "ldh": ClinicalColumn(unit="U/l", log=True),
    "cd5": ClinicalColumn(kind="yes/no"),
    "lineage": ClinicalColumn(kind="category"),
}


def patients(n: int = 40, n_test: int = 6, seed: int = 0, signal: float = 1.0) -> pd.DataFrame:
    """`n` labelled patients (both classes, half each) and `n_test` test ones; the count follows the label."""
    rng = np.random.default_rng(seed)
    total = n + n_test
    truth = rng.permutation(np.arange(total) % 2)
    return pd.DataFrame(
        {
            "id": [f"P{i:03d}" for i in rng.permutation(total)],
            "split": ["train"] * n + ["test"] * n_test,
            "label": np.where(np.arange(total) < n, truth, -1),
            "n_images": rng.integers(1, 9, total),
            "birth": [f"{1930 + i // 12}-{i % 12 + 1:02d}-03" for i in range(total)],
            "date_order": ["m/d/y"] * total,
            "sex": rng.choice(["M", "F", ""], total),
            "age": np.where(rng.random(total) < 0.1, np.nan, rng.normal(60, 12, total)),
            "lymphocyte_count": np.exp(rng.normal(2, 0.7, total) + signal * truth),
        }
    )


def with_declared(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The table with values for `DECLARED`, a tenth of them missing; the haemoglobin of malignant patients is lower."""
    rng = np.random.default_rng([seed, 3])
    n, malignant = len(table), table["label"].to_numpy() == 1
    gone = rng.random((4, n)) < 0.1
    return table.assign(
        haemoglobin=np.where(gone[0], np.nan, rng.normal(13, 1.5, n) - 3 * malignant),
        ldh=np.where(gone[1], np.nan, np.exp(rng.normal(5.3, 0.4, n))),
        cd5=np.where(gone[2], np.nan, rng.integers(0, 2, n)),
        lineage=np.where(gone[3], "", rng.choice(["B", "T", "NK"], n)).astype(object),
    )


def features(table: pd.DataFrame, dim: int = 16, seed: int = 0, signal: float = 0.6) -> np.ndarray:
    """(n_images, dim) float32: noise per image and patient, and the labelled malignant patients moved."""
    rng = np.random.default_rng([seed, 1])
    n_images = table["n_images"].to_numpy()
    centres = rng.normal(size=(len(table), dim)) + signal * (table["label"].to_numpy() == 1)[:, None]
    noise = rng.normal(size=(n_images.sum(), dim))
    return (np.repeat(centres, n_images, axis=0) + noise).astype(np.float32)


def copied(make: Callable[..., Path], path: Path, *arguments: Any) -> Path:
    """What `make(path, *arguments)` makes, from the same call for another folder where there was one.

    A cache of a dozen encodings takes seconds, and its files say nothing of where they lie.
    """
    if path.exists() or not all(one is None or isinstance(one, int | float | str) for one in arguments):
        return make(path, *arguments)
    made = _made(make, path.name, arguments)
    shutil.copytree(made.parent, path.parent, dirs_exist_ok=True)
    return path


@cache
def _made(make: Callable[..., Path], name: str, arguments: tuple[Any, ...]) -> Path:
    return make(Path(tempfile.mkdtemp(dir=_folder())) / name, *arguments)


@cache
def _folder() -> Path:
    """A folder that is removed when the process ends."""
    folder, owner = Path(tempfile.mkdtemp(prefix="lymphofeat-caches-")), os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
    return folder


def frozen_cache(path: Path, *, seed: int = 0, n: int = 40, n_test: int = 6, **options: Any) -> Path:
    """A cache with one label-free encoding, `frozen`."""
    return copied(_frozen, path, seed, n, n_test, *[part for item in options.items() for part in item])


def _frozen(path: Path, seed: int, n: int, n_test: int, *options: Any) -> Path:
    table = patients(n, n_test, seed)
    given = dict(zip(options[::2], options[1::2], strict=True))
    save_cache(path, table, {"frozen": features(table, seed=seed)}, **given)
    return path


def single_class_cache(path: Path) -> Path:
    """Twelve patients of whom two are malignant, in three folds: without some fold, a single one is left."""
    table = patients(12, 2, 0)
    table["label"] = np.where(table["split"] == "train", (np.arange(14) % 4 == 0).astype(int), -1)
    save_cache(path, table, {"frozen": features(table)}, n_folds=3)
    return path


def tuned_cache(path: Path, *, n_folds: int = 4, pairs: bool) -> Path:
    """A cache with the encoder family `tuned`: an encoding per fold, and with `pairs` one per two folds as well."""
    return copied(_tuned, path, n_folds, pairs)


def _tuned(path: Path, n_folds: int, pairs: bool) -> Path:  # noqa: FBT001
    table = patients()
    held_out: list[tuple[int, ...]] = [(k,) for k in range(n_folds)]
    if pairs:
        held_out += [(k, j) for k in range(n_folds) for j in range(k + 1, n_folds)]
    names = {f"tuned-{'-'.join(map(str, folds))}": folds for folds in held_out}
    save_cache(
        path,
        table,
        {name: features(table, seed=number) for number, name in enumerate(names)},
        n_folds=n_folds,
        encoder_families=dict.fromkeys(names, "tuned"),
        blind_to=names,
    )
    return path


def relabelled(cache: Cache, labels: np.ndarray) -> Cache:
    """The cache in memory with other labels in its table, its folds as they were."""
    return replace(cache, tables=replace(cache.tables, patients=cache.tables.patients.assign(label=labels)))
