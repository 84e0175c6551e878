"""The finished trials of a study as rows: what a search and a summary need of each."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import FrozenTrial, TrialState, create_trial

from ..storage.seals import SEAL, json_digest

__all__ = ["NUMBER", "SCORES", "Row", "rows_of", "scoring_seconds"]

# User attributes: a trial's place in the search, and its score by every metric.
NUMBER, SCORES = "number", "values"


@dataclass
class Row:
    """A finished trial.

    Attributes:
        number: its place in the search, from 0; in this order the sampler was told.
        value: the study's metric.
        pruned: whether it was stopped; then `value` is not comparable with that of others.
        params, distributions: its point.
        steps: the metric after so many folds, if it was watched.
        failed: whether its head could not be scored; then `value` is NaN.
        attrs: its user attributes, as the study's file has them.
    """

    number: int
    value: float
    pruned: bool
    params: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    steps: dict[int, float] = field(default_factory=dict)
    failed: bool = False
    attrs: dict[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether it was scored to the end, so that it may be the best."""
        return not (self.pruned or self.failed)

    @property
    def scores(self) -> dict[str, float]:
        """Per metric, the score of a complete trial; empty for others."""
        return dict(self.attrs.get(SCORES, {}))

    def seal(self, attrs: Mapping[str, Any]) -> str:
        """Hex digest of everything that is kept of the trial.

        Args:
            attrs: all its attributes, predictions among them.
        """
        steps = {str(step): value for step, value in self.steps.items()}
        value = None if self.failed else self.value
        return json_digest([self.number, value, self.pruned, self.failed, self.params, steps, attrs])

    def row_seal(self) -> str:
        """Hex digest of what this row holds, its distributions too, but no predictions: these are read one by one."""
        attrs = {name: value for name, value in self.attrs.items() if name != SEAL}
        point = {name: _distribution(one) for name, one in self.distributions.items()}
        return json_digest([self.seal(attrs), point])

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


_distribution = lru_cache(1 << 12)(distribution_to_json)  # trials share most of theirs


def rows_of(trials: Iterable[FrozenTrial]) -> list[Row]:
    """The complete, pruned and failed trials among those of a study, by number.

    Trials of earlier versions that failed have no number: they were scored again.

    Raises:
        KeyError, ValueError, TypeError: what is there is not what `tune` writes, or not as it was written.
    """
    rows = [_row(trial) for trial in trials if _is_finished(trial)]
    for row in rows:
        if SEAL in row.attrs and row.attrs[SEAL] != row.row_seal():  # earlier versions wrote none
            raise ValueError(f"trial {row.number} is not as it was written")
    return sorted(rows, key=lambda row: row.number)


def scoring_seconds(trials: Iterable[FrozenTrial], below: int) -> float:
    """Seconds from the beginning to the keeping of the trials below a number, all processes together."""
    spent = timedelta()
    for trial in trials:
        known = trial.datetime_start is not None and trial.datetime_complete is not None
        if known and int(trial.user_attrs.get(NUMBER, below)) < below:
            spent += trial.datetime_complete - trial.datetime_start  # type: ignore[operator]
    return spent.total_seconds()


def _is_finished(trial: FrozenTrial) -> bool:
    if trial.state == TrialState.FAIL:
        return NUMBER in trial.user_attrs
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _row(trial: FrozenTrial) -> Row:
    failed = trial.state == TrialState.FAIL
    return Row(
        number=int(trial.user_attrs[NUMBER]),
        value=math.nan if failed else float(trial.values[0]),
        pruned=trial.state == TrialState.PRUNED,
        params=trial.params,
        distributions=trial.distributions,
        steps=trial.intermediate_values,
        failed=failed,
        attrs=trial.user_attrs,
    )
