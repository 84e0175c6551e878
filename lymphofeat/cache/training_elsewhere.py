"""Encoders trained on any executor: one a task, by files that all machines see.

A worker keeps checkpoints and network in their files, under a lock, so that a task that is handed over again goes on
from the last whole epoch, or is done already. The process that was started does everything else.
"""

import pickle
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ..cohort.problems import counted
from ..errors import CacheError, WeightsError
from ..executor import Kind, answer, answered, check_executor, check_versions, hand_out, host, versions
from ..parallel import disable_malloc_trim, torch_threads
from ..progress import Progress, Silent
from ..storage.locks import locked, remove_lock
from ..training.trained import trained_about
from .elsewhere import GOES_ON, SHARED, unpickled
from .encoder_plans import packages_of, travelling_weights
from .member_training import MemberTask, train_member

__all__ = ["train_elsewhere"]

_PATIENCE = 3600.0  # seconds that a worker waits for another one that still trains the same encoder
_SEEN_WITHIN = 60.0  # seconds after which a network file system shows what another machine wrote


def train_elsewhere(
    tasks: Sequence[MemberTask], executor: Executor, threads: int, progress: Progress
) -> None:
    """Train encoders on workers, which keep the networks in their files; tasks are handed over in their order.

    Args:
        tasks: one per encoder.
        executor: of `executor.hand_out`. It is never shut down.
        threads: of torch in each training: on a CPU their number decides the bits.
        progress: is told of the encoders that are done, and of their epochs in words.

    Raises:
        LymphofeatError, OSError: as `train_member`; the other encoders keep their last checkpoints.
        CacheError: the executor is gone, or workers ended twice on the same task; a worker has other versions, does not
            see the files of this process, or writes where this process does not see it.
    """
    check_executor(executor)
    kind = Kind[MemberTask](
        lambda task: (train_one, (_wanted(task), pickle.dumps((_travelling(task), threads)))),
        doing=lambda task: f"trained {task.name}",
        name=lambda task: f"to train {task.name}",
        error=CacheError,
        kept="Finished encoders and epochs are kept",
    )
    progress.start(f"training {counted(len(tasks), 'encoder')}", sum(task.images for task in tasks), "images")
    try:
        with closing(hand_out(executor, tasks, kind)) as found:
            for task, returned in found:
                trained: _Trained = answered(returned)
                _await(task.path, trained.by)
                remove_lock(task.path)
                for text in trained.epochs:
                    progress.note(f"{task.name}, {text}")
                progress.advance(task.images)
    finally:
        progress.stop()


@dataclass(frozen=True)
class _Trained:
    """What a worker says of an encoder that it trained, or found trained.

    Attributes:
        by: the worker.
        epochs: in words, those that it trained itself.
    """

    by: str
    epochs: tuple[str, ...]


def _wanted(task: MemberTask) -> dict[str, str]:
    return versions(packages_of(task.recipe.network.backbone))


def _travelling(task: MemberTask) -> MemberTask:
    """The task as a process in another folder understands it."""
    settings = replace(task.settings, weights=travelling_weights(task.settings.weights))
    return replace(task, settings=settings, path=task.path.absolute(), checkpoint=task.checkpoint.absolute())


def train_one(wanted: dict[str, str], payload: bytes, token: str) -> bytes:
    """Train an encoder in this process, whichever it is, unless another one has done it meanwhile.

    Args:
        wanted: versions of the process that handed the task over.
        payload: the pickled task and its number of threads.
        token: makes the call unlike every other.

    Returns:
        What `answered` takes: a `_Trained`.
    """

    def train() -> _Trained:
        check_versions(wanted, CacheError, GOES_ON)
        task, threads = unpickled(payload)
        if not task.path.parent.is_dir():
            raise CacheError(f"The worker on {host()} has no folder {task.path.parent}; {SHARED}. {GOES_ON}")
        disable_malloc_trim()
        said = _Epochs()
        with locked(task.path, CacheError, doing="being trained", patience=_PATIENCE), torch_threads(threads):
            if not (task.path.exists() and trained_about(task.path).get("key") == task.key):
                try:
                    train_member(task, said)
                except WeightsError as error:
                    raise WeightsError(
                        f"The worker on {host()} cannot train {task.name}: {error} {GOES_ON}"
                    ) from error
        return _Trained(host(), tuple(said.texts))

    return answer(train)


class _Epochs(Silent):
    """Keeps what is said of each epoch."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def _await(path: Path, by: str) -> None:
    """Wait until this process sees the file that a worker wrote: a network file system may take a while.

    Raises:
        CacheError: it does not come.
    """
    end = time.monotonic() + _SEEN_WITHIN
    while not any(
        found.name == path.name for found in path.parent.iterdir()
    ):  # a new list, not a kept answer
        if time.monotonic() > end:
            raise CacheError(
                f"The worker on {by} wrote {path}, and this process does not find it; {SHARED}. {GOES_ON}"
            )
        time.sleep(1)
