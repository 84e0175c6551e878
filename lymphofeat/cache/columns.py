"""Columns of one value per image: held as one array, or read from the cache's file when they are asked for.

A cohort of millions of images has as many names and digests. As Python texts they would fill the memory and take
seconds to read, so a cache leaves them where they are until somebody looks at some of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from ..errors import CacheError
from ..storage.hdf5 import open_to_read

__all__ = ["Digests", "ImageColumn", "InFile", "Names", "Sizes"]

_AT_ONCE = 1 << 16  # values that are decoded together
_DIGEST = 16  # bytes of a digest
T = TypeVar("T")


@dataclass(frozen=True)
class InFile:
    """Where a column lies.

    Attributes:
        path: the file.
        dataset: its name there.
        n: its length.
        images_key: the file's attribute when it was opened; a file with another one is of other images.
    """

    path: Path
    dataset: str
    n: int
    images_key: str

    def read(self, rows: slice) -> NDArray[Any]:
        """Some values as they are kept.

        Raises:
            CacheError: the file was written anew since it was opened.
        """
        with open_to_read(self.path) as file:
            if file.attrs.get("images_key") != self.images_key:
                raise CacheError(
                    f"{self.path} was written anew by another command meanwhile; run the command again."
                )
            return np.asarray(file[self.dataset][rows])


class ImageColumn(Sequence[T]):
    """A sequence of one value per image. Slices of it are lists.

    Args:
        values: all of them, as the kind of column keeps them; or where they lie in a file.
    """

    def __init__(self, values: "NDArray[Any] | InFile") -> None:
        self._values, self._n = values, values.n if isinstance(values, InFile) else len(values)

    def __len__(self) -> int:
        return self._n

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._n:,} images>"

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return self._decoded(self.array(index))
        number = range(self._n)[index]  # counted from the end, or too large
        return self._decoded(self.array(slice(number, number + 1)))[0]

    def __iter__(self) -> Iterator[T]:
        for start in range(0, self._n, _AT_ONCE):
            yield from self[start : start + _AT_ONCE]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ImageColumn):
            return type(self) is type(other) and np.array_equal(self.array(), other.array())
        return isinstance(other, Sequence) and len(other) == self._n and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def array(self, rows: slice = slice(None)) -> NDArray[Any]:
        """Some values as they are kept: bytes of UTF-8, (n, 16) uint8 of digests, or int64.

        Raises:
            CacheError: the file was written anew since it was opened.
        """
        return self._values.read(rows) if isinstance(self._values, InFile) else self._values[rows]

    def _decoded(self, values: NDArray[Any]) -> list[T]:
        raise NotImplementedError


class Names(ImageColumn[str]):
    """Names of images: (n,) bytes of UTF-8."""

    @classmethod
    def of(cls, names: Sequence[str]) -> "Names":
        return (
            names if isinstance(names, Names) else cls(np.array([n.encode() for n in names], dtype=np.bytes_))
        )

    def _decoded(self, values: NDArray[Any]) -> list[str]:
        return [bytes(value).decode() for value in values.tolist()]


class Digests(ImageColumn[str]):
    """Hex digests of the images' bytes: (n, 16) uint8; all zero, and "" as a text, where none is known."""

    @classmethod
    def of(cls, digests: Sequence[str]) -> "Digests":
        if isinstance(digests, Digests):
            return digests
        joined = b"".join(bytes.fromhex(digest) if digest else bytes(_DIGEST) for digest in digests)
        return cls(np.frombuffer(joined, np.uint8).reshape(-1, _DIGEST))

    def _decoded(self, values: NDArray[Any]) -> list[str]:
        return [row.tobytes().hex() if row.any() else "" for row in np.ascontiguousarray(values)]


class Sizes(ImageColumn[int]):
    """Bytes of the images' files: (n,) int64."""

    @classmethod
    def of(cls, sizes: Sequence[int]) -> "Sizes":
        return sizes if isinstance(sizes, Sizes) else cls(np.array(sizes, dtype=np.int64))

    def _decoded(self, values: NDArray[Any]) -> list[int]:
        found: list[int] = values.tolist()
        return found
