"""What a file becomes in memory, asked before it is read: a small file may declare, or unpack to, any size."""

import io
import zipfile
from pathlib import Path

from ..parallel import available_memory

__all__ = ["fits_memory", "unpacked_size"]


def unpacked_size(archive: Path | bytes) -> int:
    """Bytes that all files of a ZIP archive have together when they are unpacked, by its table; 0 of any other file.

    Who unpacks reads no more than the table says.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive) if isinstance(archive, bytes) else archive) as found:
            return sum(one.file_size for one in found.infolist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return 0


def fits_memory(size: int) -> bool:
    """Whether there is room for so many bytes; True where the free memory is not known."""
    free = available_memory()
    return free is None or size <= free
