"""What the public functions take for a path."""

import os

__all__ = ["AnyPath"]

AnyPath = str | os.PathLike[str]
