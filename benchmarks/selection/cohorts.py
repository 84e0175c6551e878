"""Cohorts in two parts: one to search on, and patients kept apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lymphofeat.cache.reader import Cache
from lymphofeat.cohort.folds import assign_repeats, persons
from lymphofeat.synthetic.features import LOG_COUNT_MEAN, LOG_COUNT_SD, FeatureSignal, simulate_features

SIMULATED = "simulated"  # how the group of a simulated cohort begins
SIGNALS = (*get_args(FeatureSignal), "both")
THIRDS = 3  # one of them is kept apart
DEVELOPMENT, APART, IMAGES, DIM = 100, 1000, (20, 50), 16
SHARE = 0.69  # of malignant patients, as in the challenge's cohort


@dataclass(frozen=True)
class Unit:
    """One search and the patients kept apart from it.

    Attributes:
        key: of its record.
        group: what its scores are averaged with: the cohort's encoding, or "simulated".
        at: repeat and part of a real cohort; number of a simulated one and 0.
        table: all patients, those kept apart with split "test" and without labels.
        features: (n_images, D) float32.
        truth: (m,) labels of the patients kept apart.
    """

    key: str
    group: str
    at: tuple[int, int]
    table: pd.DataFrame
    features: NDArray[np.float32]
    truth: NDArray[np.int8]


def units_of_cache(cache: Cache, repeats: int) -> Iterator[Unit]:
    """Repeats × thirds × encodings of the labelled patients of a cache."""
    labelled = np.flatnonzero(cache.labels >= 0)
    table = cache.tables.patients.iloc[labelled].reset_index(drop=True)
    labels = table["label"].to_numpy(np.int8)
    parts = assign_repeats(labels, persons(table), THIRDS, repeats, seed=35)
    for repeat in range(repeats):
        for part in range(THIRDS):
            for name in sorted(cache.encodings):
                bags = cache.bags(name).select(labelled)
                features = np.concatenate(list(bags))
                held = parts[:, repeat] == part
                yield _unit(
                    f"{cache.fingerprint} {name} {repeat} {part}", name, (repeat, part), table, features, held
                )


def simulated_units(number: int) -> Iterator[Unit]:
    """So many simulated cohorts, the signals in turn."""
    for seed in range(number):
        signal = SIGNALS[seed % len(SIGNALS)]
        rng = np.random.default_rng([seed, 35])
        kept_of_reactive = (1 - SHARE) / SHARE
        n = 2 * int(np.ceil((DEVELOPMENT + APART) * SHARE * 1.1))
        simulated = simulate_features(
            n, IMAGES, DIM, signal="mean" if signal == "both" else signal, strength=2.0, seed=seed
        )
        rows = np.flatnonzero((simulated.y == 1) | (rng.random(n) < kept_of_reactive))[: DEVELOPMENT + APART]
        table = simulated.table.iloc[rows].reset_index(drop=True)
        # Of a thousand simulated persons some share a day of birth; none of them is another record of the same person.
        table["birth"] = [
            f"{1930 + k // 336}-{k // 28 % 12 + 1:02d}-{k % 28 + 1:02d}" for k in range(len(table))
        ]
        y = table["label"].to_numpy(np.int8)
        if signal == "both":
            table["lymphocyte_count"] = np.exp(LOG_COUNT_MEAN + LOG_COUNT_SD * rng.normal(2.0 * (y - 0.5)))
        features = np.concatenate([simulated.bags[k] for k in rows])
        held = np.arange(len(table)) >= DEVELOPMENT
        yield _unit(f"{SIMULATED} {signal} {seed}", f"{SIMULATED} {signal}", (seed, 0), table, features, held)


def _unit(
    key: str,
    group: str,
    at: tuple[int, int],
    table: pd.DataFrame,
    features: NDArray[np.float32],
    held: NDArray[np.bool_],
) -> Unit:
    truth = table["label"].to_numpy(np.int8)[held]
    split = np.where(held, "test", "train")
    table = table.assign(split=split, label=np.where(held, -1, table["label"]).astype(np.int8))
    return Unit(key, group, at, table, features, truth)
