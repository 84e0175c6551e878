"""Byte-identical image files: between two patients they would carry one fold's answer into another."""

from collections.abc import Sequence
from pathlib import Path

from .fingerprint import digest
from .model import Cohort, Patient
from .persons import persons
from .problems import Problems, Where, beyond_the_first

__all__ = ["report_duplicates"]

_NOTHING = ("", digest(b""))  # unreadable and empty files are told of as such, not as copies of each other


def report_duplicates(
    cohort: Cohort, digests: Sequence[str], problems: Problems, root: Path | None = None
) -> None:
    """Report files that are there twice: between two persons an error, else a warning.

    Each file is told against the first of its kind, so that many copies give a line each, not one per pair.

    Args:
        cohort: the patients.
        digests: `lymphofeat.cohort.fingerprint.digest` of each of `cohort.images`.
        problems: where to report.
        root: the folder that paths in messages are relative to; as they are if None.
    """
    first_seen: dict[str, tuple[Patient, Path]] = {}
    pairs: dict[tuple[str, str, str, str], tuple[Patient, Patient, list[tuple[Path, Path]]]] = {}
    remaining = iter(digests)
    for patient in cohort.patients:
        for file, code in zip(patient.images, remaining, strict=False):
            if code not in _NOTHING:
                owner, path = first_seen.setdefault(code, (patient, file))
                if path != file:
                    key = (owner.split, owner.id, patient.split, patient.id)
                    pairs.setdefault(key, (owner, patient, []))[2].append((path, file))
    number = {(p.split, p.id): n for p, n in zip(cohort.patients, persons(cohort.table()), strict=True)}
    for owner, patient, paths in pairs.values():
        one_person = number[owner.split, owner.id] == number[patient.split, patient.id]
        _report(
            owner, patient, paths, problems, root, share_folds=one_person and owner.split == patient.split
        )


def _report(
    owner: Patient,
    patient: Patient,
    paths: list[tuple[Path, Path]],
    problems: Problems,
    root: Path | None,
    *,
    share_folds: bool,
) -> None:
    path, copy = paths[0]
    if owner is patient:
        names = dict(zip(owner.images, owner.image_names, strict=True))
        more = beyond_the_first(len(paths) - 1, "pair", patient.id)
        message = f"is byte for byte the same file as {names[path]} of the same patient{more}"
        problems.warning("duplicate-image", copy, None, message, "remove one, or it counts twice")
        return
    more = beyond_the_first(len(paths) - 1, "pair", f"{owner.id} and {patient.id}")
    message = f"is byte for byte the same file as {Where(path).text(root)}, an image of another patient{more}"
    remedy = "find out whose image it is and remove it from the other"
    report = problems.warning if share_folds else problems.error
    report("duplicate-image", copy, None, message, remedy)
