"""Images of new patients under the encoders of a bundle."""

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from ..cache.bags import Bags
from ..cohort.decoding import bit_depth
from ..cohort.model import Patient
from ..encoder.frozen import Block, BlockEncoder, encode_blocks
from ..encoder.morphology.features import MORPHOLOGY
from ..errors import InputError
from ..progress import Progress
from .encoders import EncoderRecord
from .measured import imputed, least_side, reader_of
from .patients import check_images

__all__ = ["encoded_bags"]


def encoded_bags(
    patients: Sequence[Patient],
    records: Sequence[EncoderRecord],
    encoder: Callable[[int], BlockEncoder],
    workers: int | None,
    progress: Progress,
) -> list[Bags]:
    """Per encoder, the patients' bags.

    Args:
        patients: with their images.
        records: of the encoders.
        encoder: makes the one of a number; called when it is needed.
        workers: threads that read images.
        progress: told of every image.

    Raises:
        InputError: images that cannot be encoded; all of them are named.
    """
    lengths = np.array([len(p.images) for p in patients], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    images = [image for patient in patients for image in patient.images]
    found = bit_depth(images)
    progress.start("encoding", len(images) * len(records), "images")
    try:
        encoded = [
            _encoded(encoder(number), patients, record, record.bits or found, workers, progress)
            for number, record in enumerate(records)
        ]
    except InputError:
        check_images(patients, max(map(least_side, records)))  # all of them at once
        raise
    finally:
        progress.stop()
    return [Bags(features, starts, lengths) for features in encoded]


def _encoded(
    encoder: BlockEncoder,
    patients: Sequence[Patient],
    record: EncoderRecord,
    bits: int,
    workers: int | None,
    progress: Progress,
) -> NDArray[np.float32]:
    """(n_images, D) features."""
    images = [image for patient in patients for image in patient.images]
    size = record.block
    blocks: list[Block] = [(first, images[first : first + size]) for first in range(0, len(images), size)]
    parts: dict[int, NDArray[np.float32]] = {}
    lock = Lock()

    def sink(first: int, features: NDArray[np.float32]) -> None:
        with lock:
            parts[first] = features
            progress.advance(len(features))

    encode_blocks(encoder, blocks, sink, workers=workers, read=partial(reader_of(record), bits=bits))
    rows = np.concatenate([parts[first] for first, _ in blocks])
    return imputed(rows, patients, progress) if record.kind == MORPHOLOGY else rows
