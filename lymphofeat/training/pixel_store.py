"""Every image decoded once: the pixels that training reads, as one mapped file beside the cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..encoder.pixels import read_centre
from ..errors import InputError
from ..progress import Progress
from ..storage.blocks import RowPlan, StoredRows, open_rows

__all__ = ["PixelStore", "open_pixels"]

_BLOCK = 32  # images decoded and written together


@dataclass(frozen=True)
class PixelStore:
    """The centre of every image of a cohort, in the cohort's order.

    Attributes:
        side: pixels; the crop and the margin that augmentation needs around it.
        digest: hex digest of the image files' digests, in order.
        rows: the file.
    """

    side: int
    digest: str
    rows: StoredRows

    def __len__(self) -> int:
        return len(self.rows.array)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(N, side, side, 3) uint8 RGB, read-only, mapped from the file."""
        return self.rows.array

    def read(self, rows: NDArray[np.int64] | Tensor | Sequence[int] | range) -> Tensor:
        """A copy of some images, (len(rows), side, side, 3) uint8 on the CPU.

        Unlike indexing `pixels` for ever, this keeps the mapped part of the file, and so the process, small.

        Raises:
            IndexError: a row that is not there.
        """
        return torch.from_numpy(self.rows.take(np.asarray(rows, np.int64)))

    def centre(self, rows: NDArray[np.int64] | Sequence[int] | range, crop: int) -> Tensor:
        """The centre of some images, (len(rows), crop, crop, 3) uint8: what `read_block` gives of their files.

        Raises:
            IndexError: a row that is not there.
        """
        at = (self.side - crop) // 2
        return self.read(rows)[:, at : at + crop, at : at + crop]


def open_pixels(
    images: Sequence[Path],
    digests: Sequence[str],
    folder: Path,
    side: int,
    *,
    crop: int | None = None,
    bits: int = 16,
    workers: int | None = None,
    progress: Progress | None = None,
) -> PixelStore:
    """The pixel store of these images in `folder`, decoding first what is missing of it.

    The file is `pixels-<side>-<digest>.u8`; see `lymphofeat.storage.blocks` for how it survives a kill.

    Args:
        images: files, patients in order.
        digests: one hex digest of the bytes of each; they name the file, so that changed images make another.
        folder: where the cache lies.
        side: pixels; images smaller than that are padded by reflection.
        crop: the smallest image side that is accepted; by default half of `side`, what one reflection can fill.
        bits: how many of 16 bits a channel are used; see `lymphofeat.cohort.decoding.bit_depth`.
        workers: threads, by default one per core.
        progress: is told of images as they come.

    Raises:
        InputError: an image cannot be decoded or is smaller than `crop`; what was decoded until then is kept.
        CacheError: the disk is full, or the file does not read back as written.
        ValueError: another number of digests than images.
    """
    if len(digests) != len(images):
        raise ValueError(f"{len(digests)} digests for {len(images)} images")
    if not images:
        raise InputError("the cohort has no images, so there are no pixels to store.")
    least = crop if crop is not None else side // 2 + 1
    digest = blake2b("\n".join(digests).encode(), digest_size=16).hexdigest()
    depth = "" if bits == 16 else f"-{bits}bit"
    plan = RowPlan(
        folder / f"pixels-{side}-{digest[:16]}{depth}.u8", len(images), (side, side, 3), "uint8", _BLOCK
    )

    def decode(rows: range) -> NDArray[np.uint8]:
        return np.stack([read_centre(images[row], side, least, bits) for row in rows])

    stored = open_rows(plan, decode, what="decoding", unit="images", workers=workers, progress=progress)
    return PixelStore(side, digest, stored)
