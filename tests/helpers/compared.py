"""Caches as `extract` leaves them for a comparison: frozen, random, colour and fine-tuned encoder families."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cache.spec import EncodingSpec
from lymphofeat.cache.writer import CacheWriter

from .caches import copied, features, patients

RANDOM = {"recipe": "frozen", "backbone": "resnet18", "weights": "untrained, random from seed 0"}
COLOUR = {"recipe": "frozen", "backbone": "colour", "weights": "none"}
FROZEN = {"recipe": "frozen", "backbone": "resnet18", "weights": "file good.pth"}
CLINICAL = {"name": "pooled+clinical", "clinical": {"use": "branch"}}


def add_encoding(
    path: Path,
    name: str,
    array: np.ndarray,
    about: Mapping[str, Any],
    *,
    encoder_family: str | None = None,
    blind_to: Sequence[int] | None = None,
    end_to_end: np.ndarray | None = None,
    seconds: float | None = None,
) -> None:
    """Add an encoding with a description of its own to a cache."""
    blind = None if blind_to is None else frozenset(blind_to)
    tables = open_cache(path).tables
    spec = EncodingSpec(name, encoder_family or name, array.shape[1], len(array), blind, dict(about))
    with CacheWriter(path, tables) as writer:
        partial = writer.begin(spec)
        partial.write(0, array)
        writer.finish(partial, end_to_end, made=None if seconds is None else {"seconds": seconds})


def compared_cache(path: Path, *, n_folds: int = 4, pairs: bool = True) -> Path:
    """A cache with `good` (frozen), `resnet18-random0`, `colour`, and `pooled+clinical-good`, trained per fold.

    Member m of the fine-tuned encoder family gives patient i the probability (m + i / n) / 16, so that its hand is
    known.
    """
    return copied(_compared, path, n_folds, pairs)


def _compared(path: Path, n_folds: int, pairs: bool) -> Path:  # noqa: FBT001
    table = patients()
    save_cache(path, table, {"good": features(table)}, n_folds=n_folds, n_repeats=2)
    add_encoding(path, "good", features(table, signal=1.0), FROZEN, seconds=3.0)
    add_encoding(path, "resnet18-random0", features(table, seed=5, signal=0.1), RANDOM, seconds=2.0)
    add_encoding(path, "colour", features(table, dim=6, seed=6, signal=0.2), COLOUR)
    folds: list[tuple[int, ...]] = [(k,) for k in range(n_folds)]
    if pairs:
        folds += [(j, k) for j in range(n_folds) for k in range(j + 1, n_folds)]
    for number, blind_to in enumerate(folds):
        add_encoding(
            path,
            f"pooled+clinical-good-fold{'+'.join(map(str, blind_to))}",
            features(table, seed=10 + number, signal=0.8),
            {"recipe": CLINICAL, "backbone": "resnet18", "weights": "file good.pth"},
            encoder_family="pooled+clinical-good",
            blind_to=blind_to,
            end_to_end=(number + np.arange(len(table)) / len(table)) / 16,
            seconds=100.0,
        )
    return path
