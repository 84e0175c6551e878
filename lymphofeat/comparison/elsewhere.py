"""Pipelines on any executor: each worker opens the cache by its path and predicts with one pipeline at a time."""

import pickle
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing

from ..cache.reader import Cache
from ..errors import StudyError
from ..executor import Kind, answer, answered, check_executor, check_versions, going_on, hand_out, versions
from ..parallel import torch_threads
from ..scoring.shared_cache import COMPUTE, SharedCache
from .out_of_fold import OutOfFold, predict
from .pipelines import Pipeline

__all__ = ["predicted_elsewhere"]

_KEPT = "The finished pipelines are kept"
_GOES_ON = going_on(_KEPT)


def predicted_elsewhere(
    executor: Executor, cache: Cache, pipelines: Sequence[Pipeline]
) -> Iterator[tuple[Pipeline, OutOfFold | Exception]]:
    """What each pipeline predicts, or the error that it ends with, in any order; see `out_of_fold.predict`.

    Args:
        executor: of `executor.hand_out`. It is never shut down.
        cache: workers read it by its path.
        pipelines: of the cache.

    Raises:
        InputError: `executor` is none.
        StudyError: the executor is gone, or workers ended twice on the same pipeline.
    """
    check_executor(executor)
    wanted, shared = versions(COMPUTE), SharedCache.of(cache.path)
    kind = Kind[Pipeline](
        lambda pipeline: (predict_elsewhere, (pickle.dumps((shared, pipeline)), wanted)),
        doing=lambda pipeline: f"measured {pipeline.name}",
        name=lambda pipeline: f"to measure {pipeline.name}",
        error=StudyError,
        kept=_KEPT,
    )
    with closing(hand_out(executor, pipelines, kind)) as found:
        for pipeline, returned in found:
            try:
                result: OutOfFold | Exception = answered(returned)
            except Exception as error:  # noqa: BLE001 - whoever asked decides what becomes of the others
                result = error
            yield pipeline, result


class _Worker:
    """Of this process, as a worker.

    Attributes:
        lock: held by the pipeline that is measured, since libraries' numbers of threads are the process's.
        shared: what `cache` was opened from.
        cache: of the last task.
    """

    lock = threading.Lock()
    shared: SharedCache | None = None
    cache: Cache | None = None


def predict_elsewhere(payload: bytes, wanted: dict[str, str], token: str) -> bytes:
    """Predict with a pipeline in this process, whichever it is.

    Args:
        payload: the pickled cache and pipeline.
        wanted: versions of the process that handed the task over.
        token: makes the call unlike every other.

    Returns:
        What `answered` takes: an `OutOfFold`.
    """

    def work() -> OutOfFold:
        # Before anything is unpickled, whose classes may have changed.
        check_versions(wanted, StudyError, _GOES_ON)
        shared, pipeline = pickle.loads(payload)
        if _Worker.shared != shared or _Worker.cache is None:
            _Worker.cache, _Worker.shared = shared.open(_GOES_ON), shared
        with torch_threads(1):
            return predict(_Worker.cache, pipeline)

    with _Worker.lock:
        return answer(work)
