"""Space on a disk, taken before the work that will fill it."""

import errno
import os

__all__ = ["reserve"]


def reserve(descriptor: int, size: int) -> None:
    """Make a file at least so many bytes long, with all of them allocated, where the file system can.

    Raises:
        OSError: there is not so much room.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot reserve
                raise
