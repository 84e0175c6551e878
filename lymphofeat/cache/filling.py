"""The missing blocks of an encoding under way: decoded, encoded and written as they come."""

import threading
import time
from collections.abc import Callable
from functools import partial as partial_of

import numpy as np

from ..cohort.model import Cohort
from ..cohort.problems import counted
from ..encoder.frozen import Block, BlockEncoder, Read, encode_blocks
from ..encoder.pixels import read_block
from ..progress import Progress
from ..training.pixel_store import PixelStore
from .partial import PartialEncoding
from .spec import EncodingSpec

__all__ = ["Write", "bits_of", "fill", "whole_seconds"]

_FLUSH_EVERY = 30.0  # seconds of work that a power cut may cost
Write = Callable[[int, np.ndarray], None]  # a block's number, and what the encoder made of it


def bits_of(spec: EncodingSpec) -> int:
    """How many bits of 16-bit images an encoding uses; see `lymphofeat.cohort.decoding.bit_depth`."""
    return int(spec.about["preprocessing"].get("bits", 16))


def whole_seconds(seconds: float, n_before: int, n_images: int) -> float:
    """What an unbroken run would have taken, by the rate of this one; NaN if there was nothing left to do."""
    return seconds * n_images / (n_images - n_before) if n_before < n_images else float("nan")


def fill(
    partial: PartialEncoding,
    cohort: Cohort,
    encoder: BlockEncoder,
    workers: int | None,
    progress: Progress,
    pixels: PixelStore | None = None,
    *,
    read: Read | None = None,
    write: Write | None = None,
) -> float:
    """Encode the missing blocks, from the stored pixels where there are some; seconds it took.

    Args:
        partial: the encoding.
        cohort, encoder, workers, progress, pixels: with what.
        read: how a block's files become pixels, instead of by `read_block`.
        write: how a block's features are stored, instead of by `partial.write`.
    """
    images, total = cohort.images, partial.tables.n_images
    if partial.note:
        progress.note(f"{partial.note}.")
    if partial.n_known_before:
        progress.note(
            f"{partial.spec.name}: {counted(partial.n_known_before, 'image')} known, "
            f"{total - partial.n_done:,} new."
        )
    blocks: list[Block]
    if pixels is None:
        read = read or partial_of(read_block, bits=bits_of(partial.spec))
        blocks = [(b, [images[row] for row in partial.rows(b).tolist()]) for b in partial.pending]
    else:
        read = pixels.centre
        blocks = [(b, partial.rows(b)) for b in partial.pending]
    progress.start("encoding", total, "images", partial.n_done)
    start = time.perf_counter()
    try:
        encode_blocks(
            encoder, blocks, _sink(partial, write or partial.write, progress), workers=workers, read=read
        )
    finally:
        progress.stop()
        partial.flush()
    return time.perf_counter() - start


def _sink(partial: PartialEncoding, write: Write, progress: Progress) -> Callable[[int, np.ndarray], None]:
    lock, flushed = threading.Lock(), [time.monotonic()]

    def sink(block: int, features: np.ndarray) -> None:
        write(block, features)
        with lock:
            progress.advance(len(features))
            if time.monotonic() - flushed[0] > _FLUSH_EVERY:
                partial.flush()
                flushed[0] = time.monotonic()

    return sink
