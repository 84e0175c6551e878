"""Who scores the trials of a command: this process, several, or an executor's workers."""

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor

from ..errors import InputError
from ..scoring.plan import ScoringPlan
from .elsewhere import Elsewhere
from .evaluate import Evaluator, StudySpec
from .workers import Inline, Pool, Workers

__all__ = ["workers"]


@contextlib.contextmanager
def workers(
    jobs: int, plans: Mapping[StudySpec, ScoringPlan] | None = None, executor: Executor | None = None
) -> Iterator[Workers]:
    """Who scores, for any number of studies, until the block ends.

    Args:
        jobs: processes, ≥ 1; with 1, nothing is started.
        plans: of settings, where they were made already.
        executor: scores instead; it is not shut down.

    Raises:
        InputError: `executor` is none, or stands beside jobs.
    """
    if executor is not None:
        if jobs != 1:
            raise InputError(
                f"jobs={jobs} and executor= exclude each other; the executor has its own workers."
            )
        yield Elsewhere(executor)
        return
    if jobs == 1:
        yield Inline(Evaluator(plans))
        return
    with Pool(jobs) as pool:
        yield pool
