"""Caches whose IDs are pseudonyms, and those whose IDs are the cohort's own: never both in one file."""

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from ..cohort.model import Cohort
from ..cohort.pseudonyms import pseudonymous
from ..errors import InputError, StaleCacheError
from ..storage.paths import AnyPath
from .layout import DATA_GROUP, open_checked
from .refusal import whole
from .tables import read_tables

if TYPE_CHECKING:  # torch takes seconds to import, and most commands do without
    from ..training.recipe import Recipe

__all__ = ["refuse_births", "refuse_other_ids", "under_pseudonyms"]

_OF_BIRTH = ("birth_month", "birth_year")


def under_pseudonyms(cohort: Cohort, cache: Path, key: AnyPath | None) -> Cohort:
    """The cohort as the cache is to hold it: itself, or under the pseudonyms of a key.

    Raises:
        StaleCacheError: the cache holds IDs of the other kind; no key was written.
        InputError: the key cannot be used, or is not there though the cache holds pseudonyms.
    """
    if key is None:
        return cohort
    refuse_other_ids(cache, pseudonyms=True)
    if cache.exists() and not Path(key).exists():
        raise InputError(
            f"{cache} holds pseudonyms, and their key is not at {key}; name the key that it was made with, or another "
            "--cache."
        )
    return pseudonymous(cohort, Path(key))


def refuse_other_ids(cache: Path, *, pseudonyms: bool) -> None:
    """Refuse to write into a cache whose IDs are of the other kind, and beside what was begun of it.

    Raises:
        StaleCacheError: they are.
    """
    for path in (cache, *sorted(cache.parent.glob(f"{glob.escape(cache.name)}.*.partial"))):
        if not path.exists():
            continue
        with whole(path), open_checked(path) as file:
            grows = DATA_GROUP in file
            found = bool(file[DATA_GROUP].attrs["pseudonyms"]) if grows else read_tables(file).pseudonyms
        if found and not pseudonyms:
            raise StaleCacheError(
                f"{path} holds pseudonyms; give --pseudonyms with the key that it was made with, or another --cache."
            )
        if pseudonyms and not found:
            raise StaleCacheError(
                f"{path} holds IDs and dates of birth, which --pseudonyms would leave in it; give another --cache."
            )


def refuse_births(recipe: "Recipe") -> None:
    """For a cohort under pseudonyms, which has no dates of birth.

    Raises:
        InputError: the recipe's clinical values need them.
    """
    needed = [name for name in recipe.clinical.values if name in _OF_BIRTH]
    if recipe.clinical.use != "none" and needed:
        raise InputError(
            f"The recipe {recipe.name} takes {' and '.join(needed)}, and with --pseudonyms there are no dates of "
            "birth; name another --recipe, or leave these out of the `values` of its [clinical]."
        )
