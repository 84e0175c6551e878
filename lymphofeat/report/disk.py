"""Disk use: what `info` says of a cache's files, and `clean` of those that it removes."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from ..cache.disk import REMOVABLE, DiskItem, Kind
from ..wording import size_text
from .printing import PlainTable, show

__all__ = ["render_clean", "render_disk_use"]

_WORDS: dict[Kind, str] = {
    "cache": "cache",
    "pixels": "stored pixels",
    "activations": "stored activations",
    "leftovers": "files of killed runs",
    "locks": "lock files",
    "unfinished": "begun and not finished",
    "encoders": "trained encoders",
    "studies": "studies",
}


def render_disk_use(items: Sequence[DiskItem], cache: Path, console: Console) -> None:
    """One line of sizes by kind, and one on what can be made again."""
    shown = [f"{_WORDS[kind]} {size_text(_sum(items, kind))}" for kind in _WORDS if _has(items, kind)]
    if not shown:
        return
    show(console, f"  disk     {', '.join(shown)}")
    again = [item for item in items if item.kind in REMOVABLE and item.size]
    if again:
        show(
            console,
            f"  {size_text(sum(item.size for item in again))} of it can be made again; `lymphofeat clean --cache "
            f"{cache}` removes that.",
        )


def render_clean(items: Sequence[DiskItem], console: Console) -> None:
    """A line for every file, and the sum."""
    table = PlainTable()
    for title in ("file", "what"):
        table.add_column(title, overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    for item in items:
        table.add_row(str(item.path), _WORDS[item.kind], size_text(item.size))
    show(console, table)
    files = "1 file" if len(items) == 1 else f"{len(items)} files"
    show(console, f"{files}, {size_text(sum(item.size for item in items))} in all")


def _sum(items: Iterable[DiskItem], kind: Kind) -> int:
    return sum(item.size for item in items if item.kind == kind)


def _has(items: Iterable[DiskItem], kind: Kind) -> bool:
    """Lock files are empty: they are told of by `clean` only."""
    return kind != "locks" and any(item.kind == kind for item in items)
