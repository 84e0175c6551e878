"""An Optuna study, in a file or in PostgreSQL, written one whole trial at a time.

A trial is added when it is finished: first its predictions to a table of our own (`predictions`), then the trial itself
to Optuna's, in one transaction. So a killed process leaves neither a running trial nor half of one: what is in Optuna's
tables counts, what is not was not done. Samplers work on a copy in memory, which the study is the source of. Only the
process that owns the study writes. Plain `optuna.load_study(study_name="lymphofeat", storage="sqlite:///FILE")` opens
a file.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial

from ..errors import StudyError
from ..metric import Direction
from ..scoring.failures import ERROR, REASON, FailedTrial
from ..storage.addresses import StudyAddress, StudyPlace
from ..storage.provenance import made_by
from ..storage.seals import SEAL, json_digest, sealed, unsealed
from .database import DATABASE_ERRORS, Database, cause_of
from .file import StudyFile
from .postgres import StudyOnServer
from .predictions import Predictions
from .rows import Row, rows_of, scoring_seconds
from .space import HEAD_TYPE

__all__ = ["PERSONS", "Store", "create_store", "open_store", "owned", "study_exists"]

_PROVENANCE, _PATIENTS = "made_from", "patients"
_MADE_BY = "made_by"  # which studies of earlier versions lack; of no trial, so that it is not under the study's digest
PERSONS = "persons"  # in the patients: which of them are of one person, where any are
# Of a trial's parameters and attributes. 1 knew one head type; 2 kept the predictions in the trial's attributes.
_FORMAT, _READ = 3, (2, 3)
_UNREADABLE = (LookupError, ValueError, TypeError, AttributeError, AssertionError)  # of Optuna, by the damage


class Store:
    """An open study.

    Attributes:
        path: its file, or its address.
        provenance: what the study was made with: cache, encoder family, metric, …; see `tune`.
        patients: whom its scores are about, as `ScoredPatients.to_json` keeps them, and digests of their features.
        by: the command that made it or added trials last (names of files only), versions, machine and time; empty in
            studies of earlier versions.
    """

    def __init__(self, database: Database, study: optuna.Study, predictions: Predictions) -> None:
        self.path = database.place
        self._database, self._study, self._predictions = database, study, predictions
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
        with self._writing():
            has_seal = self.is_sealed()
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
        except (ValueError, *DATABASE_ERRORS) as error:
            self._raise_if_gone(error)
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
        except (*_UNREADABLE, *DATABASE_ERRORS) as error:
            self._raise_if_gone(error)
            cause = cause_of(error) if isinstance(error, StorageInternalError) else repr(error)
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
        except (ValueError, *DATABASE_ERRORS) as error:
            self._raise_if_gone(error)
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
        except DATABASE_ERRORS as error:
            raise self._database.not_written(error) from error

    def _raise_if_gone(self, error: Exception) -> None:
        """Say so where an error is none of the study's, but of a server or a lock."""
        if (refused := self._database.not_opened(error)) is not None:
            raise refused from error


def study_exists(place: StudyPlace) -> bool:
    """Whether there is a study, or something else in its place.

    Raises:
        StudyError: a server that cannot be reached.
    """
    return _database(place).exists()


def create_store(
    place: StudyPlace | Database,
    provenance: Mapping[str, Any],
    patients: Mapping[str, Any],
    direction: Direction,
) -> None:
    """Make a study without trials; it appears whole or not at all. Call it inside `owned`, with what that gives.

    Raises:
        StudyError: the folder or the database cannot be written.
    """
    database = _database(place)
    try:
        with database.making() as tables:
            study = optuna.create_study(storage=tables.storage, study_name=tables.name, direction=direction)
            study.set_user_attr(_PROVENANCE, {"format": _FORMAT, **provenance})
            study.set_user_attr(_PATIENTS, dict(patients))
            study.set_user_attr(_MADE_BY, sealed(made_by(bare=True)))
            with tables.predictions() as predictions:
                predictions.make()
                predictions.keep_seal(json_digest([{"format": _FORMAT, **provenance}, dict(patients)]))
    except (OSError, *DATABASE_ERRORS) as error:
        raise database.not_made(error) from error


@contextlib.contextmanager
def open_store(place: StudyPlace | Database) -> Iterator[Store]:
    """Open a study for reading, and for adding inside `owned`; it is closed after the block.

    Args:
        place: its file or address; who adds trials gives what `owned` gives.

    Raises:
        StudyError: no study, or not one that `lymphofeat tune` made; a server that cannot be reached.
    """
    database = _database(place)
    where = database.place
    foreign = f"{where} is not a study that `lymphofeat tune` made; name another --study."
    with contextlib.ExitStack() as stack:
        try:
            tables = stack.enter_context(database.tables())
            predictions = stack.enter_context(tables.predictions())
            study = optuna.load_study(study_name=tables.name, storage=tables.storage)
            store = Store(database, study, predictions)
        except StudyError:
            raise
        except (KeyError, *DATABASE_ERRORS) as error:
            raise (database.not_opened(error) or StudyError(foreign)) from error
        except _UNREADABLE as error:
            raise StudyError(
                f"{where} is damaged ({error!r}); restore a good copy, or begin a new study with --study NAME."
            ) from error
        except RuntimeError as error:  # Optuna's tables are of another release; its message says what to do
            raise StudyError(f"{where} was written by another version of Optuna: {error}") from error
        if store.provenance.get("format") not in _READ:
            maker = store.provenance.get("lymphofeat")
            raise StudyError(
                f"{where} was made by lymphofeat {maker}, whose studies this version does not read; begin a new study "
                "with --study NAME."
            )
        store.check()
        yield store


@contextlib.contextmanager
def owned(place: StudyPlace) -> Iterator[Database]:
    """Hold the study for this process, until the block or the process ends, however it ends.

    Returns:
        What `create_store` and `open_store` write by.

    Raises:
        InputError: `place` is a folder.
        StudyError: another process holds it, or its folder or database cannot be written.
    """
    with _database(place).owned() as database:
        yield database


def _database(place: StudyPlace | Database) -> Database:
    if isinstance(place, Database):
        return place
    return StudyOnServer(place) if isinstance(place, StudyAddress) else StudyFile(place)


def _damaged(path: StudyPlace, trial: int) -> str:
    return (
        f"{path}: trial {trial} is not as it was written; restore a good copy, or begin a new study with "
        "--study NAME."
    )
