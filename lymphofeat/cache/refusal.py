"""Why a path cannot be opened as a cache: one sentence and one way out for each cause."""

from pathlib import Path

from ..storage.kinds import inspect_path
from ..storage.locks import held_by_another

__all__ = ["damaged", "incomplete", "why_no_cache"]


def why_no_cache(path: Path, cause: str) -> str:
    """A sentence on why a path cannot be opened as a cache, and the way out that fits.

    Args:
        path: what was given.
        cause: what HDF5 says.
    """
    kind = inspect_path(path)
    match kind.name:
        case "missing":
            link = f" is {kind.phrase}" if path.is_symlink() else ": no such cache"
            return f"{path}{link}; make it with `lymphofeat extract COHORT --cache {path}`."
        case "folder" | "bundle":
            inside = sorted(p.name for p in path.glob("*.h5"))
            there = f"it holds {', '.join(inside[:3])}" if inside else "a cache in it would be features.h5"
            name = path / (inside[0] if inside else "features.h5")
            return f"{path} is {kind.phrase}, not a cache; {there}: name the file, as --cache {name}."
        case "locked":
            return held_by_another(path)
        case "no-locks":
            return (
                f"{path} is on a file system without locks, which HDF5 asks for ({kind.cause}); set the variable "
                "HDF5_USE_FILE_LOCKING=FALSE and run the command again."
            )
        case "unreadable":
            return f"{path} cannot be read ({kind.cause}); check its permissions and the disk."
        case "damaged-hdf5":
            return damaged(path, kind.cause)
        case "cache":  # by now; or a fault that a second look does not show
            return f"{path} could not be opened ({cause}); run the command again."
        case _:
            return f"{path} is no cache: it is {kind.phrase}; name another --cache."


def incomplete(path: Path, encoding: str) -> str:
    """A sentence on a file with an encoding that is not whole."""
    what = f"encoding {encoding} is not complete"
    if path.suffix != ".partial":  # a cache gets whole ones only
        return damaged(path, what)
    return (
        f"{path}: {what}; give the `lymphofeat extract` command that began it again, which goes on with it."
    )


def damaged(path: Path, cause: object) -> str:
    """A sentence on a file of this program that is damaged."""
    return (
        f"{path} is a damaged HDF5 file ({cause}); put a good copy in its place, or move it away and run `lymphofeat "
        "extract` again."
    )
