"""What the program tells a user who can do something about it.

Every message is one sentence (or a list of them) that names the file and the row and says the way out.
The command line prints it and exits with 2; a library caller catches `LymphofeatError`, or the built-in
exception that each class also is.
"""

import re

_WITH_PASSWORD = re.compile(r"(postgres\w*(?:\+\w+)?:/{1,3}[^\s:/@]*):\S*@", re.IGNORECASE)
_IN_QUERY = re.compile(r"(postgres\S*[?&]\w*password=)[^\s&]+", re.IGNORECASE)


def printable(text: str) -> str:
    r"""Text with file names in it, fit to be written: a byte that is not UTF-8 becomes `\xe4`.

    Python holds such a byte of a file name as half a character, which no file and no terminal takes. Addresses of
    databases lose their passwords.
    """
    return without_passwords(text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


def without_passwords(text: str) -> str:
    """The text, with the passwords in addresses of PostgreSQL left out, whether the addresses can be read or not."""
    return _IN_QUERY.sub(r"\1…", _WITH_PASSWORD.sub(r"\1@", text))


class LymphofeatError(Exception):
    """Base of all errors that are the input's fault, not the program's."""

    def __str__(self) -> str:
        return printable(super().__str__())


class InputError(LymphofeatError, ValueError):
    """A cohort, a table, an image or an argument that cannot be worked with."""


class WeightsError(LymphofeatError, ValueError):
    """Encoder weights that are missing, unreadable, or of another network."""


class CacheError(LymphofeatError, ValueError):
    """A cache file that is missing, of another format, or not what is asked for."""


class StaleCacheError(CacheError):
    """A cache that was made from other images, labels or settings than those given now."""


class StudyError(LymphofeatError, ValueError):
    """A study that is missing or was made from something else than what is given now."""


class LeakageError(LymphofeatError, ValueError):
    """A fold would be scored with something that has seen the fold's labels. No flag turns this off."""


class BundleError(LymphofeatError, ValueError):
    """An exported model that is missing, damaged, changed, of another format, or cannot be made."""
