"""Images encoded on any executor: workers read them by their paths, the process that was started writes the cache.

A task is a unit of a partial encoding, or on an accelerator some of them, so that images are decoded while others are
encoded. A worker keeps its encoder from task to task.
"""

import pickle
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..cohort.fingerprint import digest
from ..cohort.problems import counted
from ..encoder.frozen import BlockEncoder, Read, computed_with, encode_blocks
from ..errors import CacheError, InputError, LymphofeatError
from ..executor import (
    Kind,
    answer,
    answered,
    check_executor,
    check_versions,
    going_on,
    hand_out,
    host,
    versions,
)
from ..parallel import disable_malloc_trim, torch_threads
from .encoder_plans import EncoderPlan

__all__ = ["GOES_ON", "SHARED", "Elsewhere", "EncodedUnit", "Unit", "unpickled"]

_KEPT = "The features and encoders that are finished are kept"
GOES_ON = going_on(_KEPT)
SHARED = "workers read it by this path, so put it on a file system that all machines share"
_TOGETHER = 16  # units of a task on an accelerator

Images = list[tuple[Path, str]] | NDArray[np.int64]  # files with their digests, or rows of the stored pixels
Unit = tuple[int, Images]


@dataclass(frozen=True)
class EncodedUnit:
    """What a worker made of a unit.

    Attributes:
        unit: its number.
        features: (n, D) float32.
        computed_with: the worker's device and versions.
    """

    unit: int
    features: NDArray[np.float32]
    computed_with: Mapping[str, str]


@dataclass(frozen=True)
class Elsewhere:
    """An executor's workers, each of which makes the encoder for itself.

    Attributes:
        executor: of `executor.hand_out`. It is never shut down.
        plan: the encoder's.
    """

    executor: Executor
    plan: EncoderPlan

    def encode(self, units: Iterable[Unit], read: Read) -> Generator[EncodedUnit, None, None]:
        """Encode units, in any order; tasks under way are cancelled when the iterator is closed.

        Args:
            units: taken from as places become free.
            read: gives the pixels of a unit's images, and travels.

        Raises:
            InputError: an image cannot be decoded, is another one on a worker, or `executor` is none.
            WeightsError: a worker cannot have the weights.
            CacheError: the executor is gone, or workers ended twice on the same task; a worker has other versions.
        """
        check_executor(self.executor)
        wanted, how = versions(self.plan.packages), pickle.dumps((self.plan, read))
        tasks = _in_groups(units, 1 if self.plan.device == "cpu" else _TOGETHER)
        kind = Kind[list[Unit]](
            lambda group: (encode_units, (wanted, how, pickle.dumps(group))),
            doing=lambda group: f"encoded {_images_in(group)}",
            name=lambda group: f"to encode {_images_in(group)}",
            error=CacheError,
            kept=_KEPT,
        )
        with closing(hand_out(self.executor, tasks, kind)) as found:
            for _, returned in found:
                yield from answered(returned)


def _in_groups(units: Iterable[Unit], size: int) -> Iterator[list[Unit]]:
    left = iter(units)
    while group := list(islice(left, size)):
        yield group


def _images_in(group: list[Unit]) -> str:
    return counted(sum(len(images) for _, images in group), "image")


class _Worker:
    """Of this process, as a worker.

    Attributes:
        lock: held while an encoder is made.
        how: what `encoder` and `read` were made from.
        encoder, read: of the last task.
    """

    lock = threading.Lock()
    how = b""
    encoder: BlockEncoder | None = None
    read: Read | None = None


def encode_units(wanted: dict[str, str], how: bytes, work: bytes, token: str) -> bytes:
    """Encode some units in this process, whichever it is.

    Args:
        wanted: versions of the process that handed the task over.
        how: the pickled plan of the encoder, and how images are read.
        work: the pickled units.
        token: makes the call unlike every other.

    Returns:
        What `answered` takes: a list of `EncodedUnit`.
    """

    def encode() -> list[EncodedUnit]:
        # Before anything is unpickled, whose classes may have changed.
        check_versions(wanted, CacheError, GOES_ON)
        disable_malloc_trim()
        encoder, read = _opened(how)
        units: list[Unit] = pickle.loads(work)
        made_with, features = computed_with(encoder.device), dict[int, NDArray[np.float32]]()
        if encoder.device.type == "cpu":
            with torch_threads(1):  # as each thread of `encode_blocks` has
                for unit, images in units:
                    features[unit] = encoder(read(images, encoder.preprocessing.crop))
        else:
            encode_blocks(encoder, units, features.__setitem__, read=read)
        return [EncodedUnit(unit, features[unit], made_with) for unit, _ in units]

    return answer(encode)


def _opened(how: bytes) -> tuple[BlockEncoder, Read]:
    with _Worker.lock:
        if _Worker.how != how or _Worker.encoder is None or _Worker.read is None:
            plan, read = unpickled(how)
            try:
                _Worker.encoder = plan.open()
            except LymphofeatError as error:
                raise type(error)(
                    f"The worker on {host()} cannot make the encoder: {error} {GOES_ON}"
                ) from error
            _Worker.read, _Worker.how = _Checked(read), how
        return _Worker.encoder, _Worker.read


def unpickled(content: bytes) -> Any:
    """What travelled; files that it names are opened.

    Raises:
        CacheError: one is not there.
    """
    try:
        return pickle.loads(content)
    except OSError as error:
        raise CacheError(
            f"The worker on {host()} cannot read {error.filename} ({error.strerror}); {SHARED}. {GOES_ON}"
        ) from error


@dataclass(frozen=True)
class _Checked:
    """Reads images after a look whether they are those that are meant."""

    read: Read

    def __call__(self, images: Images, crop: int) -> Tensor:
        if isinstance(images, np.ndarray):  # the stored pixels have checksums
            return self.read(images, crop)
        for path, wanted in images:
            try:
                content = path.read_bytes()
            except OSError as error:
                raise InputError(
                    f"The worker on {host()} cannot read {path} ({error.strerror}); {SHARED}. {GOES_ON}"
                ) from error
            if digest(content) != wanted:
                raise InputError(
                    f"The worker on {host()} finds another image at {path} than this process; {SHARED}. {GOES_ON}"
                )
        return self.read([path for path, _ in images], crop)
