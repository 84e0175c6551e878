"""A cohort that changed since its cache was written: whether it is that cohort still, its folds, and what changed."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..cohort.folds import extend_folds, persons
from ..cohort.problems import counted, listing
from ..errors import InputError, StaleCacheError
from .changes import REPLACE, check_ages, check_fresh, drawn_otherwise, parted, with_kept_folds
from .known import find_rows
from .tables import CohortTables

__all__ = ["grown_tables", "what_changed"]


def grown_tables(path: Path, found: CohortTables, now: CohortTables) -> CohortTables:
    """The tables of a cohort as it is now, with the folds that its patients have in the cache; new ones are dealt out.

    Features that come from elsewhere, without the digests of images, are of exactly these patients and labels.

    Raises:
        StaleCacheError: it is another cohort, or its folds or ages are others.
    """
    if not (found.has_digests and now.has_digests):
        kept = with_kept_folds(found, now)
        check_fresh(path, found, kept)
        return kept
    check_ages(path, found, now)
    there = int((find_rows(now.keys, found.keys) >= 0).sum())
    if 2 * there < len(found.keys):
        raise StaleCacheError(
            f"{path} was made from another cohort: {there:,} of its {counted(len(found.keys), 'image')} are here; "
            f"{REPLACE}"
        )
    if reason := drawn_otherwise(found, now):
        raise StaleCacheError(f"{path} was made from another state of the cohort: {reason}; {REPLACE}")
    return replace(now, folds=_folds(path, found, now))


def _folds(path: Path, found: CohortTables, now: CohortTables) -> NDArray[np.int8]:
    known = np.full((len(now.patients), found.folds.shape[1]), -1, dtype=np.int8)
    before = rows_before(found, now)
    known[before >= 0] = found.folds[before[before >= 0]]
    labels = now.patients["label"].to_numpy(np.int8)
    if not (known >= 0).any() or not (labels >= 0).any():
        return now.folds
    if pair := parted(known, now.patients):
        raise StaleCacheError(
            f"{path}: patients {' and '.join(pair)} may be one person, and the cache has them in different folds; "
            f"correct the table (who may be one person: docs/cohort.md), {REPLACE}"
        )
    try:
        n_folds, order = int(found.folds[:, 0].max()) + 1, now.patients["id"].astype(str).to_numpy()
        return extend_folds(labels, persons(now.patients), known, n_folds, found.fold_seed, order)
    except InputError as error:
        raise StaleCacheError(f"{path}: {error}") from error


def rows_before(found: CohortTables, now: CohortTables) -> NDArray[np.int64]:
    """(n_patients,) the row in `found` of each patient of `now`; −1 of those who are new.

    A patient is known by the ID, and one whose ID is new by images that lay with a patient who is not there any more.
    """
    row_of = {str(name): row for row, name in enumerate(found.patients["id"])}
    before = np.array([row_of.get(str(name), -1) for name in now.patients["id"]], dtype=np.int64)
    gone = np.ones(len(found.patients), dtype=bool)
    gone[before[before >= 0]] = False
    if not gone.any() or (before >= 0).all():
        return before
    image = find_rows(found.keys, now.keys)
    renamed: dict[int, Counter[int]] = {}
    for k in np.flatnonzero((image >= 0) & (before[now.owners] < 0)).tolist():
        old = int(found.owners[image[k]])
        if gone[old]:
            renamed.setdefault(int(now.owners[k]), Counter())[old] += 1
    for row, votes in renamed.items():
        before[row] = votes.most_common(1)[0][0]
    return before


def what_changed(found: CohortTables, now: CohortTables) -> str:
    """What of a cohort changed since its cache was written, in one sentence; "" where nothing did that is looked at."""
    before = rows_before(found, now)
    ids, old_ids = (tables.patients["id"].astype(str).to_numpy() for tables in (now, found))
    kept = before >= 0
    gone = np.setdiff1d(np.arange(len(old_ids)), before[kept])
    labels, old_labels = (tables.patients["label"].to_numpy(np.int8) for tables in (now, found))
    other = np.flatnonzero(kept)[labels[kept] != old_labels[before[kept]]]
    named = np.flatnonzero(kept)[ids[kept] != old_ids[before[kept]]]
    said = [
        f"{counted(int((~kept).sum()), 'patient')} new ({listing(ids[~kept].tolist())})"
        if not kept.all()
        else "",
        f"{counted(len(gone), 'patient')} gone ({listing(old_ids[gone].tolist())})" if len(gone) else "",
        f"another ID of {listing([f'{old_ids[before[i]]} ({ids[i]})' for i in named])}" if len(named) else "",
        f"another label of {listing(ids[other].tolist())}" if len(other) else "",
        *_images_changed(found, now, kept, gone),
    ]
    return "; ".join(filter(None, said))


def _images_changed(
    found: CohortTables, now: CohortTables, kept: NDArray[np.bool_], gone: NDArray[np.int64]
) -> list[str]:
    """How many images are new or gone, of patients of `now` who were there before (`kept`) and of those not `gone`."""
    missing = find_rows(now.keys, found.keys) < 0
    missing &= ~np.isin(found.owners, gone)
    new = (find_rows(found.keys, now.keys) < 0) & kept[now.owners]
    return [
        f"{counted(int(n), 'image')} of known patients {what}"
        for n, what in ((new.sum(), "new"), (missing.sum(), "gone"))
        if n
    ]
