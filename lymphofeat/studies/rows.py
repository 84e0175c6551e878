"""The finished trials of a study without what they were scored on: a few columns of Optuna's tables.

Ten thousand trials with their predictions take Optuna seconds and most of a gigabyte to read; their points, values and
scores take a fraction of it. The tables are those of the storage's schema, which Optuna checks when it opens a file.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, text

__all__ = ["NUMBER", "SCORES", "Row", "read_rows", "scoring_seconds"]

# User attributes: a trial's place in the search, and its score by every metric.
NUMBER, SCORES = "number", "values"

_TRIALS = """
SELECT t.trial_id, t.state, v.value, n.value_json
FROM trials t
LEFT JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0
LEFT JOIN trial_user_attributes n ON n.trial_id = t.trial_id AND n.key = :number
WHERE t.study_id = :study AND t.state IN ('COMPLETE', 'PRUNED', 'FAIL')
ORDER BY t.trial_id
"""
_PARAMS = """
SELECT p.trial_id, p.param_name, p.param_value, p.distribution_json
FROM trial_params p JOIN trials t ON t.trial_id = p.trial_id
WHERE t.study_id = :study AND t.state IN ('COMPLETE', 'PRUNED', 'FAIL')
ORDER BY p.param_id
"""
_STEPS = """
SELECT i.trial_id, i.step, i.intermediate_value
FROM trial_intermediate_values i JOIN trials t ON t.trial_id = i.trial_id
WHERE t.study_id = :study AND t.state IN ('COMPLETE', 'PRUNED', 'FAIL')
ORDER BY i.step
"""
_SCORES = """
SELECT a.trial_id, a.value_json
FROM trial_user_attributes a JOIN trials t ON t.trial_id = a.trial_id
WHERE t.study_id = :study AND t.state = 'COMPLETE' AND a.key = :key
"""
_SECONDS = """
SELECT SUM((julianday(t.datetime_complete) - julianday(t.datetime_start)) * 86400)
FROM trials t JOIN trial_user_attributes n ON n.trial_id = t.trial_id AND n.key = :number
WHERE t.study_id = :study AND CAST(n.value_json AS INTEGER) < :trials
"""


@dataclass
class Row:
    """A finished trial.

    Attributes:
        trial_id: Optuna's, by which its attributes can be read.
        number: its place in the search, from 0; in this order the sampler was told.
        value: the study's metric.
        pruned: whether it was stopped; then `value` is not comparable with that of others.
        params, distributions: its point.
        steps: the metric after so many folds, if it was watched.
        failed: whether its head could not be scored; then `value` is NaN.
        scores: per metric, the score of a complete trial, as it was read from a file; else empty.
    """

    trial_id: int
    number: int
    value: float
    pruned: bool
    params: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    steps: dict[int, float] = field(default_factory=dict)
    failed: bool = False
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether it was scored to the end, so that it may be the best."""
        return not (self.pruned or self.failed)

    def trial(self) -> FrozenTrial:
        """As an Optuna trial without attributes."""
        state = TrialState.PRUNED if self.pruned else TrialState.COMPLETE
        return create_trial(
            state=TrialState.FAIL if self.failed else state,
            value=None if self.failed else self.value,
            params=self.params,
            distributions=self.distributions,
            intermediate_values=self.steps,
        )


def read_rows(storage: optuna.storages.RDBStorage, study_id: int) -> list[Row]:
    """The complete, pruned and failed trials of a study, by number.

    Trials of earlier versions that failed have no number: they were scored again.

    Raises:
        KeyError, ValueError, TypeError: what is there is not what `tune` writes.
        sqlalchemy.exc.SQLAlchemyError: the file cannot be read.
    """
    with storage.engine.connect() as connection:
        rows = {row.trial_id: row for row in _trials(connection, study_id)}
        for trial_id, name, value, distribution in connection.execute(text(_PARAMS), {"study": study_id}):
            row, known = rows.get(trial_id), _distribution(distribution)
            if row is None:
                continue
            row.params[name], row.distributions[name] = known.to_external_repr(value), known
        for trial_id, step, value in connection.execute(text(_STEPS), {"study": study_id}):
            if trial_id in rows:
                rows[trial_id].steps[step] = value
        for trial_id, scores in connection.execute(text(_SCORES), {"study": study_id, "key": SCORES}):
            if trial_id in rows:
                rows[trial_id].scores = dict(json.loads(scores))
    return sorted(rows.values(), key=lambda row: row.number)


def scoring_seconds(storage: optuna.storages.RDBStorage, study_id: int, trials: int) -> float:
    """Seconds from the beginning to the keeping of the trials below a number, all processes together."""
    values = {"study": study_id, "number": NUMBER, "trials": trials}
    with storage.engine.connect() as connection:
        return float(connection.execute(text(_SECONDS), values).scalar() or 0.0)


def _trials(connection: Connection, study_id: int) -> Iterator[Row]:
    query = connection.execute(text(_TRIALS), {"study": study_id, "number": NUMBER})
    for trial_id, state, value, number in query:
        if state == TrialState.FAIL.name:
            if number is not None:
                yield Row(trial_id, int(number), math.nan, pruned=False, failed=True)
        else:
            yield Row(trial_id, int(number), float(value), pruned=state == TrialState.PRUNED.name)


@cache
def _distribution(text_of_it: str) -> BaseDistribution:
    return json_to_distribution(text_of_it)
