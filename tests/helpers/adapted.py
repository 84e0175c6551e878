"""A small adapted encoder of `noise_cohort`: recipe, settings, features."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lymphofeat.cache import open_cache
from lymphofeat.cache.adapt import AdaptSettings
from lymphofeat.cache.encoding import Encoding
from lymphofeat.cohort.model import Cohort
from lymphofeat.training.recipe_file import change_recipe, find_recipe

from .finetuned import BASE

RECIPE = change_recipe(
    find_recipe("adapt"),
    {
        "network": {"backbone": "small-cnn", "hidden": [16, 16]},
        "batches": {"patients": 4, "images": 16, "images_per_patient": 3},
        "training": {"crop": 32, "epochs": 2},
    },
    "test",
)
SETTINGS = AdaptSettings(RECIPE, BASE)
NAME = "adapt-small-cnn-random0-crop32-epochs2"


def adapted(path: Path, name: str = NAME) -> Encoding:
    return open_cache(path).encodings[name]


def features(path: Path, name: str = NAME) -> np.ndarray:
    return np.array(adapted(path, name).features)


def with_labels(cohort: Cohort, labels: list[int]) -> Cohort:
    """The cohort with other labels in its labelled part, in the order of its patients."""
    given = iter(labels)
    patients = [replace(p, label=next(given)) if p.split == "train" else p for p in cohort.patients]
    return replace(cohort, patients=tuple(patients))
