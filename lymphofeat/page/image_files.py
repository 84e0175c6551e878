"""Where the images of a cache lie now: found again by patient and name, as far as they are there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..cache.reader import Cache
from ..cohort.read import scan_cohort
from ..errors import LymphofeatError, printable

__all__ = ["ImageFiles", "find_images"]


@dataclass(frozen=True)
class ImageFiles:
    """The files of all images of a cache.

    Attributes:
        paths: (n_images,) a file for each; None where there is none.
        digests: (n_images,) of the bytes that the features were computed of; "" where they are not known.
        reason: why no file was looked for, as a sentence; "" where files were looked for.
    """

    paths: Sequence[Path | None]
    digests: Sequence[str]
    reason: str = ""

    def __repr__(self) -> str:
        return f"<ImageFiles: {sum(path is not None for path in self.paths):,} of {len(self.paths):,} found>"


def find_images(cache: Cache) -> ImageFiles:
    """Find the files in the folder that the cache was made from; what is wrong with its tables does not matter."""
    tables = cache.tables
    names, _, digests = tables.images_at()
    nothing: list[Path | None] = [None] * tables.n_images
    if tables.pseudonyms:
        reason = "The cache holds pseudonyms, so it does not know where its images lie: no cell can be shown."
        return ImageFiles(nothing, digests, reason)
    folder = Path(tables.source)
    if not tables.source or not folder.is_dir():
        where = (
            "the folder of the cohort is not where it was"
            if tables.source
            else "the cache does not say where"
        )
        return ImageFiles(nothing, digests, f"No image was looked for, since {where}: no cell can be shown.")
    try:
        cohort, _ = scan_cohort(folder)
    except (LymphofeatError, OSError):
        return ImageFiles(nothing, digests, "The cohort's folder cannot be read: no cell can be shown.")
    known: dict[tuple[str, str], Path] = {}
    for patient in () if cohort is None else cohort.patients:
        for name, path in zip(patient.image_names, patient.images, strict=True):
            known[patient.id, printable(name)] = path
    owners = cache.ids.astype(str)[tables.owners]
    return ImageFiles([known.get(place) for place in zip(owners.tolist(), names, strict=True)], digests)
