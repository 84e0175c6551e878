"""Share files: what tasks of an array have computed of an encoding, beside the cache that a last call puts it into.

A share file is a data file like a partial encoding, of the task's own images, which are found by the digests of their
bytes. Its name tells of which images it is, so that a cohort that changed makes another file, and whatever is still
true in the old one is taken from it.
"""

import glob
import re
from collections.abc import Iterator
from pathlib import Path

from ..array_tasks import ArrayTask, task_label
from ..encoder.identity import difference
from ..errors import StaleCacheError
from ..storage.atomic import leftovers
from .data_file import DataFile
from .layout import DATA_GROUP, open_checked
from .refusal import whole
from .source import RowSource, source_of
from .spec import EncodingSpec
from .tables import CohortTables

__all__ = [
    "TRAINING",
    "is_share",
    "remove_shares",
    "share_files",
    "share_path",
    "share_sources",
    "task_place",
    "tasks_begun",
]

SUFFIX = ".share"
TRAINING = "_training"  # the label of tasks that train encoders; no encoding is called so
_TASK = r"task-\d+-of-\d+"


def task_place(cache: Path, label: str, task: ArrayTask) -> Path:
    """What a task locks while it works on `label`, an encoding."""
    return cache.with_name(f"{cache.name}.{label}.{task_label(task)}")


def share_path(cache: Path, name: str, task: ArrayTask, tables: CohortTables) -> Path:
    """Where a task puts its share of the encoding `name`, of the images of `tables`."""
    place = task_place(cache, name, task)
    return place.with_name(f"{place.name}.{tables.images_key[:8]}{SUFFIX}")


def share_files(cache: Path, name: str) -> list[Path]:
    """All share files of an encoding."""
    ending = re.compile(rf"\.{_TASK}\.[0-9a-f]{{8}}{re.escape(SUFFIX)}")
    found = cache.parent.glob(f"{glob.escape(f'{cache.name}.{name}')}.task-*{SUFFIX}")
    return sorted(path for path in found if ending.fullmatch(path.name.removeprefix(f"{cache.name}.{name}")))


def is_share(name: str, cache: Path) -> bool:
    """Whether a file of that name is a share file of the cache."""
    return name.startswith(f"{cache.name}.") and name.endswith(SUFFIX)


def tasks_begun(cache: Path, label: str) -> list[Path]:
    """What tasks that were at work on `label` at any time have locked; see `task_place`."""
    name = re.compile(rf"\.({re.escape(f'{cache.name}.{label}')}\.{_TASK})\.lock")
    found = (name.fullmatch(path.name) for path in cache.parent.glob(".*.lock"))
    return sorted(cache.with_name(match[1]) for match in found if match)


def share_sources(
    cache: Path, spec: EncodingSpec, network: str, *, without: Path | None = None
) -> Iterator[RowSource]:
    """The rows that share files hold of an encoding; each block is read once, to see whether it is as it was written.

    Args:
        cache: the cache.
        spec: of the encoding.
        network: digest of the trained network that computes it; rows of another one are not taken.
        without: a share file that is left out.

    Raises:
        StaleCacheError: a share was made with other settings.
        CacheError: a share file is damaged.
    """
    for path in share_files(cache, spec.name):
        if path == without:
            continue
        with whole(path), open_checked(path) as file:
            found = DataFile.read(path, file[DATA_GROUP])
        if differing := difference(found.spec.lasting, spec.lasting):
            raise StaleCacheError(
                f"{path} was made by a task with other settings ({differing}); give the settings of that task, or "
                "remove the file."
            )
        if found.network == network:
            yield source_of(found)


def remove_shares(cache: Path, name: str) -> None:
    """Remove what tasks left of an encoding that is in the cache now; the tasks' locks are held."""
    of_encoding = cache.with_name(f"{cache.name}.{name}")
    begun = [path for path, target in leftovers(cache.parent) if is_share(target, of_encoding)]
    for path in [*share_files(cache, name), *begun]:
        path.unlink(missing_ok=True)
