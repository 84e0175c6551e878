"""Whom the encoders of a cache learnt from, beside the cohort as it is now, in words."""

from ..cohort.exclusions import excluded_patients
from ..cohort.problems import counted, listing
from .carry import learnt_of
from .reader import Cache

__all__ = ["training_texts"]


def training_texts(cache: Cache) -> dict[str, str]:
    """For each encoder family that learnt from another state of the cohort, what differs, in one sentence.

    An encoder stays what it is when patients come: it is blind to them. One that learnt from a patient who was
    excluded since, or is gone, still knows that patient.
    """
    ids = [str(name) for name in cache.ids]
    now = {ids[row] for row in cache.labelled.tolist()}
    excluded = excluded_patients(cache.tables.exclusions)
    taught: dict[str, set[str]] = {}
    free: set[str] = set()
    for encoding in cache.everything.values():
        learnt = None if encoding.lost else learnt_of(cache, encoding)
        if learnt is not None:
            taught.setdefault(encoding.encoder_family, set()).update(str(name) for name in learnt.ids)
            free |= {encoding.encoder_family} if encoding.blind_to is None else set()
    train = {str(name) for name in cache.patients["id"][cache.patients["split"] == "train"]}
    said = {}
    for family, seen in sorted(taught.items()):
        there = train if family in free else now  # without labels, those without one teach as well
        left_out = [f"{name} ({excluded[name]})" for name in sorted(seen & set(excluded))]
        gone = sorted(seen - set(ids) - set(excluded))
        parts = []
        if there - seen:
            whom = f"{len(there & seen)} of now {counted(len(there), 'patient')}"
            parts.append(f"learnt from {whom}; --retrain trains anew")
        if left_out:
            parts.append(f"learnt from {listing(left_out)}, excluded since")
        if gone:
            parts.append(f"learnt from {listing(gone)}, gone since")
        if parts:
            said[family] = ", and ".join(parts)
    return said
