"""What tells one cohort from another: digests of the image files, and one fingerprint of the whole."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..parallel import thread_pool, usable_cores
from ..progress import Progress, Silent
from .model import Cohort

__all__ = ["bags_digest", "cohort_fingerprint", "digest", "image_digests", "image_sizes"]

_CHUNK = 64  # files a task: fewer hand-overs between threads than files


def digest(content: bytes) -> str:
    """BLAKE2b of `content`, 128 bits, as 32 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def image_digests(
    paths: Sequence[Path], progress: Progress | None = None, *, workers: int | None = None
) -> list[str]:
    """`digest` of each file's bytes, in the order of `paths`.

    Args:
        paths: image files; they are read, not decoded.
        progress: told of each file, from the calling thread.
        workers: threads; one per usable core unless given.

    Raises:
        InputError: a file that cannot be read.
    """
    progress = progress or Silent()
    chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
    digests: list[str] = []
    progress.start("reading files", len(paths), "image")
    try:
        for part in _in_threads(chunks, workers or usable_cores()):
            digests += part
            progress.advance(len(part))
    finally:
        progress.stop()
    return digests


def _in_threads(chunks: Sequence[Sequence[Path]], workers: int) -> Iterator[list[str]]:
    with thread_pool(workers) as pool:
        yield from pool.map(lambda chunk: [_file_digest(path) for path in chunk], chunks)


def _file_digest(path: Path) -> str:
    try:
        return digest(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); restore the file.") from error


def image_sizes(paths: Sequence[Path]) -> NDArray[np.int64]:
    """(n,) sizes of the files, in bytes.

    Raises:
        InputError: a file that is not there.
    """
    try:
        return np.array([path.stat().st_size for path in paths], dtype=np.int64)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}); restore the file.") from error


def cohort_fingerprint(cohort: Cohort, digests: Sequence[str]) -> str:
    """SHA-256 over the patients (id, split, label) in order and their images (name, digest) in order.

    A name is the path in the patient's folder, see `Patient.image_names`. Clinical values and the folder's place are
    not part of it: features do not depend on them.

    Args:
        cohort: the cohort.
        digests: one per image of `cohort.images`, in that order.

    Returns:
        64 hexadecimal digits.

    Raises:
        ValueError: another number of digests than images.
    """
    if len(digests) != len(cohort.images):
        raise ValueError(f"{len(digests)} digests for {len(cohort.images)} images")
    sha = hashlib.sha256()
    remaining = iter(digests)
    for patient in cohort.patients:
        images = [(name, next(remaining)) for name in patient.image_names]
        sha.update(json.dumps([patient.id, patient.split, patient.label, images]).encode() + b"\n")
    return sha.hexdigest()


def bags_digest(patients: Iterable[tuple[str, int, Iterable[bytes]]]) -> str:
    """Hex digest of who is in a cohort, whatever the IDs and the order: pseudonyms change neither.

    Args:
        patients: part ("train" or "test"), label and the digests of the images' bytes of each.
    """
    each = []
    for split, label, images in patients:
        state = hashlib.blake2b(f"{split} {label}\n".encode(), digest_size=16)
        state.update(b"".join(sorted(images)))
        each.append(state.digest())
    return hashlib.blake2b(b"".join(sorted(each)), digest_size=16).hexdigest()
