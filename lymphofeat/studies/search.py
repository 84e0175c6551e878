"""The loop of a search: propose a batch, score what is missing of it, keep each trial as soon as it is known."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from ..errors import StudyError
from ..metric import METRICS
from ..progress import Progress
from ..scoring.failures import ERROR, FailedTrial, cause_of, is_unexpected
from ..scoring.score import weighs_equally
from ..storage.json_arrays import unpack
from .evaluate import StudySpec, TrialResult, TrialTask
from .pruning import Incumbent
from .rows import NUMBER, Row
from .sampling import BATCH, Proposal, Proposals, point_key
from .space import build_head
from .store import Store
from .workers import Failure, Workers

__all__ = ["Search", "run_together"]


class Search:
    """A search on an open study.

    Args:
        store: the study's file.
        spec: what its trials have in common.
        proposals: of a fresh memory; it is told of the trials that the file holds.
        prune: whether heads that are clearly worse than the best are stopped.
        left_out: head types that are not searched, with a sentence each.
        note: what the user should know of how the study goes on; "" if nothing.
    """

    def __init__(
        self,
        store: Store,
        spec: StudySpec,
        proposals: Proposals,
        *,
        prune: bool,
        left_out: Mapping[str, str] | None = None,
        note: str = "",
    ) -> None:
        self._store, self._spec, self._proposals, self._prune = store, spec, proposals, prune
        self.left_out, self.note = dict(left_out or {}), note
        self._done = {row.number: row for row in store.rows()}
        self._same: dict[str, int] = {}  # point → number of the first trial that scored it
        self._incumbent_of: tuple[int, Incumbent] | None = None
        self._wanted: dict[int, Proposal] = {}  # of the batch under way
        self._failed: dict[
            int, TrialResult
        ] = {}  # of the batch under way; kept when it is known that it may go on
        for number in sorted(self._done):
            self._same.setdefault(point_key(self._done[number].params), number)

    def run(self, trials: int, workers: Workers, progress: Progress) -> None:
        """`run_together` with this search alone, and `progress` told of when it begins and ends."""
        if trials > self.n_done:
            self._store.keep_made_by()
        progress.start("tune", max(trials, self.n_done), "trial", self.n_done)
        try:
            run_together([self], trials, workers, progress)
        finally:
            progress.stop()

    @property
    def spec(self) -> StudySpec:
        """What its trials have in common."""
        return self._spec

    @property
    def n_done(self) -> int:
        """Finished trials."""
        return len(self._done)

    def failed(self, trials: int) -> tuple[FailedTrial, ...]:
        """Those of the trials 0 to `trials` − 1 whose head could not be scored."""
        return self._store.failed(self._done[number] for number in sorted(self._done) if number < trials)

    def begin(self, first: int, trials: int) -> list[TrialTask]:
        """The tasks of the batch that begins at number `first`; a point that was scored before is not scored
        again.
        """
        numbers = range(first, first + BATCH)
        done = all(number in self._done for number in numbers)
        batch = [] if done else self._proposals.next_batch()
        self._failed = {}
        self._wanted = {p.number: p for p in batch if p.number < trials and p.number not in self._done}
        incumbent = self._incumbent(first) if self._prune and self._wanted else None
        new: dict[str, int] = {}
        for proposal in self._wanted.values():
            if proposal.key not in self._same:
                new.setdefault(proposal.key, proposal.number)
        return [
            TrialTask(self._spec, number, self._wanted[number].params, incumbent) for number in new.values()
        ]

    def take(self, result: TrialResult) -> None:
        """Keep what came of a task of the batch; a failed one when the batch is finished."""
        if result.failed:
            self._failed[result.number] = result
        else:
            self._keep(self._wanted[result.number], result)

    def finish(self, first: int) -> tuple[int, bool]:
        """Keep the batch's failed points and those that needed no scoring, and tell the sampler of the batch.

        Returns:
            How many points needed no scoring, and whether there may be more batches.

        Raises:
            StudyError: most of the batch failed alike, for a reason that no head foresees; none of these is kept, so
                that they are scored again when its cause is removed.
        """
        self._refuse_failures_of_all(first)
        for number, result in sorted(self._failed.items()):
            self._keep(self._wanted[number], result)
        copies = [p for p in self._wanted.values() if p.number not in self._done]
        for proposal in copies:
            self._keep(proposal, self._copy(proposal))
        numbers = range(first, first + BATCH)
        if not all(number in self._done for number in numbers):
            return len(copies), False  # enough, or the grid is used up
        for number in numbers:
            self._proposals.tell(self._done[number].trial())
        return len(copies), True

    def _refuse_failures_of_all(self, first: int) -> None:
        attrs = [result.attrs for result in self._failed.values()]
        earlier = (self._done.get(number) for number in range(first, first + BATCH))
        attrs += [row.attrs for row in earlier if row is not None and row.failed]
        causes = Counter(cause_of(one) for one in attrs if is_unexpected(one))
        for cause, times in causes.most_common(1):
            if self._failed and times > BATCH // 2:
                error = next(one[ERROR] for one in attrs if cause_of(one) == cause)
                raise StudyError(
                    f"{times} trials of {BATCH} failed alike, so the fault is not in one head: {error}. The finished "
                    "trials are kept. Remove the cause; the same command then scores these again."
                )

    def _keep(self, proposal: Proposal, result: TrialResult) -> None:
        row = Row(
            proposal.number, result.value, result.pruned, proposal.params, proposal.distributions,
            result.steps, result.failed,
        )  # fmt: skip
        trial = row.trial()
        trial.datetime_start = result.started
        trial.user_attrs = {NUMBER: proposal.number, **result.attrs}
        self._store.add(trial)
        row.attrs = trial.user_attrs
        self._done[row.number] = row
        self._same.setdefault(proposal.key, row.number)

    def _copy(self, proposal: Proposal) -> TrialResult:
        """The outcome of a point that another trial scored."""
        source = self._done[self._same[proposal.key]]
        attrs = self._store.attrs(source)
        attrs.pop(NUMBER)
        attrs["same_as"] = source.number
        return TrialResult(
            proposal.number, datetime.now(), attrs, source.value, source.steps, source.pruned, source.failed
        )  # fmt: skip

    def _incumbent(self, before: int) -> Incumbent | None:
        """The best of the complete trials with lower numbers; of equals the first."""
        complete = list(self._complete(before))
        if not complete:
            return None
        sign = METRICS[self._spec.metric].sign
        best = max(complete, key=lambda row: (sign * row.value, -row.number))
        if self._incumbent_of is None or self._incumbent_of[0] != best.number:
            probabilities = unpack(self._store.attrs(best)["oof"])[:, 0]
            self._incumbent_of = (
                best.number,
                Incumbent(probabilities, weighs_equally(build_head(best.params))),
            )
        return self._incumbent_of[1]

    def _complete(self, before: int) -> Iterator[Row]:
        return (row for row in self._done.values() if row.number < before and row.complete)


def run_together(searches: Sequence[Search], trials: int, workers: Workers, progress: Progress) -> None:
    """Go on until each file holds the trials 0 to `trials` − 1, or its grid has no more points.

    The searches know nothing of each other, but go batch by batch side by side, so that processes have enough to do.

    Args:
        searches: of different settings.
        trials: ≥ 1, finished ones in all.
        workers: who scores.
        progress: told of every trial.

    Raises:
        StudyError: a file cannot be written, processes were killed again and again, or most trials of a batch failed
            alike.
        LeakageError, CacheError, InputError, OSError: what every trial would meet; the others of its batch are kept.
    """
    going = list(searches)
    for first in range(0, trials, BATCH):
        by_spec = {search.spec: search for search in going}
        tasks = [task for search in going for task in search.begin(first, trials)]
        failures: list[Failure] = []
        for task, result in workers.run(tasks):
            if isinstance(result, Failure):
                failures.append(result)
            else:
                by_spec[task.spec].take(result)
                progress.advance()
        if failures:
            raise min(failures, key=lambda failure: failure.number).error
        still_going = []
        for search in going:
            n_copies, more = search.finish(first)
            if n_copies:
                progress.advance(n_copies)
            if more:
                still_going.append(search)
        going = still_going
