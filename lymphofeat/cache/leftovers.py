"""What killed runs left beside a cache: encodings that were begun, and temporary files."""

import glob
from collections.abc import Iterator
from pathlib import Path

from ..storage.atomic import leftovers
from ..storage.checked import FileDisk
from .data_file import DataFile
from .layout import DATA_GROUP, open_checked
from .refusal import whole

__all__ = ["partials", "remove_leftovers"]


def partials(cache: Path) -> Iterator[tuple[Path, int, int]]:
    """The encodings of this cache that were begun and not finished: file, blocks done, blocks in all."""
    for path in sorted(cache.parent.glob(f"{glob.escape(cache.name)}.*.partial")):
        with whole(path), open_checked(path) as file:
            if DATA_GROUP in file:
                data = DataFile.read(path, file[DATA_GROUP])
                with FileDisk.open(path) as disk:
                    written = data.blocks(disk).written()
                yield path, int(written.sum()), len(written)
                continue
            for group in file["encodings"].values():  # format 1
                yield path, int(group["done"][:].sum()), len(group["done"])


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove what killed runs left of the cache `name` and of its partial files, or, if `name` is "", of all files.

    Nobody else writes them while the cache's lock is held.
    """
    for path, target in leftovers(folder):
        if not name or target == name or (target.startswith(f"{name}.") and target.endswith(".partial")):
            path.unlink(missing_ok=True)
