"""Small fine-tuned encoder families of `noise_cohort`: recipes, settings, and how two caches are compared."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import ExtractSettings
from lymphofeat.cache.finetune import FinetuneSettings
from lymphofeat.cohort.model import Cohort
from lymphofeat.progress import Silent
from lymphofeat.training.recipe import Recipe
from lymphofeat.training.recipe_file import change_recipe, find_recipe


def tiny(name: str = "pooled-small-cnn", **training: object) -> Recipe:
    """A recipe small enough for a test: 32 pixels, a small network, two epochs."""
    changes = {
        "training": {"crop": 32, "epochs": 2, "inner_folds": 2, **training},
        "network": {"backbone": "small-cnn"},
        "batches": {"images": 8},
        "clinical": {"epochs": 3},
    }
    return change_recipe(find_recipe(name), changes, "test")


BASE = ExtractSettings(weights="none", seed=0, batch_size=5, n_folds=3, n_repeats=2, device="cpu")
SETTINGS = FinetuneSettings(tiny(), BASE)
ENCODER_FAMILY = "pooled-small-cnn-random0-crop32-epochs2"
SEEING = "pooled+clinical-random0-small-cnn-crop32-epochs2"


def contents(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Features and own probabilities by encoding; none of the latter where no labels were learnt."""
    found = {}
    for name, encoding in open_cache(path).encodings.items():
        assert (encoding.end_to_end is None) == (encoding.blind_to is None)
        own = np.empty(0) if encoding.end_to_end is None else encoding.end_to_end
        found[name] = (np.array(encoding.features), own)
    return found


def assert_same(one: Path, other: Path) -> None:
    first, second = contents(one), contents(other)
    assert first.keys() == second.keys()
    for name in first:
        for a, b in zip(first[name], second[name], strict=True):
            np.testing.assert_array_equal(a, b)


def leftovers(folder: Path) -> list[str]:
    """Files that are not whole: partial, temporary, checkpoints."""
    return [p.name for p in folder.rglob("*") if p.suffix in (".tmp", ".partial", ".checkpoint")]


def change(cohort: Cohort, i: int, **changes: object) -> Cohort:
    patients = list(cohort.patients)
    patients[i] = replace(patients[i], **changes)  # type: ignore[arg-type]
    return replace(cohort, patients=tuple(patients))


class Heard(Silent):
    """Keeps what a run says of its epochs, and breaks it off at the first one after a checkpoint in `until`."""

    def __init__(self, until: Path | None = None) -> None:
        self.epochs: list[str] = []
        self.until = until

    def note(self, text: str) -> None:
        if ", epoch " in text:
            self.epochs.append(text)
            if self.until is not None and any(self.until.glob("*.checkpoint")):
                raise KeyboardInterrupt
