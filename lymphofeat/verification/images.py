"""The image files of a cache's cohort: whether they are those that the features were computed of."""

from pathlib import Path

import numpy as np

from ..cache.reader import Cache
from ..cohort.fingerprint import image_digests
from ..cohort.model import Cohort
from ..cohort.problems import counted
from ..cohort.read import read_cohort
from ..errors import LymphofeatError
from .findings import Findings

__all__ = ["verify_images"]


def verify_images(cache: Cache, cohort: Path | None, findings: Findings) -> dict[str, Path]:
    """Compare the files in the cohort's folder with the digests in the cache.

    A file of a patient and name that the cache knows, with other bytes, is a fault. Files that are new, or gone, are
    told only: a cohort grows.

    Args:
        cache: the cache.
        cohort: the folder; None: where it was at the time of `extract`.
        findings: are added to.

    Returns:
        By digest, a file for each image that is there as the cache knows it.
    """
    folder = cohort or (Path(cache.tables.source) if cache.tables.source else None)
    digests = list(cache.tables.digests)
    not_compared = "The images were not compared: "
    if not any(digests):
        findings.unchecked.append(f"{not_compared}the cache does not know them, as of imported features.")
        return {}
    if folder is None or not folder.is_dir():
        where = "the cache does not say where they are" if folder is None else f"{folder} is not there"
        findings.unchecked.append(f"{not_compared}{where}; name their cohort with --cohort FOLDER.")
        return {}
    try:
        found = read_cohort(folder)
        now = image_digests(found.images, findings.progress)
    except LymphofeatError as error:
        findings.unchecked.append(f"{not_compared}{error}")
        return {}
    known = set(digests)
    _report_changed(cache, found, now, known, findings)
    there = {digest: path for digest, path in zip(now, found.images, strict=True) if digest in known}
    n_there = sum(digest in there for digest in digests)
    n_images = counted(len(digests), "image")
    findings.checked.append(f"{n_there:,} of {n_images} in {folder}, with the bytes that the cache knows")
    for n, where in (
        (len(digests) - n_there, f"of the cache {{}} not in {folder}"),
        (sum(digest not in known for digest in now), f"in {folder} {{}} not in the cache"),
    ):
        if n:
            findings.unchecked.append(f"{counted(n, 'image')} {where.format('is' if n == 1 else 'are')}.")
    return there


def _report_changed(
    cache: Cache, cohort: Cohort, now: list[str], known: set[str], findings: Findings
) -> None:
    """Files of a known patient and name whose bytes are others than the cache's, and unknown to it."""
    if cache.tables.pseudonyms:  # which have no names
        return
    ids = np.repeat(cache.patients["id"].to_numpy(object), cache.patients["n_images"].to_numpy(np.int64))
    places = set(zip(ids.tolist(), cache.tables.names, strict=True))
    files = iter(zip(cohort.images, now, strict=True))
    for patient in cohort.patients:
        for name in patient.image_names:
            path, digest = next(files)
            if digest not in known and (patient.id, name) in places:
                findings.fault(
                    path,
                    "is not the image that its features were computed of",
                    "restore the file, or run `lymphofeat extract` if it was replaced on purpose",
                )
