"""Small cohorts in memory with real image files, for tests of the parts to the right of `cohort`."""

from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image

from lymphofeat import extract
from lymphofeat.cohort.model import Cohort, Patient


def noise_cohort(root: Path, n_train: int = 12, n_test: int = 3, images: int = 4, side: int = 48) -> Cohort:
    """Patients with images of coloured noise; labels alternate, bags have `images` or `images` + 1 instances."""
    patients = []
    for i in range(n_train + n_test):
        rng = np.random.default_rng([7, i])
        folder = root / f"P{i}"
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for k in range(images + i % 2):
            tint = rng.integers(60, 200, 3)
            pixels = np.clip(tint + rng.normal(0, 30, (side, side, 3)), 0, 255).astype(np.uint8)
            path = folder / f"{k:06d}.png"
            Image.fromarray(pixels).save(path)
            paths.append(path)
        split, label = ("train", i % 2) if i < n_train else ("test", -1)
        patients.append(
            Patient(
                f"P{i}",
                split,
                label,
                tuple(paths),
                date(1950 + i, 1, 2),
                "m/d/y",
                "MF"[i % 2],
                70.0 - i,
                5.0 + i,
            )
        )
    return Cohort(root, tuple(patients))


def extracted_cache(path: Path, images: Path, n: int = 40) -> Path:
    """A cache of `n` labelled patients and 6 others under an untrained encoder, so that its encoder can be exported."""
    cohort = noise_cohort(images, n, 6, images=2)
    extract(cohort, path, frozen=True, weights="none", seed=0, crop=32, n_folds=4)
    return path
