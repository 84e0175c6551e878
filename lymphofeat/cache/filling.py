"""The missing blocks of an encoding under way: decoded, encoded and written as they come."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial as partial_of
from pathlib import Path

import numpy as np

from ..cohort.model import Cohort
from ..cohort.problems import counted
from ..encoder.frozen import Block, BlockEncoder, Read, encode_blocks
from ..encoder.pixels import read_block
from ..progress import Progress
from ..training.pixel_store import PixelStore
from .elsewhere import Elsewhere, Unit
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
    encoder: BlockEncoder | Elsewhere,
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
        cohort, encoder, workers, progress, pixels: with what; workers of an executor make the encoder for themselves.
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
    read = pixels.centre if pixels is not None else read or partial_of(read_block, bits=bits_of(partial.spec))
    progress.start("encoding", total, "images", partial.n_done)
    start = time.perf_counter()
    sink = _sink(partial, write or partial.write, progress)
    try:
        if isinstance(encoder, Elsewhere):
            _fill_elsewhere(partial, images, encoder, sink, read, stored=pixels is not None)
        else:
            blocks: list[Block] = [
                (b, [images[row] for row in partial.rows(b).tolist()] if pixels is None else partial.rows(b))
                for b in partial.pending
            ]
            encode_blocks(encoder, blocks, sink, workers=workers, read=read)
    finally:
        progress.stop()
        partial.flush()
    return time.perf_counter() - start


def _fill_elsewhere(
    partial: PartialEncoding,
    images: Sequence[Path],
    elsewhere: Elsewhere,
    sink: Callable[[int, np.ndarray], None],
    read: Read,
    *,
    stored: bool,
) -> None:
    digests = partial.tables.images_at()[2]

    def unit(number: int) -> Unit:
        rows = partial.rows(number)
        return number, rows if stored else [(images[row].absolute(), digests[row]) for row in rows.tolist()]

    with closing(elsewhere.encode(map(unit, partial.pending), read)) as found:
        for encoded in found:
            partial.computed_with(encoded.computed_with)
            sink(encoded.unit, encoded.features)


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
