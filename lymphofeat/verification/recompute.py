"""Features computed again from image files, by the encoder that a cache names."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..bundle.encoders import EncoderRecord, WhereWeights, find_network, rebuild, record_of
from ..bundle.measured import reader_of
from ..cache.encoding import Encoding
from ..cache.reader import Cache
from ..cache.roles import is_imported, is_morphology
from ..cohort.problems import counted
from ..encoder.frozen import BlockEncoder, encode_blocks
from ..encoder.morphology.encoder import split_flag
from ..encoder.morphology.quality import NO_NUCLEUS
from ..errors import BundleError, LymphofeatError
from ..progress import Progress
from ..storage.arrays import save_tensors
from .findings import Findings

__all__ = ["Recomputation", "sample_images"]

# Of the length of a row's vector. Other devices, batches and versions of libraries round otherwise.
_TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2, "float16": 3e-2}


class Recomputation:
    """The encoder of an encoding, at work again on the CPU.

    Raises:
        LymphofeatError: it cannot be had: other weights, no file, another toolkit's.
    """

    def __init__(self, cache: Cache, encoding: Encoding) -> None:
        if is_imported(encoding):
            raise BundleError(f"the features of {encoding.name} were computed by another toolkit.")
        network = find_network(cache, encoding, WhereWeights())
        self.record: EncoderRecord = record_of(cache, encoding, network)
        content = None if network is None else save_tensors(network.state_dict())
        self._encoder: BlockEncoder = rebuild(self.record, content, cache.path, torch.device("cpu"))
        self._flagged = is_morphology(encoding)

    def __call__(
        self, images: Sequence[Path], progress: Progress
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
        """(n, D) float32 features of image files, block by block, and (n,) uint8 quality of measured cells, else None.

        Features of measured cells without a nucleus are NaN.

        Raises:
            InputError: an image cannot be decoded.
        """
        size, found = self.record.block, dict[int, NDArray[np.float32]]()
        blocks = [(start, images[start : start + size]) for start in range(0, len(images), size)]

        def keep(start: int, rows: NDArray[np.float32]) -> None:
            found[start] = rows
            progress.advance(len(rows))

        read = partial(reader_of(self.record), bits=self.record.bits or 16)
        encode_blocks(self._encoder, blocks, keep, read=read)
        rows = np.concatenate([found[start] for start, _ in blocks])
        return split_flag(rows) if self._flagged else (rows, None)


def sample_images(cache: Cache, paths: Mapping[str, Path], n: int, findings: Findings) -> None:
    """Compute some images of each encoding again and compare.

    Args:
        cache: the cache.
        paths: by digest, the files of images that are as the cache knows them.
        n: images an encoding, chosen by the same random numbers each time.
        findings: are added to.
    """
    digests = list(cache.tables.digests)
    there = np.array([row for row, digest in enumerate(digests) if digest in paths], dtype=np.int64)
    if not len(there):
        findings.unchecked.append("No image was computed again, since none is there.")
        return
    rows = np.sort(np.random.default_rng(0).choice(there, min(n, len(there)), replace=False))
    images = [paths[digests[row]] for row in rows]
    for encoding in cache.encodings.values():
        _compare(cache, encoding, rows, images, findings)
    for name in cache.stale:
        findings.unchecked.append(f"{name} was not computed again: it is not of the cohort as it is now.")


def _compare(
    cache: Cache, encoding: Encoding, rows: NDArray[np.int64], images: Sequence[Path], findings: Findings
) -> None:
    try:
        compute = Recomputation(cache, encoding)
        findings.progress.start(f"computing {encoding.name} again", len(images), "image")
        try:
            features, quality = compute(images, findings.progress)
        finally:
            findings.progress.stop()
    except (LymphofeatError, OSError) as error:
        findings.unchecked.append(f"{encoding.name} was not computed again: {error}")
        return
    kept = encoding.features[rows]
    measured = np.ones(len(rows), dtype=bool)
    differing = np.zeros(len(rows), dtype=bool)
    if quality is not None and encoding.quality is not None:
        differing = quality != encoding.quality[rows]
        measured = (quality != NO_NUCLEUS) & ~differing  # the others have values of other cells
    equal = (features == kept).all(axis=1) | ~measured
    away = np.linalg.norm(features - kept, axis=1) / np.maximum(np.linalg.norm(kept, axis=1), 1e-12)
    differing |= measured & ~(away <= _TOLERANCE[compute.record.dtype])
    for row, image in zip(rows[differing].tolist(), np.array(images, dtype=object)[differing], strict=True):
        findings.fault(
            cache.path,
            f"{encoding.name}: image {row} ({image}) has other features than its encoder computes now",
            "restore a good copy, or give `lymphofeat extract` its options again with --force",
        )
    if not differing.any():
        exactly = (
            "bit by bit"
            if equal.all()
            else f"{int(equal.sum())} of them bit by bit, the others up to rounding"
        )
        findings.checked.append(
            f"{encoding.name}: {counted(len(rows), 'image')} computed again, equal {exactly}"
        )
