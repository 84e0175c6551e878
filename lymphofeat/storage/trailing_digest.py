"""Files that end in a digest of themselves: whole files that nobody changes, whose formats have no checksum."""

import os
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

__all__ = ["append_digest", "digest_at_end", "has_right_digest", "with_digest"]

_MAGIC = b"LFSEAL01"
_DIGEST = 16
_BYTES = len(_MAGIC) + _DIGEST
_PIECE = 1 << 22


def with_digest(content: bytes) -> bytes:
    """The content and its digest, for formats whose readers pass over what follows (HDF5 is one)."""
    return content + _MAGIC + blake2b(content, digest_size=_DIGEST).digest()


def append_digest(path: Path) -> None:
    """Put a digest of a file at its end.

    Raises:
        OSError: it cannot be read or written.
    """
    with path.open("rb+") as file:
        digest = _digest(file, file.seek(0, os.SEEK_END))
        file.write(_MAGIC + digest)


def has_right_digest(path: Path) -> bool | None:
    """Whether a file is as it was when its digest was put at its end; None: there is none.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END) - _BYTES
        if size < 0:
            return None
        file.seek(size)
        end = file.read()
        if not end.startswith(_MAGIC):
            return None
        return _digest(file, size) == end[len(_MAGIC) :]


def digest_at_end(path: Path) -> bytes | None:
    """The digest that was put at a file's end, without reading the rest of it; None: there is none.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _BYTES, 0))
        end = file.read()
    return end[len(_MAGIC) :] if end.startswith(_MAGIC) else None


def _digest(file: BinaryIO, size: int) -> bytes:
    """Of the first `size` bytes; the file then stands behind them."""
    state, left = blake2b(digest_size=_DIGEST), size
    file.seek(0)
    while left and (piece := file.read(min(_PIECE, left))):
        state.update(piece)
        left -= len(piece)
    return state.digest()
