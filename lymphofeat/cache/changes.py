"""Whether a file still belongs to the cohort that is given now, and what changed if it does not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cohort.ages import ages_words
from ..cohort.persons import PERSON, persons
from ..errors import StaleCacheError
from .tables import CohortTables

__all__ = ["REPLACE", "check_ages", "check_fresh", "drawn_otherwise", "parted", "with_kept_folds"]

REPLACE = "give another --cache to keep both, or --force to replace it."


def check_fresh(path: Path, found: CohortTables, now: CohortTables) -> None:
    """Refuse a file that was made from another cohort than the one given now.

    Corrected clinical values are no other cohort.

    Raises:
        StaleCacheError: with the first thing that changed: patients, labels, images, folds, or the day that ages
            are counted to.
    """
    reason = _images_change(found, now) or _labels_change(found, now) or _folds_change(found, now)
    if reason:
        raise StaleCacheError(f"{path} was made from another state of the cohort: {reason}; {REPLACE}")
    check_ages(path, found, now)


def check_ages(path: Path, found: CohortTables, now: CohortTables) -> None:
    """Refuse a file whose ages are counted to another day than those given now.

    Raises:
        StaleCacheError: they are.
    """
    if found.reference and now.reference and found.reference != now.reference:
        raise StaleCacheError(
            f"{path} holds ages {ages_words(found.reference)}, and here they are {ages_words(now.reference)}; set "
            f"[ages] and the columns of age and examination in lymphofeat.toml back, {REPLACE}"
        )


def with_kept_folds(found: CohortTables, now: CohortTables) -> CohortTables:
    """`now` with the folds of `found`, where nothing that a user gave is another, and they part no person.

    Another version of scikit-learn, or another rule for who may be one person, may draw other folds from the same
    seed. The folds that encoders were trained on stay good as long as no person's records lie in two of them.
    """
    if _images_change(found, now) or _labels_change(found, now) or drawn_otherwise(found, now):
        return now
    return now if parted(found.folds, now.patients) else replace(now, folds=found.folds)


def _images_change(found: CohortTables, now: CohortTables) -> str:
    old_ids, new_ids = list(found.patients["id"]), list(now.patients["id"])
    if old_ids != new_ids:
        gone, new = sorted(set(old_ids) - set(new_ids)), sorted(set(new_ids) - set(old_ids))
        return f"patients gone: {gone[:3] or 'none'}, new: {new[:3] or 'none'}, or their order changed"
    if change := _value_change(found, now, "n_images"):
        return change
    pairs = (zip(tables.names, tables.digests, strict=True) for tables in (found, now))
    for (old, before), (new_name, digest) in zip(*pairs, strict=True):
        if old != new_name or before != digest:
            return f"image {new_name} is not the same as before ({old})"
    return ""


def _labels_change(found: CohortTables, now: CohortTables) -> str:
    return _value_change(found, now, "label") or _value_change(found, now, "split")


def _folds_change(found: CohortTables, now: CohortTables) -> str:
    if np.array_equal(found.folds, now.folds):
        return ""
    if reason := drawn_otherwise(found, now) or _other_persons(found, now):
        return reason
    if pair := parted(found.folds, now.patients):
        return f"patients {' and '.join(pair)} may be one person, and the cache has them in different folds"
    return "the folds differ"


def drawn_otherwise(found: CohortTables, now: CohortTables) -> str:
    """What of the folds' origin differs, in words."""
    if found.fold_seed != now.fold_seed:
        return f"the folds were made with another seed ({found.fold_seed}, now {now.fold_seed})"
    for what, old, new in (
        ("number of folds", _n_folds(found), _n_folds(now)),
        ("number of repeats", found.folds.shape[1], now.folds.shape[1]),
    ):
        if old != new:
            return f"the folds were made with another {what} ({old}, now {new})"
    return ""


def _other_persons(found: CohortTables, now: CohortTables) -> str:
    """What changed who may be one person, in words; "" if nothing did. Both have the same patients."""
    if np.array_equal(persons(found.patients), persons(now.patients)):
        return ""
    change = (
        _value_change(found, now, "birth", "date of birth")
        or _value_change(found, now, "sex")
        or _value_change(found, now, PERSON)
    )
    return f"{change}, which changes who may be one person and with that the folds"


def _n_folds(tables: CohortTables) -> int:
    return int(tables.folds[:, 0].max()) + 1


def _value_change(found: CohortTables, now: CohortTables, column: str, what: str = "") -> str:
    """The first patient whose value differs, in words; "" if none does. Both have the same patients."""
    none = [""] * len(now.patients)  # where a table names no persons
    before, after = (np.asarray(tables.patients.get(column, none)) for tables in (found, now))
    differ = np.flatnonzero(before != after)
    if not differ.size:
        return ""
    i = int(differ[0])
    old, new = (str(value) or "missing" for value in (before[i], after[i]))
    return f"{what or column} of patient {found.patients['id'].iloc[i]} was {old} and is {new} now"


def parted(folds: NDArray[np.int8], patients: pd.DataFrame) -> list[str]:
    """Two patients who may be one person and lie in two folds; empty if none do.

    Args:
        folds: (n_patients, n_repeats), −1 of those who have none.
        patients: the table.
    """
    first: dict[int, int] = {}
    for row, person in enumerate(persons(patients)):
        if folds[row, 0] < 0:
            continue
        other = first.setdefault(int(person), row)
        if not np.array_equal(folds[row], folds[other]):
            return [str(patients["id"].iloc[i]) for i in (other, row)]
    return []
