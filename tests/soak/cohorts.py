"""Simulated cohorts of a plan: tables and features, written as `save_cache` writes them, or folders of images."""

from pathlib import Path

import numpy as np
import pandas as pd

from lymphofeat.cache import save_cache
from lymphofeat.synthetic.cohort import simulate_cohort
from lymphofeat.synthetic.patients import SimulationSettings

from .plan import CohortPlan

__all__ = ["image_folder", "patients", "write_cache"]


def patients(plan: CohortPlan) -> pd.DataFrame:
    """The cohort's table, with the columns of `lymphofeat.cohort.model.TABLE_COLUMNS`."""
    rng = plan.rng(1)
    n_labelled, n = plan.reactive + plan.malignant, len(plan.lengths)
    truth = rng.permutation(np.repeat([0, 1], [plan.reactive, plan.malignant]))
    truth = np.append(truth, rng.integers(0, 2, n - n_labelled))
    table = pd.DataFrame(
        {
            "id": [f"P{i:03d}" for i in rng.permutation(n)],
            "split": np.where(np.arange(n) < n_labelled, "train", "test"),
            "label": np.where(np.arange(n) < n_labelled, truth, -1),
            "n_images": list(plan.lengths),
            "birth": [f"{1920 + i % 80}-{i // 80 % 12 + 1:02d}-{i % 28 + 1:02d}" for i in range(n)],
            "date_order": "m/d/y",
            "sex": rng.choice(["M", "F"], n),
            "age": rng.normal(62, 12, n).clip(0, 105) + truth,
            "lymphocyte_count": np.exp(rng.normal(2, rng.choice([0.1, 0.7, 2.5]), n) + truth),
        }
    )
    for column, value in (("age", 60.0), ("lymphocyte_count", 8.0), ("sex", "F")):
        if column in plan.constant:
            table[column] = value
    for column, share in plan.missing.items():
        absent = rng.random(n) < share
        table.loc[absent, column] = "" if column in ("sex", "birth") else np.nan
    _repeat_persons(plan, table, rng)
    for copy, original in _copies(plan):
        values = ["birth", "sex", "age", "lymphocyte_count"]
        table.loc[copy, values] = table.loc[original, values].to_numpy()
    return table


def _repeat_persons(plan: CohortPlan, table: pd.DataFrame, rng: np.random.Generator) -> None:
    """Give some records the date of birth and the sex of another one."""
    for row in np.flatnonzero(rng.random(len(table)) < plan.repeated):
        other = int(rng.integers(len(table)))
        if plan.mixed or table.loc[row, "label"] == table.loc[other, "label"]:
            table.loc[row, ["birth", "sex"]] = table.loc[other, ["birth", "sex"]].to_numpy()


def _copies(plan: CohortPlan) -> list[tuple[int, int]]:
    """(copy, original) rows of patients who stand in the cohort twice; both have as many images."""
    rng = plan.rng(2)
    pairs = []
    for row in np.flatnonzero(rng.random(len(plan.lengths)) < plan.copies):
        alike = [i for i in range(row) if plan.lengths[i] == plan.lengths[row]]
        if alike:
            pairs.append((int(row), int(rng.choice(alike))))
    return pairs


def write_cache(plan: CohortPlan, path: Path, table: pd.DataFrame) -> None:
    """Write the cohort's cache; a fine-tuned encoder family has an encoding for each fold.

    Raises:
        InputError: the persons cannot be divided into so many folds.
    """
    if not plan.trained:
        names = {f"frozen{i}": None for i in range(2 if plan.encoders == "two frozen" else 1)}
        encoder_families = own = None
    else:
        folds = range(plan.folds)
        held = [(k,) for k in folds]
        if plan.encoders == "per two folds":
            held += [(j, k) for j in folds for k in folds if j < k]
        names = {"tuned-" + "-".join(map(str, h)): h for h in held}
        encoder_families = dict.fromkeys(names, "tuned")
        own = {name: plan.rng(40 + i).random(len(table)) for i, name in enumerate(names)}
    save_cache(
        path,
        table,
        {name: _features(plan, table, number) for number, name in enumerate(names)},
        n_folds=plan.folds,
        n_repeats=plan.repeats,
        encoder_families=encoder_families,
        blind_to=names,
        end_to_end=own,
    )


def _features(plan: CohortPlan, table: pd.DataFrame, encoding: int) -> np.ndarray:
    """(n_images, dim) float32, finite, no row all zero."""
    rng = plan.rng(100 + encoding)
    lengths, dim = np.array(plan.lengths), plan.dim
    starts = np.cumsum(lengths) - lengths
    signal = rng.choice([0, 0.5, 2]) * (table["label"].to_numpy() == 1)
    offsets = rng.normal(size=(len(table), dim)) + signal[:, None]
    x = np.repeat(offsets, lengths, axis=0) + rng.normal(size=(lengths.sum(), dim))
    match plan.features:
        case "rectified":
            x = np.maximum(x - 0.5, 0)
        case "constant columns":
            x[:, rng.random(dim) < 0.8] = rng.normal()
        case "identical images":
            x = np.repeat(x[starts], lengths, axis=0)
        case "one image for all":
            x[:] = x[0]
        case "mixed scales":
            x *= 10 ** rng.uniform(-12, 12, dim) / plan.scale
        case "offset":
            x = 1e6 * rng.normal(size=dim) + 1e-2 * x
        case "heavy tails":
            x = rng.standard_cauchy(x.shape).clip(-1e8, 1e8)
        case "whole numbers":
            x = np.round(x)
        case "outlier":
            x[rng.integers(len(x))] *= 1e9
        case "separable":
            x[:, 0] = np.repeat(np.where(table["label"] == 1, 5.0, -5.0), lengths)
    for copy, original in _copies(plan):
        length = lengths[copy]
        x[starts[copy] : starts[copy] + length] = x[starts[original] : starts[original] + length]
    found = (x * plan.scale).astype(np.float32)
    found[~found.any(axis=1), 0] = np.float32(plan.scale)
    return found


def image_folder(plan: CohortPlan, folder: Path) -> SimulationSettings:
    """Paint the cohort as a folder of images in the challenge's layout; its spec."""
    rng = plan.rng(3)
    n = len(plan.lengths)
    labelled = plan.reactive + plan.malignant
    formats = ("jpg", "png", "tif", "bmp")
    spec = SimulationSettings(
        patients=n,
        seed=plan.number,
        test_fraction=plan.test / n,
        malignant_fraction=min(max(plan.malignant / labelled, 0.1), 0.9),
        size=int(rng.choice([112, 128, 160])),
        images_range=(min(plan.lengths), max(plan.lengths)),
        overlap=float(rng.choice([0, 0.25, 1])),
        signal=str(rng.choice(["image", "clinical", "both", "none"])),
        formats=tuple(str(f) for f in rng.choice(formats, int(rng.integers(1, 5)), replace=False)),
    )
    simulate_cohort(folder, spec)
    return spec
