"""A cohort without IDs, dates of birth and names of files: pseudonyms instead, and the key that leads back.

Whoever has the key, or the images, or a table with the same values, can find a patient again: pseudonymised data are
not anonymous (General Data Protection Regulation, article 4 (5)).
"""

import csv
import io
import re
import secrets
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..storage.atomic import atomic_write, check_place
from ..storage.locks import locked
from .exclusions import Exclusion, name_remover
from .model import Cohort, Patient
from .persons import persons

__all__ = ["pseudonymous", "read_key"]

_HEADER = ["pseudonym", "id"]
_FORM = re.compile(r"P(\d{4,})")


def pseudonymous(cohort: Cohort, key: Path) -> Cohort:
    """The cohort under pseudonyms; the file `key` is written first, or completed by patients that it lacks.

    Persons are numbers in the column `person`, so that folds are those of the cohort itself. Ages are whole years:
    one to the day, counted to a known day, would be the date of birth. Images are numbered within a patient, excluded
    ones among them. Reasons of exclusions stay as they are written, apart from IDs and names
    of image files in them.

    Args:
        cohort: of `read_cohort`; its files stay as they are.
        key: CSV of pseudonym and ID, kept apart from the cache. Pseudonyms in it stay, so that runs go on; it is only
            ever replaced by a whole file with more rows.

    Returns:
        The same patients in the same order.

    Raises:
        InputError: `key` is no such file, cannot be written, or names patients of another cohort.
    """
    ids = [patient.id for patient in cohort.patients]
    ids += sorted({one.patient for one in cohort.exclusions} - set(ids))
    check_place(key)
    with locked(key, InputError, patience=60):
        known = read_key(key) if key.exists() else {}
        if known and not set(ids) & set(known):
            raise InputError(
                f"{key} names none of the patients of {cohort.root}, so it is the key of another cohort; name another "
                "file."
            )
        drawn = _drawn([name for name in ids if name not in known], {*known, *ids}, known.values())
        names = {**known, **drawn}
        if drawn:
            _write(key, names)
    people = persons(cohort.table())
    places: dict[str, list[int]] = {}  # ID → those of its excluded images
    for one in cohort.exclusions:
        if one.image:
            places.setdefault(one.patient, []).append(one.place)
    patients = tuple(
        _without_identity(patient, names[patient.id], str(person + 1), places.get(patient.id, ()))
        for patient, person in zip(cohort.patients, people.tolist(), strict=True)
    )
    exclusions = _without_names(cohort, names)
    return replace(cohort, patients=patients, pseudonyms=True, exclusions=exclusions)


def _without_names(cohort: Cohort, names: Mapping[str, str]) -> tuple[Exclusion, ...]:
    """The exclusions under pseudonyms, the images as numbers."""
    if not cohort.exclusions:
        return ()
    totals = Counter({patient.id: len(patient.images) for patient in cohort.patients})
    totals.update(one.patient for one in cohort.exclusions if one.image)
    without_names = name_remover(names)
    return tuple(
        replace(
            one,
            patient=names[one.patient],
            image=_number(one.place, totals[one.patient]) if one.image else "",
            reason=without_names(one.reason),
        )
        for one in cohort.exclusions
    )


def _number(place: int, n: int) -> str:
    """The name of an image under a pseudonym: its place among n, from 1."""
    return f"{place:0{len(str(n))}d}"


def _without_identity(patient: Patient, name: str, person: str, excluded: Collection[int]) -> Patient:
    n = len(patient.images) + len(excluded)
    age = patient.age if patient.age != patient.age else float(round(patient.age))
    numbers = tuple(_number(place, n) for place in range(1, n + 1) if place not in excluded)
    return replace(patient, id=name, birth=None, date_order="", age=age, person=person, given_names=numbers)


def _drawn(new: Sequence[str], ids: set[str], taken: Iterable[str]) -> dict[str, str]:
    """ID → pseudonym: numbers above those that are taken, in an order of the system's random bytes.

    No pseudonym is another patient's ID.
    """
    used = [int(found[1]) for name in taken if (found := _FORM.fullmatch(name))]
    free: list[str] = []
    number = max(used, default=0)
    while len(free) < len(new):
        number += 1
        if (name := f"P{number:04d}") not in ids:
            free.append(name)
    secrets.SystemRandom().shuffle(free)
    return dict(zip(new, free, strict=True))


def read_key(key: Path) -> dict[str, str]:
    """ID → pseudonym, of a file that `pseudonymous` wrote.

    Raises:
        InputError: it cannot be read, or is no such file.
    """
    try:
        text = key.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise InputError(
            f"{key} cannot be read ({error.strerror}); name the key of the pseudonyms."
        ) from error
    try:
        header, *rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        found = {name: pseudonym for pseudonym, name in rows}
        whole = header == _HEADER and len(found) == len(rows) == len(set(found.values()))
    except (csv.Error, ValueError):
        whole = False
    if not whole or not all(_FORM.fullmatch(pseudonym) for pseudonym in found.values()):
        raise InputError(
            f"{key} is no key of pseudonyms (columns {', '.join(_HEADER)}, each value once), and it is never "
            "overwritten; restore it, or name a file that is not there yet."
        )
    return found


def _write(key: Path, names: Mapping[str, str]) -> None:
    text = io.StringIO(newline="")
    rows = sorted((pseudonym, name) for name, pseudonym in names.items())
    csv.writer(text, lineterminator="\n").writerows([_HEADER, *rows])
    with atomic_write(key) as temporary:
        temporary.touch(mode=0o600)  # nobody else's to read
        temporary.write_text(text.getvalue(), encoding="utf-8", errors="surrogateescape", newline="")
