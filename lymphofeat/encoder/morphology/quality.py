"""How far a cell could be measured, and what stands in the place of one that could not."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BORDER", "GOOD", "NO_CYTOPLASM", "NO_NUCLEUS", "QUALITIES", "Quality", "counts_of", "impute",
]  # fmt: skip

Quality = Literal[0, 1, 2, 3]
GOOD: Quality = 0
BORDER: Quality = 1
NO_CYTOPLASM: Quality = 2
NO_NUCLEUS: Quality = 3
QUALITIES: Mapping[int, str] = {
    GOOD: "good",
    BORDER: "nucleus touches the border of the image",
    NO_CYTOPLASM: "no cytoplasm found",
    NO_NUCLEUS: "no nucleus found",
}


def counts_of(quality: NDArray[np.uint8]) -> dict[int, int]:
    """Quality → number of images, of all qualities."""
    counts = np.bincount(quality, minlength=len(QUALITIES))
    return {key: int(counts[key]) for key in QUALITIES}


def impute(
    features: NDArray[np.float32], quality: NDArray[np.uint8], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Give images without a nucleus the medians of the same patient's other images, which leave a mean nearly as it is.

    Whole nuclei count; where a patient has none, those at the border.

    Args:
        features: (n_images, D), patients in order; changed in place.
        quality: (n_images,) keys of `QUALITIES`.
        lengths: (n_patients,) images of each.

    Returns:
        Numbers of the patients in none of whose images a nucleus was found; their rows are left as they are.
    """
    nobody = []
    stops = np.cumsum(lengths)
    for patient in np.unique(np.searchsorted(stops, np.flatnonzero(quality == NO_NUCLEUS), side="right")):
        rows = slice(int(stops[patient] - lengths[patient]), int(stops[patient]))
        own, bag = quality[rows], features[rows]
        whole = (own == GOOD) | (own == NO_CYTOPLASM)
        measured = whole if whole.any() else own == BORDER
        if measured.any():
            bag[own == NO_NUCLEUS] = np.median(bag[measured], axis=0)
        else:
            nobody.append(int(patient))
    return np.array(nobody, dtype=np.int64)
