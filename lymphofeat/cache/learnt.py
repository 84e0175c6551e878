"""Whom an encoder learnt from, kept beside its features: what tells, when the cohort has changed, whether it is blind.

A cohort that grows leaves a trained encoder what it is: it has seen nobody of those who are new, so it stays blind to
them in whichever fold they lie. It is stale where somebody it learnt from has another label or other clinical values
now, or lies, whole or by an image, among those it must not have seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cohort.clinical_values import clinical_digest, clinical_values
from ..cohort.persons import PERSON, persons
from ..wording import CLASSES
from .known import find_rows
from .spec import EncodingSpec
from .tables import TEXT, CohortTables

__all__ = ["Learnt", "learnt_from", "read_learnt", "why_stale", "write_learnt"]

_UNKNOWN = "?"  # values that were corrected before anybody kept them by patient


@dataclass(frozen=True)
class Learnt:
    """Whom an encoder learnt from.

    Attributes:
        ids: (n,) the patients' IDs.
        labels: (n,) int8, their labels then.
        values: (n,) digests of the clinical values that the encoder saw; "" each where it sees none.
        sizes: (n,) int64, how many images each had.
        keys: (sum of sizes, 16) uint8, digests of these images; zeros where they are not known.
        people: (n,) rows of what tells who the patients are, see `cohort.persons`: birth, sex, and person where the
            cohort names persons.
    """

    ids: NDArray[np.object_]
    labels: NDArray[np.int8]
    values: NDArray[np.object_]
    sizes: NDArray[np.int64]
    keys: NDArray[np.uint8]
    people: pd.DataFrame


def learnt_from(tables: CohortTables, spec: EncodingSpec) -> Learnt | None:
    """Whom the encoder of `spec` learns from on this cohort; None of one that learns nothing.

    By its blindness: all labelled patients outside the folds that it is blind to; of one that takes no labels, all
    whose images it may see. For features from elsewhere that is the word of who gave them.
    """
    if not spec.learns:
        return None
    patients, fold = tables.patients, tables.folds[:, 0]
    labelled = (patients["split"] == "train").to_numpy() & (fold >= 0)
    if spec.blind_to is not None:
        seen = labelled & ~np.isin(fold, list(spec.blind_to))
    else:
        with_test = "test part" in str(spec.about.get("learnt_parts", ""))
        seen = (patients["split"] == "train").to_numpy() | with_test
    rows = np.flatnonzero(seen)
    return Learnt(
        ids=patients["id"].astype(str).to_numpy(object)[rows],
        labels=patients["label"].to_numpy(np.int8)[rows],
        values=_values_of(tables, spec)[rows],
        sizes=patients["n_images"].to_numpy(np.int64)[rows],
        keys=np.asarray(tables.keys)[seen[tables.owners]],
        people=_people(patients).iloc[rows].reset_index(drop=True),
    )


def why_stale(tables: CohortTables, spec: EncodingSpec, learnt: Learnt | None) -> str:
    """Why an encoder may not be used on the cohort as it is now, to follow "the encoder"; "" if it may."""
    if learnt is None or not spec.learns:
        return ""
    if spec.blind_to is None:
        return ""  # it took no label, and is told apart by what parts it learnt from
    patients = tables.patients
    row_of = {str(name): row for row, name in enumerate(patients["id"])}
    at = np.array([row_of.get(name, -1) for name in learnt.ids], dtype=np.int64)
    there = np.flatnonzero(at >= 0)
    allowed = _may_be_seen(tables, spec)
    labels, values = patients["label"].to_numpy(np.int8), _values_of(tables, spec)
    unknown = _UNKNOWN in learnt.values[:1]
    for k in there.tolist():
        row, name = int(at[k]), learnt.ids[k]
        if labels[row] != learnt.labels[k]:
            then, now = _word(learnt.labels[k]), _word(labels[row])
            return f"learnt from patient {name} with the label {then}, which is {now} now"
        if not allowed[row]:
            return f"learnt from patient {name}, who lies among those it must not have seen now"
        if not unknown and values[row] != learnt.values[k]:
            return f"was trained on clinical values of patient {name} that were corrected since"
    if unknown and _all_values(tables, spec) != spec.about.get("clinical"):
        return "was trained on clinical values that were corrected since"
    return _by_images(tables, learnt, allowed) or _by_persons(tables, learnt, at < 0, allowed)


def _by_images(tables: CohortTables, learnt: Learnt, allowed: NDArray[np.bool_]) -> str:
    """The same by the images themselves, which may lie with another patient now."""
    if not (tables.has_digests and learnt.keys.any()):
        return ""
    found = find_rows(learnt.keys, tables.keys)
    seen = np.flatnonzero(found >= 0)
    owner = tables.owners[seen]
    taught = np.repeat(learnt.labels, learnt.sizes)[found[seen]]
    wrong = ~allowed[owner] | (tables.patients["label"].to_numpy(np.int8)[owner] != taught)
    if not wrong.any():
        return ""
    k = int(np.flatnonzero(wrong)[0])
    return (
        f"learnt from image {tables.names[int(seen[k])]}, which belongs to patient "
        f"{tables.patients['id'].iloc[int(owner[k])]} now, from whom it must not have learnt"
    )


def _by_persons(
    tables: CohortTables, learnt: Learnt, gone: NDArray[np.bool_], allowed: NDArray[np.bool_]
) -> str:
    """The same by persons: somebody whose record is gone may be there again with another one."""
    if not gone.any():
        return ""
    both = pd.concat([_people(tables.patients), learnt.people[gone]], ignore_index=True).fillna("")
    number = persons(both)
    now, before = number[: len(allowed)], number[len(allowed) :]
    for name, person in zip(learnt.ids[gone], before.tolist(), strict=True):
        if len(again := np.flatnonzero((now == person) & ~allowed)):
            return (
                f"learnt from patient {name}, who is gone and may be the same person as patient "
                f"{tables.patients['id'].iloc[int(again[0])]}, from whom it must not have learnt"
            )
    return ""


def _people(patients: pd.DataFrame) -> pd.DataFrame:
    return patients[[column for column in ("birth", "sex", PERSON) if column in patients]].astype(object)


def _may_be_seen(tables: CohortTables, spec: EncodingSpec) -> NDArray[np.bool_]:
    """(n_patients,) whether an encoder with this blindness may have learnt from the patient."""
    fold = tables.folds[:, 0]
    train = (tables.patients["split"] == "train").to_numpy()
    return np.asarray(train & (fold >= 0) & ~np.isin(fold, list(spec.blind_to or ())))


def _word(label: int) -> str:
    return CLASSES.get(int(label), "unknown")


def _value_names(spec: EncodingSpec) -> tuple[str, ...]:
    """The clinical values that the encoder sees; none where its recipe uses none."""
    recipe = spec.about.get("recipe")
    if spec.about.get("clinical") is None or not isinstance(recipe, Mapping):
        return ()
    return tuple(recipe["clinical"]["values"])


def _values_of(tables: CohortTables, spec: EncodingSpec) -> NDArray[np.object_]:
    """(n_patients,) a digest of the clinical values that the encoder sees of each patient."""
    names = _value_names(spec)
    if not names:
        return np.full(len(tables.patients), "", dtype=object)
    try:
        values = clinical_values(tables.patients, names)
    except (KeyError, ValueError):  # a column that is no longer declared, or is a category now
        return np.full(len(tables.patients), "undeclared", dtype=object)
    return np.array([blake2b(row.tobytes(), digest_size=8).hexdigest() for row in values], dtype=object)


def _all_values(tables: CohortTables, spec: EncodingSpec) -> str:
    """The digest of the whole table's values, as format 1 kept it."""
    try:
        return clinical_digest(clinical_values(tables.patients, _value_names(spec)))
    except (KeyError, ValueError):
        return ""


def learnt_before(tables: CohortTables, spec: EncodingSpec) -> Learnt | None:
    """Whom the encoder of an encoding of format 1 learnt from, by the tables of its cache.

    That format kept no more than a digest of all clinical values together: where they were corrected before anybody
    kept them by patient, this digest goes on deciding.
    """
    found = learnt_from(tables, spec)
    if found is None or not _value_names(spec) or _all_values(tables, spec) == spec.about["clinical"]:
        return found
    values = np.full(len(found.ids), _UNKNOWN, dtype=object)
    return replace(found, values=values)


def write_learnt(group: h5py.Group, learnt: Learnt) -> None:
    """Keep it in a data file, as the group `learnt`."""
    into = group.create_group("learnt")
    into.create_dataset("id", data=learnt.ids, dtype=TEXT)
    into.create_dataset("label", data=learnt.labels)
    into.create_dataset("values", data=learnt.values, dtype=TEXT)
    into.create_dataset("n_images", data=learnt.sizes)
    into.create_dataset("image", data=learnt.keys)
    for column in learnt.people:
        into.create_dataset(column, data=learnt.people[column].to_numpy(object), dtype=TEXT)


def read_learnt(group: h5py.Group) -> Learnt | None:
    """What `write_learnt` kept; None where there is nothing."""
    if "learnt" not in group:
        return None
    kept = group["learnt"]
    return Learnt(
        kept["id"].asstr()[:].astype(object),
        kept["label"][:],
        kept["values"].asstr()[:].astype(object),
        kept["n_images"][:],
        kept["image"][:],
        pd.DataFrame({c: kept[c].asstr()[:].astype(object) for c in ("birth", "sex", PERSON) if c in kept}),
    )
