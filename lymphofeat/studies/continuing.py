"""Whether a study goes on with what is given now: what must be the same, what changed if it is not, and the way out."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from ..cache.reader import Cache, open_cache
from ..cohort.exclusions import excluded_patients
from ..errors import LymphofeatError, StudyError
from ..scoring.changes import changed_features, changes
from ..scoring.scored import FEATURES, ScoredPatients, feature_digests
from ..storage.addresses import StudyAddress, StudyPlace, local_place, study_place
from ..storage.paths import AnyPath
from .store import Store, open_store, study_exists

__all__ = [
    "INDICATORS", "NESTED", "WHOLE_CACHE", "changed_since", "check_belongs", "check_provenance", "new_study_command",
    "order_of", "other_order", "patients_of", "provenance_of_cache", "searches_folder",
]  # fmt: skip

# What of a study's provenance covers the whole cache, patients that no score depends on among them, or is no part of
# what the trials are.
WHOLE_CACHE = ("fingerprint", "encodings", "patients", "cache")

NESTED = "-nested"  # at the end of a folder's name: where `evaluate` keeps its searches

# By whether heads may use that a value is missing, as the command line says it.
INDICATORS = {True: "--missing-indicators", False: "--no-missing-indicators"}

# What a study must agree on with the call that goes on with it: its word in a sentence, and the way out. The first
# ones say whose scores it holds, so that its patients can be compared only where they agree.
_WHOSE = {
    "family": ("encoding", "give --encoding {old}"),
    "repeats": ("number of repeats", "give --repeats {old}"),
    "without": ("outer fold left out", "leave out the same"),
    "shuffle": ("shuffling of the labels", "shuffle them alike"),
}
_HOW = {
    "metric": ("metric", "give --metric {old}"),
    "class_weights": ("pair of class weights", "give --class-weights {old}"),
    "seed": ("seed", "give --seed {old}"),
    "heads": ("choice of heads", "give --heads {old}"),
    "inputs": ("choice of inputs", "give --inputs {old}"),
    "sampler": ("sampler", "give --sampler {old}"),
    "prune": ("pruning", "give {old}"),
    "missing_indicators": ("use of missing values", "give {old}"),
    "space": ("search space", "use the lymphofeat version that made it, {version}"),
}


def check_provenance(store: Store, now: Mapping[str, Any], cache: Cache, way_out: str = "") -> str:
    """Compare what a study was made from with what is given now.

    Args:
        store: the study.
        now: what is given, key by key; see `Tuning.provenance` and `provenance_of_cache`.
        cache: the cache as its trials see it.
        way_out: the command that begins a new study; "": the one of `tune`.

    Returns:
        A sentence if the cache changed and nothing did that a score depends on; "" if it did not change.

    Raises:
        StudyError: on the first difference, with the way out.
    """
    _check_arguments(store, now, _WHOSE)
    note = _check_cache(store, now, cache, way_out)
    _check_arguments(store, now, _HOW)
    return note


def check_belongs(study: StudyPlace, cache: Cache, encoder_family: str, repeats: int) -> str:
    """`check_provenance` of a study against a cache alone.

    Args:
        study: the study's file, or its address.
        cache: a cache.
        encoder_family, repeats: the study's own.

    Raises:
        StudyError: the study was scored on something else than the cache holds.
    """
    with open_store(study) as store:
        return check_provenance(store, provenance_of_cache(cache, encoder_family, repeats), cache)


def _check_arguments(store: Store, now: Mapping[str, Any], of: Mapping[str, tuple[str, str]]) -> None:
    before = {"missing_indicators": INDICATORS[True]} | store.provenance  # studies of earlier versions
    for key, (what, way) in of.items():
        if key in now and before.get(key) != now[key]:
            old, new = _shown(before.get(key)), _shown(now[key])
            way = way.format(old=old, version=store.provenance.get("lymphofeat"))
            raise StudyError(
                f"{store.path} was made with another {what} ({old}, now {new}); {way}, "
                "or begin a new study with --study NAME."
            )


def _check_cache(store: Store, now: Mapping[str, Any], cache: Cache, way_out: str = "") -> str:
    """Compare the patients, values, folds and features that a study's scores depend on with those of a cache.

    Patients without a label, those of the test part, the order of the rows, and how features were made are none of it.

    Args:
        store, cache, way_out, Returns: as of `check_provenance`.
        now: of it `fingerprint`, `encodings`, `family`, `repeats` and `without`; the last three are the study's own.

    Raises:
        StudyError: something changed; the sentence says what.
    """
    before = store.provenance
    same_cohort = before["fingerprint"] == now["fingerprint"]
    if same_cohort and before["encodings"] == now["encodings"]:
        return ""
    way = (
        "its trials stay as they are. Name the cache as it was then, or begin a new study: "
        f"`{way_out or new_study_command('tune', store.path, cache.path)}`, with the options of this one."
    )
    then = patients_of(store)
    here = ScoredPatients.of(cache, now["repeats"], now["without"])
    others = set(cache.ids) - set(here.ids)
    if not same_cohort and (found := changes(then, here, others, excluded_patients(cache.tables.exclusions))):
        raise StudyError(
            f"{store.path} was scored on another cohort than {cache.path} holds now, or on another state of it: "
            f"{', '.join(found)}; {way}"
        )
    names, now_named = sorted(before["encodings"]), sorted(now["encodings"])
    if names != now_named:
        raise StudyError(
            f"{store.path} was scored with other encodings of {now['family']} ({', '.join(names)}) than {cache.path} "
            f"holds now ({', '.join(now_named)}); {way}"
        )
    if FEATURES not in store.patients or not then.is_whole:
        what = "features" if same_cohort else "values, images, features or patients without a label"
        raise StudyError(
            f"{store.path} was made from another state of {cache.path} by an earlier version, whose studies keep no "
            f"list to tell what changed: patients, labels and folds are the same, but {what} are not; {way}"
        )
    digests = feature_digests(cache, str(now["family"]), then.ids)
    if found := changed_features(then, here.ordered(then.ids), store.patients[FEATURES], digests):
        raise StudyError(
            f"{store.path} was scored on other features than {cache.path} holds now: {', '.join(found)}; {way}"
        )
    return (
        f"{cache.path} changed since {store.path.name} was begun, but nothing that its scores depend on: the trials "
        "stay valid, and the study goes on."
    )


def patients_of(store: Store) -> ScoredPatients:
    """Whom a study's scores are of.

    Raises:
        StudyError: its file is damaged.
    """
    try:
        return ScoredPatients.from_json(store.patients)
    except (KeyError, ValueError, TypeError) as error:
        raise StudyError(
            f"{store.path} holds a list of patients that cannot be read ({error!r}); restore a good copy, or begin a "
            "new study with --study NAME."
        ) from error


def order_of(study: StudyPlace, cache: Cache) -> tuple[str, ...] | None:
    """IDs in the order that a study keeps its patients in, where a cache has the same ones in another; else None.

    Raises:
        StudyError: the file is no study, or cannot be read.
    """
    if not study_exists(study):
        return None
    with open_store(study) as store:
        return other_order(patients_of(store).ids, cache)


def other_order(ids: Sequence[str], cache: Cache) -> tuple[str, ...] | None:
    """`ids` where the labelled patients of a cache are the same ones in another order; else None."""
    here = list(cache.ids[cache.labelled])
    return tuple(ids) if here != list(ids) and sorted(here) == sorted(ids) else None


def new_study_command(command: str, study: StudyPlace, cache: Path) -> str:
    """The command that begins the next study beside this one, under the next name that is free.

    Args:
        command: "tune" or "evaluate".
        study: the study's file, STEM.db, or its address.
        cache: the cache's file.
    """
    new = next(
        place for place in _next_names(study) if not (study_exists(place) or searches_folder(place).exists())
    )
    return shlex.join(["lymphofeat", command, "--cache", str(cache), "--study", str(new)])


def _next_names(study: StudyPlace) -> Iterator[StudyPlace]:
    stem = re.sub(r"-\d+$", "", study.name if isinstance(study, StudyAddress) else study.stem)
    for number in count(2):
        name = f"{stem}-{number}"
        if isinstance(study, StudyAddress):
            yield study.renamed(name)
        else:
            yield study.with_name(f"{name}{study.suffix or '.db'}")


def searches_folder(study: AnyPath) -> Path:
    """Where the searches inside outer folds are kept: NAME-nested beside the study, or in studies/ for an address."""
    folder = local_place(study_place(study)).with_suffix("")
    return folder.with_name(f"{folder.name}{NESTED}")


def provenance_of_cache(cache: Cache, encoder_family: str, repeats: int) -> dict[str, Any]:
    """The part of a study's identity that its cache gives."""
    return {
        "fingerprint": cache.fingerprint,
        "patients": ScoredPatients.of(cache).digest(ordered=False),
        "family": encoder_family,
        "encodings": {e.name: e.digest for e in cache.members(encoder_family)},
        "repeats": repeats,
        "without": None,
        "shuffle": None,
    }


def changed_since(study: StudyPlace) -> str:
    """How a study's cache changed since its trials were scored, in a sentence; "" if it did not, or cannot be told.

    It cannot where the cache is not where it was, and where the study is of shuffled labels.
    """
    with open_store(study) as store:
        before = store.provenance
        path = Path(os.path.normpath(local_place(study).parent / str(before.get("cache", ""))))
        if before.get("shuffle") is not None or not path.is_file():
            return ""
        try:
            cache = open_cache(path)
            now = provenance_of_cache(cache, before["family"], before["repeats"])
            return check_provenance(store, now | {"without": before["without"]}, cache)
        except LymphofeatError as error:
            return str(error)


def _shown(value: Any) -> str:
    """A value short enough for a sentence, as the command line takes it."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return ",".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"
