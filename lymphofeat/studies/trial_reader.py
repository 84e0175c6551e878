"""Trials of a study's file with what they were scored on."""

import contextlib
from collections.abc import Iterator

import numpy as np

from ..errors import InputError, StudyError
from ..estimates.persons import repeating
from ..estimates.scores import ClassWeights
from ..storage.addresses import StudyPlace
from .frames import inputs_of
from .record import scores_from_attrs
from .rows import Row
from .selection import Candidate
from .store import PERSONS, Store
from .trial import TrialSummary

__all__ = ["TrialReader", "readable"]


@contextlib.contextmanager
def readable(path: StudyPlace) -> Iterator[None]:
    """What reads trials of the study within.

    Raises:
        StudyError: a trial cannot be read.
    """
    try:
        yield
    except StudyError:
        raise
    except (KeyError, TypeError, InputError, ValueError) as error:
        raise StudyError(
            f"{path} holds a trial that cannot be read ({error!r}); begin a new study."
        ) from error


class TrialReader:
    """Reads trials with what they were scored on, each once.

    Args:
        store: of the study, open.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._y = np.array(store.patients["labels"], dtype=np.int8)
        self._folds = np.array(store.patients["folds"], dtype=np.int8)
        self._groups = repeating(store.patients.get(PERSONS))
        weights = store.provenance.get("class_weights")
        self._weights: ClassWeights = None if weights is None else (float(weights[0]), float(weights[1]))
        self._takes: dict[str, list[str]] = store.provenance["takes"]
        self._read: dict[int, TrialSummary] = {}

    def inputs(self, row: Row) -> str:
        """What the row's head is given."""
        return inputs_of(row, self._takes)

    def candidate(self, row: Row) -> Candidate:
        """A complete trial, which is read when a rule asks for it."""
        return Candidate(row.number, row.params, self.inputs(row), row.scores, lambda: self.trial(row))

    def trial(self, row: Row) -> TrialSummary:
        """A complete trial."""
        if row.number not in self._read:
            scores = scores_from_attrs(self._store.attrs(row))
            self._read[row.number] = TrialSummary(
                row.number,
                dict(row.params),
                self.inputs(row),
                scores,
                self._y,
                self._folds,
                self._weights,
                self._groups,
            )
        return self._read[row.number]
