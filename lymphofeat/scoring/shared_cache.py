"""The cache as workers of an executor see it: by its path, and the same file as where the tasks come from."""

from dataclasses import dataclass
from pathlib import Path

from ..cache.reader import Cache, open_cache
from ..errors import CacheError
from ..executor import error_text, host
from ..storage.trailing_digest import digest_at_end

__all__ = ["COMPUTE", "SharedCache"]

COMPUTE = (
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "xgboost",
)  # whose versions decide the last bits of a score


@dataclass(frozen=True)
class SharedCache:
    """A cache's file, named so that another process can tell whether it finds the same.

    Attributes:
        path: absolute.
        contents: what tells the file from others of its name.
    """

    path: Path
    contents: str

    @classmethod
    def of(cls, path: Path) -> "SharedCache":
        """The file as this process finds it."""
        return cls(path.absolute(), _contents(path))

    def open(self, goes_on: str) -> Cache:
        """Open it in this process, which is a worker.

        Args:
            goes_on: what sentences end with.

        Raises:
            CacheError: it is not there, or another file is.
        """
        try:
            contents = _contents(self.path)
            cache = open_cache(self.path)
        except (CacheError, OSError) as error:
            raise CacheError(
                f"The worker on {host()} cannot read the cache {self.path}: {error_text(error)} Workers read it by "
                f"this path, so put it on a file system that all machines share. {goes_on}"
            ) from error
        if contents != self.contents:
            raise CacheError(
                f"The worker on {host()} finds another file at {self.path} than this process; put the cache on a file "
                f"system that all machines share. {goes_on}"
            )
        return cache


def _contents(path: Path) -> str:
    """Differs between any two caches with a digest at their end, otherwise between those of different sizes."""
    digest = digest_at_end(path)
    return str(path.stat().st_size) if digest is None else digest.hex()
