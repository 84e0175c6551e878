"""The study's file: one Optuna study in SQLite, written one whole trial at a time.

A trial is added when it is finished: first its predictions to a table of our own (`predictions`), then the trial itself
to Optuna's, in one transaction. So a killed process leaves neither a running trial nor half of one: what is in Optuna's
tables counts, what is not was not done. Samplers work on a copy in memory, which the file is the source of. Only the
process that owns the study writes. Plain `optuna.load_study(study_name="lymphofeat", storage="sqlite:///FILE")` opens
the file.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

from ..errors import StudyError
from ..metric import Direction
from ..scoring.failures import ERROR, REASON, FailedTrial
from ..storage.atomic import atomic_write, check_place, leftovers
from ..storage.kinds import inspect_path, sqlite_is_locked
from ..storage.locks import held_by_another, holder, locked
from ..storage.provenance import made_by
from ..storage.seals import SEAL, json_digest, sealed, unsealed
from .predictions import Predictions
from .rows import Row, rows_of, scoring_seconds
from .space import HEAD_TYPE
from .tables import new_tables, opened_tables

__all__ = ["PERSONS", "Store", "create_store", "open_store", "owned"]

_STUDY = "lymphofeat"  # the study's name inside its file, so that the file may be renamed
_PROVENANCE, _PATIENTS = "made_from", "patients"
_MADE_BY = "made_by"  # which studies of earlier versions lack; of no trial, so that it is not under the study's digest
PERSONS = "persons"  # in the patients: which of them are of one person, where any are
# Of a trial's parameters and attributes. 1 knew one head type; 2 kept the predictions in the trial's attributes.
_FORMAT, _READ = 3, (2, 3)
# Seconds to wait for another process's transaction, a reader's for one; Optuna's documentation raises it too.
_BUSY_TIMEOUT = 60.0
_UNREADABLE = (LookupError, ValueError, TypeError, AttributeError, AssertionError)  # of Optuna, by the damage
_PATIENCE = 2.0  # seconds to wait for it before anything was computed


class Store:
    """An open study file.

    Attributes:
        path: the file.
        provenance: what the study was made with: cache, encoder family, metric, …; see `tune`.
        patients: whom its scores are about, as `ScoredPatients.to_json` keeps them, and digests of their features.
        by: the command that made it or added trials last (names of files only), versions, machine and time; empty in
            studies of earlier versions.
    """

    def __init__(self, path: Path, study: optuna.Study, predictions: Predictions) -> None:
        self.path = path
        self._study, self._predictions = study, predictions
        attrs = study.user_attrs
        self.provenance: dict[str, Any] = dict(attrs[_PROVENANCE])
        self.patients: dict[str, Any] = dict(attrs[_PATIENTS])
        self.by: dict[str, str] = unsealed(attrs.get(_MADE_BY, {}))

    def keep_made_by(self) -> None:
        """Keep how trials are added from now on; what is kept stays as it is where only the time differs."""
        now = made_by(bare=True)
        if {**self.by, "at": ""} != {**now, "at": ""}:
            with self._writing():
                self._study.set_user_attr(_MADE_BY, sealed(now))
            self.by = now

    def keep_patients(self, patients: Mapping[str, Any]) -> None:
        """Keep more of the patients, in a study of a version that did not."""
        has_seal = self.is_sealed()
        with self._writing():
            if has_seal:
                self._predictions.keep_seal(None)  # a kill leaves it without one, not with a wrong one
            self.patients |= patients
            self._study.set_user_attr(_PATIENTS, self.patients)
            if has_seal:
                self._predictions.keep_seal(self._seal())

    def _seal(self) -> str:
        return json_digest([self.provenance, self.patients])

    def check(self) -> None:
        """Compare the study's own attributes with their digest.

        Raises:
            StudyError: they are not as they were written.
        """
        try:
            found = self._predictions.seal()
        except (ValueError, sqlite3.Error):
            found = ""
        if found is not None and found != self._seal():
            raise StudyError(
                f"{self.path}: its patients or settings are not as they were written; restore a good copy, or begin a "
                "new study with --study NAME."
            )

    def rows(self) -> list[Row]:
        """The complete, pruned and failed trials by number, without their predictions.

        Raises:
            StudyError: the file is damaged, or holds trials that `tune` did not write.
        """
        try:
            return rows_of(self._study.get_trials(deepcopy=False))
        except (*_UNREADABLE, StorageInternalError, SQLAlchemyError) as error:
            cause = _cause(error) if isinstance(error, StorageInternalError) else repr(error)
            raise StudyError(
                f"{self.path} holds a trial that cannot be read ({cause}); restore a good copy, or begin a new study "
                "with --study NAME."
            ) from error

    def failed(self, rows: Iterable[Row]) -> tuple[FailedTrial, ...]:
        """Those of the trials whose head could not be scored, and why."""
        found = []
        for row in rows:
            if row.failed:
                head_type = str(row.params[HEAD_TYPE])
                found.append(FailedTrial(row.number, head_type, row.attrs[REASON], row.attrs[ERROR]))
        return tuple(found)

    def seconds(self, trials: int) -> float:
        """Seconds of scoring behind the trials 0 to `trials` − 1, all processes and runs of the program together."""
        return scoring_seconds(self._study.get_trials(deepcopy=False), trials)

    def attrs(self, row: Row) -> dict[str, Any]:
        """A trial's attributes and predictions: what `record.scores_to_attrs` makes.

        Raises:
            StudyError: the trial is not as it was written.
        """
        try:
            own, seal = self._predictions.read(row.number)
        except (ValueError, sqlite3.Error) as error:
            raise StudyError(_damaged(self.path, row.number)) from error
        attrs = {name: value for name, value in row.attrs.items() if name != SEAL} | own
        if seal != row.seal(attrs) if seal else self.is_sealed():
            raise StudyError(_damaged(self.path, row.number))
        return attrs

    def is_sealed(self, row: Row | None = None) -> bool:
        """Whether a trial, or the study itself, has a digest to be compared with; earlier versions wrote none."""
        return (
            self._predictions.seal() if row is None else self._predictions.read(row.number)[1]
        ) is not None

    def add(self, trial: FrozenTrial) -> None:
        """Add a finished or failed trial, all of it or nothing.

        Args:
            trial: with the attributes of `record.scores_to_attrs`, predictions among them.

        Raises:
            StudyError: the file cannot be written (disk full, read-only, locked for a minute).
        """
        with self._writing():
            # A kill in between leaves predictions without a trial, which is scored again and replaces them.
            attrs, [row] = trial.user_attrs, rows_of([trial])
            row.attrs = self._predictions.keep(row.number, attrs, row.seal(attrs))
            trial.user_attrs = {**row.attrs, SEAL: row.row_seal()}
            self._study.add_trial(trial)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
            who = holder(self.path) if sqlite_is_locked(error) else ""
            raise StudyError(
                f"{self.path} cannot be written ({_cause(error)}{f' by {who}' if who else ''}); free disk space or "
                "unlock the file, then run the same command again: the finished trials are kept."
            ) from error


def create_store(
    path: Path,
    provenance: Mapping[str, Any],
    patients: Mapping[str, Any],
    direction: Direction,
) -> None:
    """Make a study file without trials; it appears whole or not at all. Call it inside `owned(path)`.

    Raises:
        StudyError: the folder cannot be written.
    """
    try:
        for left, target in leftovers(path.parent):
            if target == path.name:  # by a run that was killed right here
                left.unlink(missing_ok=True)
        with atomic_write(path) as temporary, _storage(temporary, create=True) as storage:
            study = optuna.create_study(storage=storage, study_name=_STUDY, direction=direction)
            study.set_user_attr(_PROVENANCE, {"format": _FORMAT, **provenance})
            study.set_user_attr(_PATIENTS, dict(patients))
            study.set_user_attr(_MADE_BY, sealed(made_by(bare=True)))
            with Predictions.open(_connector(temporary, create=False)) as predictions:
                predictions.make()
                predictions.keep_seal(json_digest([{"format": _FORMAT, **provenance}, dict(patients)]))
    except (OSError, StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
        raise StudyError(
            f"{path} cannot be written ({_cause(error)}); free disk space or make the folder writable, or choose "
            "another place by --study."
        ) from error


@contextlib.contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """Open a study file for reading and adding; it is closed after the block.

    Raises:
        StudyError: no file, or not a study that `lymphofeat tune` made.
    """
    _look_before(path)
    foreign = f"{path} is not a study that `lymphofeat tune` made; name another --study."
    with contextlib.ExitStack() as stack:
        try:
            storage = stack.enter_context(_storage(path, create=False))
            predictions = stack.enter_context(Predictions.open(_connector(path, create=False)))
            store = Store(path, optuna.load_study(study_name=_STUDY, storage=storage), predictions)
        except (KeyError, StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
            raise StudyError(held_by_another(path) if sqlite_is_locked(error) else foreign) from error
        except _UNREADABLE as error:
            raise StudyError(
                f"{path} is damaged ({error!r}); restore a good copy, or begin a new study with --study NAME."
            ) from error
        except RuntimeError as error:  # Optuna's tables are of another release; its message says what to do
            raise StudyError(f"{path} was written by another version of Optuna: {error}") from error
        if store.provenance.get("format") not in _READ:
            maker = store.provenance.get("lymphofeat")
            raise StudyError(
                f"{path} was made by lymphofeat {maker}, whose studies this version does not read; begin a new study "
                "with --study NAME."
            )
        store.check()
        yield store


@contextlib.contextmanager
def owned(path: Path) -> Iterator[None]:
    """Hold the study for this process; the system gives it back when the process ends, however it ends.

    Raises:
        InputError: `path` is a folder.
        StudyError: another process holds it, or its folder cannot be written.
    """
    check_place(path)
    with locked(path, StudyError, doing="being tuned", way_out=", or name another --study"):
        yield


@contextlib.contextmanager
def _storage(path: Path, *, create: bool) -> Iterator[optuna.storages.RDBStorage]:
    with quiet_optuna():
        connect = _connector(path, create=create)
        with new_tables(path, connect) if create else opened_tables(connect) as storage:
            yield storage


def _look_before(path: Path) -> None:
    """Refuse at once what is no study, or is held by another process, with the way out that fits.

    Raises:
        StudyError: it is.
    """
    end = time.monotonic() + _PATIENCE
    while (kind := inspect_path(path)).name == "locked" and time.monotonic() < end:
        time.sleep(0.05)
    match kind.name:
        case "missing":
            raise StudyError(
                f"There is no study {path}; run `lymphofeat tune` first, or name another --study."
            )
        case "locked":
            raise StudyError(held_by_another(path))
        case "damaged-sqlite":
            raise StudyError(
                f"{path} is damaged ({kind.cause}); restore a good copy, or begin a new study with --study NAME."
            )
        case "unreadable":
            raise StudyError(f"{path} cannot be read ({kind.cause}); check its permissions and the disk.")
        case "study" | "sqlite" if kind.name == "study" or kind.cause:
            return  # Optuna says more
        case _:
            raise StudyError(
                f"{path} is not a study that `lymphofeat tune` made: it is {kind.phrase}; name another --study."
            )


def _connector(path: Path, *, create: bool) -> Callable[[], sqlite3.Connection]:
    # Never "ro": after a kill, SQLite must be able to roll an unfinished transaction back before it reads.
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    return lambda: sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT, check_same_thread=False)


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna logs to the terminal, which is the command line's; warnings and errors still pass."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _damaged(path: Path, trial: int) -> str:
    return (
        f"{path}: trial {trial} is not as it was written; restore a good copy, or begin a new study with "
        "--study NAME."
    )


def _cause(error: Exception) -> str:
    cause = error.__cause__ or error
    return str(getattr(cause, "orig", None) or cause).splitlines()[0]
