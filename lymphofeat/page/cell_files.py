"""Where the image files of a cache lie now."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..cache.reader import Cache
from ..cohort.read import read_cohort
from ..errors import LymphofeatError, printable

__all__ = ["files_of"]


def files_of(cache: Cache, rows: NDArray[np.int64]) -> list[Path | None]:
    """The file of each image; None where it is not found, as in a cohort that lies elsewhere now.

    Args:
        cache: whose images.
        rows: (n,) of them.
    """
    tables = cache.tables
    nowhere: list[Path | None] = [None] * len(rows)
    if tables.pseudonyms or not tables.source or not Path(tables.source).is_dir():
        return nowhere
    try:
        patients = {patient.id: patient for patient in read_cohort(tables.source).patients}
    except LymphofeatError:
        return nowhere
    ids = cache.ids.astype(str).to_numpy()
    names, _, _ = tables.images_at(rows)
    known: dict[str, dict[str, Path]] = {}
    for patient_id in set(ids[tables.owners[rows]]) & patients.keys():
        patient = patients[patient_id]
        pairs = zip(patient.image_names, patient.images, strict=True)
        known[patient_id] = {printable(name): path for name, path in pairs}
    owners = ids[tables.owners[rows]]
    return [known.get(owner, {}).get(name) for owner, name in zip(owners, names, strict=True)]
