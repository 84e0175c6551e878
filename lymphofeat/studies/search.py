"""The loop of a search: propose a batch, score what is missing of it, keep each trial as soon as it is known."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from optuna.trial import FrozenTrial, TrialState, create_trial

from ..progress import Progress
from .evaluate import Outcome, Setting, Task
from .objective import DIRECTIONS, weighs_equally
from .pruning import Rival
from .record import unpack
from .rows import NUMBER, Row
from .sampling import BATCH, Proposal, Proposals, point_key
from .space import build_head
from .store import Store
from .workers import Failure, Workers

__all__ = ["Search"]


class Search:
    """A search on an open study.

    Args:
        store: the study's file.
        setting: what its trials have in common.
        proposals: of a fresh memory; it is told of the trials that the file holds.
        prune: whether hopeless heads are stopped.
    """

    def __init__(self, store: Store, setting: Setting, proposals: Proposals, *, prune: bool) -> None:
        self._store, self._setting, self._proposals, self._prune = store, setting, proposals, prune
        self._done = {row.number: row for row in store.rows()}
        self._same: dict[str, int] = {}  # point → number of the first trial that scored it
        self._rival_of: tuple[int, Rival] | None = None
        for number in sorted(self._done):
            self._same.setdefault(point_key(self._done[number].params), number)

    def run(self, trials: int, workers: Workers, progress: Progress) -> None:
        """Go on until the trials with the numbers 0 to `trials` − 1 are in the file, or the grid has no more points.

        Raises:
            StudyError: the file cannot be written, or processes were killed again and again.
            Exception: what a head failed with; the failed trial is recorded, and the others of its batch are kept.
        """
        progress.start("tune", max(trials, len(self._done)), "trial", len(self._done))
        try:
            for first in range(0, trials, BATCH):
                batch = self._batch(first)
                wanted = [p for p in batch if p.number < trials and p.number not in self._done]
                self._score(wanted, workers, progress)
                numbers = range(first, first + BATCH)
                if not all(number in self._done for number in numbers):
                    return  # enough, or the grid is used up
                for number in numbers:
                    self._proposals.tell(self._done[number].trial())
        finally:
            progress.stop()

    def _batch(self, first: int) -> list[Proposal]:
        """The proposals of a batch; none if all of it is done."""
        if all(number in self._done for number in range(first, first + BATCH)):
            return []
        return self._proposals.next_batch()

    def _score(self, proposals: Sequence[Proposal], workers: Workers, progress: Progress) -> None:
        """Score and keep proposals; a point that was scored before is not scored again."""
        before = min((p.number for p in proposals), default=0) // BATCH * BATCH
        rival = self._rival(before) if self._prune and proposals else None
        by_number = {p.number: p for p in proposals}
        new: dict[str, int] = {}
        for proposal in proposals:
            if proposal.key not in self._same:
                new.setdefault(proposal.key, proposal.number)
        tasks = [Task(number, by_number[number].params, rival) for number in new.values()]
        failures: list[Failure] = []
        for result in workers.run(tasks):
            if isinstance(result, Failure):
                self._store.add(_failed(by_number[result.number], result))
                failures.append(result)
                continue
            self._keep(by_number[result.number], result)
            progress.advance()
        if failures:
            raise min(failures, key=lambda failure: failure.number).error
        for proposal in proposals:
            if proposal.number not in self._done:
                self._keep(proposal, self._copy(proposal))
                progress.advance()

    def _keep(self, proposal: Proposal, outcome: Outcome) -> None:
        row = Row(
            -1, proposal.number, outcome.value, outcome.pruned, proposal.params, proposal.distributions,
            outcome.steps,
        )  # fmt: skip
        trial = row.trial()
        trial.datetime_start = outcome.started
        trial.user_attrs = {NUMBER: proposal.number, **outcome.attrs}
        row.trial_id = self._store.add(trial)
        self._done[row.number] = row
        self._same.setdefault(proposal.key, row.number)

    def _copy(self, proposal: Proposal) -> Outcome:
        """The outcome of a point that another trial scored."""
        source = self._done[self._same[proposal.key]]
        attrs = self._store.attrs(source.trial_id)
        attrs.pop(NUMBER)
        attrs["same_as"] = source.number
        return Outcome(proposal.number, datetime.now(), attrs, source.value, source.steps, source.pruned)

    def _rival(self, before: int) -> Rival | None:
        """The best of the complete trials with lower numbers; of equals the first."""
        complete = list(self._complete(before))
        if not complete:
            return None
        sign = 1 if DIRECTIONS[self._setting.metric] == "maximize" else -1
        best = max(complete, key=lambda row: (sign * row.value, -row.number))
        if self._rival_of is None or self._rival_of[0] != best.number:
            probabilities = unpack(self._store.attrs(best.trial_id)["oof"])[:, 0]
            self._rival_of = (
                best.number,
                Rival(probabilities, weighs_equally(build_head(best.params))),
            )
        return self._rival_of[1]

    def _complete(self, before: int) -> Iterator[Row]:
        return (row for row in self._done.values() if row.number < before and not row.pruned)


def _failed(proposal: Proposal, failure: Failure) -> FrozenTrial:
    return create_trial(
        state=TrialState.FAIL,
        params=proposal.params,
        distributions=proposal.distributions,
        user_attrs={"error": repr(failure.error)},
    )
