"""Small frozen encodings of `noise_cohort`: settings, changes of the cohort, interruptions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cache.partial import PartialEncoding
from lymphofeat.cohort.model import Cohort

SETTINGS = ExtractSettings(
    backbone="small-cnn", weights="none", seed=0, crop=40, batch_size=5, n_folds=3, n_repeats=2, device="cpu"
)
SLOW = replace(SETTINGS, backbone="resnet18")  # enough so to be caught by a signal
EMULATED = replace(SETTINGS, dtype="bfloat16", emulate_bfloat16=True)
NAME = "small-cnn-random0-crop40"


def has_bfloat16(patch: pytest.MonkeyPatch, *, possible: bool) -> None:
    """Let the program believe that this machine multiplies bfloat16, or does not."""
    for module in ("arithmetic", "extract"):
        patch.setattr(f"lymphofeat.cache.{module}.has_fast_bfloat16", lambda device: possible)


def features(path: Path, name: str = NAME) -> np.ndarray:
    return np.array(open_cache(path).encodings[name].features)


def with_patient(cohort: Cohort, i: int, **changes: object) -> Cohort:
    patients = list(cohort.patients)
    patients[i] = replace(patients[i], **changes)  # type: ignore[arg-type]
    return replace(cohort, patients=tuple(patients))


def some(cohort: Cohort, rows: list[int]) -> Cohort:
    """The cohort with these patients, in this order."""
    return replace(cohort, patients=tuple(cohort.patients[i] for i in rows))


def change_label(cohort: Cohort) -> Cohort:
    return with_patient(cohort, 4, label=1)


def change_image(cohort: Cohort) -> Cohort:
    path = cohort.patients[2].images[1]
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    return cohort


def remove_image(cohort: Cohort) -> Cohort:
    return with_patient(cohort, 3, images=cohort.patients[3].images[1:])


def remove_patient(cohort: Cohort) -> Cohort:
    return replace(cohort, patients=cohort.patients[1:])


def partial_of(path: Path, name: str = NAME) -> Path:
    """Where an encoding of the cache grows."""
    return path.with_name(f"{path.name}.{name}.partial")


def interrupted(
    cohort: Cohort,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: int = 3,
    settings: ExtractSettings = SETTINGS,
) -> None:
    """Run `extract_frozen` until `after` blocks are written, and break it off there."""
    written: list[int] = []
    plain = PartialEncoding.write

    def write(self, block, features) -> None:  # type: ignore[no-untyped-def]
        if len(written) >= after:
            raise KeyboardInterrupt
        plain(self, block, features)
        written.append(block)

    with monkeypatch.context() as patch:
        patch.setattr(PartialEncoding, "write", write)
        with pytest.raises(KeyboardInterrupt):
            extract_frozen(cohort, path, settings, workers=1)
