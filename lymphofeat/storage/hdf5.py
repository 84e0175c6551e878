"""HDF5 files opened for reading, on file systems with and without locks."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from .locks import NO_LOCKS

if TYPE_CHECKING:
    import h5py

__all__ = ["error_number", "no_locks", "open_to_read"]


def open_to_read(path: Path) -> "h5py.File":
    """Open a file for reading; without HDF5's lock where the file system has none.

    That is safe with files of this program, which are written beside their place and never changed in it: what a reader
    has open stays as it is.

    Raises:
        OSError: it is not there, not HDF5, damaged, or locked by another program.
    """
    import h5py  # here, since it takes its time

    try:
        return h5py.File(path, "r")
    except OSError as error:
        if not no_locks(error):
            raise
        return h5py.File(path, "r", locking=False)


def no_locks(error: OSError) -> bool:
    """Whether the error says that the file system has no locks."""
    return error_number(error) in NO_LOCKS


def error_number(error: OSError) -> int | None:
    """The system's number of an error; h5py puts it into the text only."""
    found = re.search(r"errno = (\d+)", str(error))
    return int(found[1]) if found else error.errno
