"""One malformed input: how it is made, the command that gets it, and what is said."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["DEEP", "PICKLE", "Malformed", "text", "zip_of_zeros"]


class Malformed(NamedTuple):
    """A command in a folder with a cohort, a cache, a study, a model and features, of which something is spoilt."""

    name: str
    command: tuple[str, ...]
    make: Callable[[Path], object]
    said: str  # a part of the sentence


class _Runs:
    """Unpacked, it makes the folder PWNED in the working folder."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("PWNED",)


PICKLE = pickle.dumps({"weight": _Runs()})
DEEP = "[" * 200_000  # nested so deep that parsers that call themselves give up


def text(name: str, content: str | bytes) -> Callable[[Path], object]:
    """Makes a file, and its folder if need be."""

    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return make


def zip_of_zeros(name: str, size: int, content: dict[str, bytes] | None = None) -> bytes:
    """A ZIP archive of which a file is so many bytes long by the archive's table, and a few kB when it is packed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, held in (content or {}).items():
            archive.writestr(other, held)
        archive.writestr(name, bytes(min(size, 1 << 20)))
        archive.infolist()[-1].file_size = size
    return packed.getvalue()
