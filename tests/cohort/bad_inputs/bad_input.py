"""One way to break a cohort, and where its files lie."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

TRAIN_TABLE = "trainset/trainset_true.csv"
CLINICAL_TABLE = "clinical_annotation.csv"


class BadInput(NamedTuple):
    """One way to break a cohort."""

    name: str
    mutate: Callable[[Path], object]
    expected: str  # a part of the sentence: file, row, and what is wrong
    remedy: str  # another part: what to do
    severity: str  # "error" (exit code 2) or "warning"


def image_of(root: Path, patient: str = "P3", k: int = 1) -> Path:
    """The path of the k-th image of a patient."""
    (folder,) = [
        root / part / patient for part in ("trainset", "testset") if (root / part / patient).exists()
    ]
    return folder / f"{k:06d}.jpg"
