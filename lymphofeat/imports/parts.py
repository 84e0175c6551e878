"""Features as files hold them: the rows of a slide or of a patient, and what the file says of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cohort.tables import Table
from .causes import UnusableError

__all__ = ["NOUNS", "UNITS", "Loaded", "Part", "Source", "as_rows", "slide_name"]

# What a row of features is → one of them, several of them.
NOUNS = {
    "patch": ("patch", "patches"),
    "cell": ("cell", "cells"),
    "slide": ("slide vector", "slide vectors"),
    "patient": ("patient vector", "patient vectors"),
    "": ("row", "rows"),
}
UNITS = tuple(name for name in NOUNS if name)
# Endings of feature files and of slides, which tables of slides write or leave out.
_ENDINGS = (
    ".h5", ".hdf5", ".pt", ".npy", ".ome.tif", ".ome.tiff", ".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".czi",
    ".vms", ".vmu", ".bif", ".qptiff", ".svslide", ".jpg", ".jpeg", ".png", ".dcm",
)  # fmt: skip


@dataclass(frozen=True)
class Loaded:
    """What a file holds of one slide or patient.

    Attributes:
        features: (n, D), (1, n, D) or (D,), as it is stored.
        encoder: the name of the encoder; "" where the file does not say it.
        unit: what a row is, a key of `NOUNS`; "" where the file does not say it.
        places: (n, 2) coordinates of the rows; None where the file has none.
        microns_per_pixel: of the patches that the encoder saw; None where the file does not say it.
    """

    features: NDArray[Any]
    encoder: str = ""
    unit: str = ""
    places: NDArray[Any] | None = None
    microns_per_pixel: float | None = None


@dataclass(frozen=True)
class Part:
    """The features of one slide, or of one patient.

    Attributes:
        name: of the slide or patient, as the source has it, without ending; with folders where it lies in some.
        where: the file, for messages.
        load: reads it; raises `UnusableError`.
        patient: whose it is, where the source itself says it.
    """

    name: str
    where: str
    load: Callable[[], Loaded]
    patient: str = ""


@dataclass(frozen=True)
class Source:
    """Where features come from.

    Attributes:
        parts: what it holds.
        slides: whether `parts` are slides by their own word, and not perhaps patients.
        table: values of the patients in the same table as the features; None where there are none.
        notes: what was passed over and what was taken for what, in sentences.
    """

    parts: tuple[Part, ...]
    slides: bool = False
    table: Table | None = None
    notes: tuple[str, ...] = ()


def slide_name(text: str) -> str:
    """The name of a slide or feature file without the endings that tables write or leave out.

    Only these: the name of a slide of TCGA holds a dot.
    """
    name = str(PurePosixPath(text.replace("\\", "/").strip()))
    while ending := next((e for e in _ENDINGS if name.lower().endswith(e) and len(name) > len(e)), ""):
        name = name[: -len(ending)]
    return name


def as_rows(loaded: Loaded) -> NDArray[np.float32]:
    """(n, D) float32 of what a file holds.

    Raises:
        UnusableError: it is no such array, is empty, or holds what no encoder gives.
    """
    array = loaded.features
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise UnusableError(f"features of type {array.dtype}", "give numbers")
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2:
        raise UnusableError(
            f"features of shape {array.shape}", "give (rows, numbers), (1, rows, numbers) or one vector"
        )
    if array.size == 0:
        raise UnusableError("no features at all", "compute them again, or leave the files out")
    with np.errstate(over="ignore"):  # what float32 cannot hold is found as infinite
        rows = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(rows).all():
        raise UnusableError("NaN or infinite numbers", "compute the features again, or leave the files out")
    if not rows.any(axis=1).all():
        raise UnusableError(
            "rows of zeros only, as of padding", "leave these rows out, or compute the features again"
        )
    return rows
