"""What a cache keeps on the disk, in its folder and beside it, and which of it can be made again."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import CacheError, InputError
from ..storage.atomic import leftovers
from ..storage.locks import locked
from ..storage.paths import AnyPath
from .layout import data_folder
from .shares import is_share
from .trainings import encoders_folder

__all__ = ["REMOVABLE", "DiskItem", "Kind", "clean", "disk_use"]

Kind = Literal[
    "cache", "pixels", "activations", "leftovers", "locks", "unfinished", "encoders", "studies"
]  # fmt: skip
# What `clean` removes unasked: all of it is made again from the images by the command that needs it.
REMOVABLE: tuple[Kind, ...] = ("pixels", "activations", "leftovers", "locks")
_STORES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("pixels", re.compile(r"pixels-\d+-[0-9a-f]{16}(-\d+bit)?\.u8")),
    ("activations", re.compile(r"activations-[0-9a-f]+\.bf16")),
)
_LOCK = re.compile(r"\.(.+)\.lock", re.DOTALL)


@dataclass(frozen=True)
class DiskItem:
    """A file or a folder.

    Attributes:
        path: where it is.
        kind: what it is: the cache; stored pixels; stored activations; temporary files of killed runs; lock files;
            encodings, stores and trainings that are not finished; trained encoders; studies.
        size: bytes.
    """

    path: Path
    kind: Kind
    size: int


def disk_use(cache: AnyPath, studies: Iterable[Path] = ()) -> list[DiskItem]:
    """Everything that belongs to a cache: the file, what lies in its folder, its encoders, and studies beside it.

    Stored pixels and activations serve all caches of the folder.

    Args:
        cache: the cache's file, which need not be there.
        studies: folders with studies, besides the cache's own.
    """
    cache = Path(cache)
    parts = [cache, *sorted(data_folder(cache).glob("*.h5"))] if cache.is_file() else []
    found = [_item(path, "cache") for path in parts]
    folder = cache.parent
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        kind = _kind(path, cache)
        if kind is not None:
            found.append(_item(path, kind))
    found += [_item(path, "leftovers") for path, target in leftovers(folder) if _is_ours(target, cache)]
    found += [_item(path, "leftovers") for path, _ in leftovers(data_folder(cache))]
    encoders = encoders_folder(cache)
    found += [_item(path, "unfinished") for path in sorted(encoders.glob("*.checkpoint"))]
    found += [_item(path, "encoders") for path in sorted(encoders.glob("*.safetensors"))]
    for place in dict.fromkeys(path.resolve() for path in (folder, *studies)):
        found += [_item(path, "studies") for path in sorted([*place.glob("*.db"), *place.glob("*-nested")])]
    return found


def clean(cache: AnyPath, *, unfinished: bool = False, dry_run: bool = False) -> list[DiskItem]:
    """Remove what can be made again: stored pixels and activations, files of killed runs, locks that nobody holds.

    Caches, finished encoders and studies are never touched. All locks of the folder are held meanwhile.

    Args:
        cache: the cache's file, which need not be there.
        unfinished: remove encodings, stores and trainings that were begun and not finished as well; their work is
            lost.
        dry_run: remove nothing.

    Returns:
        What was removed, or would be.

    Raises:
        InputError: the cache's folder is not there.
        CacheError: another process holds a lock in the folder, or a file cannot be removed; in the first case nothing
            was.
    """
    cache = Path(cache)
    if not cache.parent.is_dir():
        raise InputError(f"{cache.parent}: no such folder, so there is nothing to clean.")
    kinds: Sequence[Kind] = (*REMOVABLE, "unfinished") if unfinished else REMOVABLE
    before = set(cache.parent.iterdir())
    with ExitStack() as stack:
        for path in _lockable(cache, before):
            stack.enter_context(locked(path, CacheError, doing="in use"))
        found = [item for item in disk_use(cache) if item.kind in kinds]
        made = [item for item in found if item.kind == "locks" and item.path not in before]
        found = [item for item in found if item not in made]
        _remove(made if dry_run else [*made, *found])
    return found


def _lockable(cache: Path, there: Iterable[Path]) -> list[Path]:
    """The cache, its folder's stores, and all that has a lock file there: whoever works in the folder holds one."""
    locks = [cache.with_name(found[1]) for path in there if (found := _LOCK.fullmatch(path.name))]
    stores = [path for path in there if _kind(path, cache) in ("pixels", "activations")]
    return sorted({cache, *locks, *stores})


def _remove(items: Iterable[DiskItem]) -> None:
    for item in items:
        try:
            item.path.unlink(missing_ok=True)
        except OSError as error:
            raise CacheError(
                f"{item.path} cannot be removed ({error.strerror or error}); what came before it is removed."
            ) from error


def _kind(path: Path, cache: Path) -> Kind | None:
    name = path.name
    if not path.is_file():
        return None
    if _LOCK.fullmatch(name):
        return "locks"
    for kind, pattern in _STORES:
        if pattern.fullmatch(name):
            return kind
        if pattern.fullmatch(name.removesuffix(".partial")):
            return "unfinished"
    grows = is_share(name, cache) or (name.startswith(f"{cache.name}.") and name.endswith(".partial"))
    return "unfinished" if grows else None


def _is_ours(target: str, cache: Path) -> bool:
    """Whether a temporary file was to become this cache, or a file that only caches have."""
    name = target.removesuffix(".partial")
    return (
        target == cache.name
        or (target.startswith(f"{cache.name}.") and target != name)
        or is_share(target, cache)
        or any(pattern.fullmatch(name) for _, pattern in _STORES)
    )


def _item(path: Path, kind: Kind) -> DiskItem:
    return DiskItem(path, kind, sum(_sizes(path)))


def _sizes(path: Path) -> Iterator[int]:
    for each in path.rglob("*") if path.is_dir() else [path]:
        try:
            yield each.stat().st_size if each.is_file() else 0
        except OSError:  # removed meanwhile
            yield 0
