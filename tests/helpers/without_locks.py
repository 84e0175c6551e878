"""A process whose system refuses locks of files, as a network file system without them does: `python -m` it.

    python -m tests.helpers.without_locks COMMAND …    runs a command of lymphofeat where flock and fcntl say ENOLCK

Linux on x86-64 and arm64 only: a filter of system calls (seccomp) stands in for the file system.
"""

import ctypes
import errno
import fcntl
import platform
import struct
import sys

# Numbers of flock and fcntl, and the architecture as audit names it.
_SYSTEMS = {"x86_64": (73, 72, 0xC000003E), "aarch64": (32, 25, 0xC00000B7)}
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2

available = sys.platform == "linux" and platform.machine() in _SYSTEMS


class _Program(ctypes.Structure):
    _fields_ = (("n", ctypes.c_ushort), ("code", ctypes.c_char_p))


def refuse_locks() -> None:
    """From now on, flock and the locks of fcntl fail with ENOLCK in this process and its children."""
    flock, own_fcntl, architecture = _SYSTEMS[platform.machine()]
    refused = _ERRNO | errno.ENOLCK
    lines = [
        (_LOAD, 0, 0, 4),  # the architecture
        (_EQUAL, 0, 8, architecture),
        (_LOAD, 0, 0, 0),  # the call
        (_EQUAL, 5, 0, flock),
        (_EQUAL, 0, 5, own_fcntl),
        (_LOAD, 0, 0, 24),  # the lower half of its second argument
        (_EQUAL, 2, 0, fcntl.F_SETLK),
        (_EQUAL, 1, 0, fcntl.F_SETLKW),
        (_EQUAL, 0, 1, 37),  # F_OFD_SETLK
        (_RETURN, 0, 0, refused),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *line) for line in lines)
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(lines), code)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SECCOMP, _FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "no filter of system calls")


if __name__ == "__main__":
    refuse_locks()
    from lymphofeat.cli import main

    sys.argv = ["lymphofeat", *sys.argv[1:]]
    main()
