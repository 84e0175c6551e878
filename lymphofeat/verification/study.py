"""A study: for a file the checks of SQLite, every trial against its digest and its predictions, and its cache."""

import math
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cache.reader import Cache, open_cache
from ..cohort.problems import counted, listing
from ..errors import CacheError, LymphofeatError, StudyError
from ..estimates.scores import ClassWeights
from ..scoring.score import TrialScores, decide, scores_of
from ..storage.addresses import StudyPlace, local_place
from ..studies.continuing import check_provenance, provenance_of_cache
from ..studies.database import DATABASE_ERRORS
from ..studies.record import scores_from_attrs
from ..studies.rows import Row
from ..studies.store import Store, open_store
from .findings import Findings

__all__ = ["verify_study"]

_COPY = "restore a good copy, or begin a new study with --study NAME"
_MOST = 20  # lines of SQLite that are shown
_AGREES = 1e-9  # between a score as kept and as computed again, by other versions of the libraries


def verify_study(path: StudyPlace, findings: Findings) -> None:
    """Check the database, the study's own attributes, every trial, and the digests of a cache that lies near it."""
    if isinstance(path, Path) and not _sqlite_is_sound(path, findings):
        return
    try:
        with open_store(path) as store:
            _verify_trials(store, findings)
            _compare_caches(store, findings)
    except StudyError as error:
        findings.error(path, error, _COPY)


def _sqlite_is_sound(path: Path, findings: Findings) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=2)) as database:
            lines = [str(line) for (line,) in database.execute(f"PRAGMA integrity_check({_MOST})")]
            broken = [
                f"{table}, row {row}" for table, row, *_ in database.execute("PRAGMA foreign_key_check")
            ]
    except sqlite3.Error as error:
        findings.fault(path, f"SQLite cannot read it ({error})", _COPY)
        return False
    wrong = [line for line in lines if line != "ok"]
    for line in wrong:
        findings.fault(path, f"SQLite finds: {line}", _COPY)
    if broken:
        findings.fault(path, f"rows refer to others that are not there: {listing(broken)}", _COPY)
    if not wrong and not broken:
        findings.checked.append("SQLite finds no damage (integrity_check, foreign_key_check)")
    return not wrong


def _verify_trials(store: Store, findings: Findings) -> None:
    y = np.array(store.patients["labels"], dtype=np.int8)
    folds = np.array(store.patients["folds"], dtype=np.int8)
    if not (len(y) == len(folds) == len(store.patients["ids"]) and np.isin(y, (0, 1)).all()):
        findings.fault(store.path, "its patients, labels and folds do not fit each other", _COPY)
        return
    rows, unsealed, bad = store.rows(), 0, len(findings.faults)
    if [row.number for row in rows] != list(range(len(rows))):
        numbers = {row.number for row in rows}
        lost = [str(k) for k in range(max(numbers, default=-1) + 1) if k not in numbers]
        findings.fault(
            store.path,
            f"trials are missing or there twice ({listing(lost) or 'twice'})",
            "run the same `lymphofeat tune` again",
        )
    findings.progress.start("verifying", len(rows), "trial")
    try:
        for row in rows:
            unsealed += not _is_sealed(store, row)
            for what in _faults_of(store, row, y, folds):
                findings.fault(store.path, f"trial {row.number} {what}", _COPY)
            findings.progress.advance()
    finally:
        findings.progress.stop()
    if len(findings.faults) == bad:
        findings.checked.append(
            f"{counted(len(rows), 'trial')} of {len(y)} patients: each can be read, and its scores are those of its "
            "predictions"
        )
    if unsealed or not store.is_sealed():
        what = f"{counted(unsealed, 'trial')} of {len(rows)}" if unsealed else "The study itself"
        findings.unchecked.append(
            f"{what} {'has' if unsealed <= 1 else 'have'} no digest, as earlier versions wrote none; a change that the "
            "scores do not show would go unnoticed."
        )


def _is_sealed(store: Store, row: Row) -> bool:
    try:
        return store.is_sealed(row)
    except (ValueError, *DATABASE_ERRORS):  # which `attrs` says
        return True


def _faults_of(store: Store, row: Row, y: NDArray[np.int8], folds: NDArray[np.int8]) -> Iterator[str]:
    try:
        attrs = store.attrs(row)
    except StudyError:
        yield "is not as it was written"
        return
    if not row.complete:
        if not row.failed and not math.isfinite(row.value):
            yield "has no finite value"
        return
    try:
        scores = scores_from_attrs(attrs)
        yield from _scores(store, row, scores, y, folds[:, : scores.probabilities.shape[1]])
    except (KeyError, ValueError, TypeError, IndexError, LymphofeatError) as error:
        yield f"cannot be read ({error!r})"


def _scores(
    store: Store, row: Row, scores: TrialScores, y: NDArray[np.int8], folds: NDArray[np.int8]
) -> Iterator[str]:
    """What is wrong with the scores of a complete trial."""
    p = scores.probabilities
    if p.shape != folds.shape or p.shape[1] != int(store.provenance["repeats"]):
        yield f"has predictions of shape {p.shape} for {len(y)} patients"
        return
    if not ((p >= 0) & (p <= 1)).all() or not np.isfinite(scores.thresholds).all():
        yield "has predictions that are no probabilities, or thresholds that are no numbers"
        return
    weights = store.provenance.get("class_weights")
    again = _computed(scores, y, folds, None if weights is None else (float(weights[0]), float(weights[1])))
    wrong = [
        name
        for name, value in scores.values.items()
        if name in again and not math.isclose(again[name], value, rel_tol=_AGREES, abs_tol=_AGREES)
    ]
    if wrong:
        yield f"has another {' and '.join(wrong)} than its predictions give"
    if scores.values.get(str(store.provenance["metric"])) != row.value:
        yield "has another value than its scores say"


def _computed(
    scores: TrialScores, y: NDArray[np.int8], folds: NDArray[np.int8], weights: ClassWeights
) -> dict[str, float]:
    """Per metric, the score of the predictions, as `score_plan` averages it over the repeats."""
    decisions = decide(scores.probabilities, scores.thresholds, folds)
    each = [scores_of(y, scores.probabilities[:, r], decisions[:, r], weights) for r in range(folds.shape[1])]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def _compare_caches(store: Store, findings: Findings) -> None:
    """Compare the digests of the features that the study was made from with those of a cache that lies near it."""
    found = list(_caches_near(store.path))
    fitting = [cache for cache in found if cache.fingerprint == store.provenance.get("fingerprint")]
    for cache in fitting:
        differing = _differing(store.provenance, cache)
        if differing:
            findings.fault(
                store.path,
                f"was made from other features than {cache.path} holds ({listing(differing)})",
                "restore the cache that it was made from, or begin a new study with --study NAME",
            )
        else:
            findings.checked.append(f"made from the cohort, folds and features of {cache.path}")
    if fitting:
        return
    serving = [cache for cache in found if _serves(store, cache)]
    for cache in serving:
        findings.checked.append(
            f"goes on with {cache.path}, which changed since, but in nothing that a score depends on"
        )
    if not serving:
        seen = (
            f"; {listing([str(cache.path) for cache in found])} is of another cohort or other folds"
            if found
            else ""
        )
        findings.unchecked.append(f"No cache that the study was made from lies near it{seen}.")


def _serves(store: Store, cache: Cache) -> bool:
    """Whether a cache that is another than the study's own holds all that its scores depend on."""
    made = store.provenance
    try:
        now = provenance_of_cache(cache, str(made["family"]), int(made["repeats"]))
        check_provenance(store, now | {"without": made.get("without")}, cache)
    except LymphofeatError:
        return False
    return True


def _differing(provenance: Mapping[str, Any], cache: Cache) -> list[str]:
    family, repeats = str(provenance["family"]), int(provenance["repeats"])
    before: Mapping[str, str] = provenance["encodings"]
    try:
        now = provenance_of_cache(cache, family, repeats)["encodings"]
    except LymphofeatError:
        return [family]
    return [name for name, digest in before.items() if now.get(name) != digest]


def _caches_near(path: StudyPlace) -> Iterator[Cache]:
    """The caches in the study's folder, and in `cache/` beside that folder."""
    folder = local_place(path).absolute().parent
    for file in sorted([*folder.glob("*.h5"), *(folder.parent / "cache").glob("*.h5")]):
        try:
            yield open_cache(file)
        except CacheError:  # which verifying the cache tells of
            continue
