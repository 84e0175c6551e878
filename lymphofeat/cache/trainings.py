"""Where the encoders that a cache's cohort trained are kept, and those whose training is under way."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes seconds to import, and mostly no training is under way
    from ..training.checkpoint import TrainingState

__all__ = ["encoders_folder", "trainings_under_way"]


def encoders_folder(cache: Path) -> Path:
    """Where the trained encoders of a cache are kept, as `<encoding>.safetensors`."""
    return cache.with_name(f"{cache.stem}-encoders")


def trainings_under_way(cache: Path) -> "Iterator[tuple[Path, TrainingState]]":
    """The checkpoints of encoders of this cache that are being trained, or whose training waits to go on.

    Raises:
        StaleCacheError: one cannot be read.
    """
    for path in sorted(encoders_folder(cache).glob("*.checkpoint")):
        from ..training.checkpoint import inspect_checkpoint

        yield path, inspect_checkpoint(path)
