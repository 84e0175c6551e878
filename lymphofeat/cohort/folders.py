"""Image files of patients in folders: a folder per patient, with subfolders or without, or a flat folder.

Nothing is opened here. What systems leave behind (`._*`, `.DS_Store`, `Thumbs.db`, `__MACOSX`, …) is passed over.
"""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from .layout import LAYOUT_FILE, Layout
from .patterns import FilePattern
from .problems import Problems, beyond_the_first, counted

__all__ = ["OF_ONE_FOLDER", "Images", "is_image", "is_left_behind", "list_flat", "list_part", "natural_order"]

Images = tuple[Path, ...]
OF_ONE_FOLDER = ("folder-unreadable", "not-an-image-name")  # codes of problems of a single patient's folder

_LEFT_BEHIND = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir"}
)  # beside dot files
_DIGITS = re.compile(r"(\d+)")


def is_left_behind(name: str) -> bool:
    """Whether a file or folder is one that an operating system makes for itself: nobody means it as data."""
    return name.startswith(".") or name.lower() in _LEFT_BEHIND


def is_image(name: str, layout: Layout) -> bool:
    """Whether a file's name has one of the suffixes of images."""
    return os.path.splitext(name)[1].lower() in layout.images.suffixes


def natural_order(path: str) -> tuple[list[tuple[int, int | str]], str]:
    """A sort key: folder by folder, numbers by value, so that `s2/9.png` comes before `s2/10.png` and `s10/1.png`."""
    parts = [part for folder in path.split("/") for part in (*_DIGITS.split(folder), "/")]
    return [(0, int(p)) if p.isdecimal() else (1, p) for p in parts], path


def list_part(
    folder: Path, layout: Layout, problems: Problems, *, but: Collection[Path] = ()
) -> dict[str, Images]:
    """The images of each patient folder of one part, the folders sorted by name.

    Images directly in a patient's folder are sorted by name; where there are subfolders (slides), all are in
    `natural_order` of their paths. Files that are no images, and images outside patient folders, are reported as
    warnings.

    Args:
        folder: the part's.
        layout: tells which files are images.
        problems: where to report.
        but: folders that are no patients'.

    Returns:
        Folder name → image paths, () for a folder without; {} when `folder` is not there.
    """
    if not folder.is_dir():
        return {}
    patients: dict[str, Images] = {}
    stray, unreadable = [], []
    for entry in _entries(folder, problems):
        if Path(entry.path) in but:
            continue
        if entry.is_dir():
            name = _as_id(entry.name)
            if name != entry.name:
                unreadable.append(Path(entry.path))
            patients[name] = _images(Path(entry.path), layout, problems)
        elif is_image(entry.name, layout):
            stray.append(entry.name)
    if unreadable:
        problems.error(
            "folder-name",
            unreadable[0],
            None,
            "has a name that is not UTF-8, as a ZIP from Windows leaves it, so no ID can be compared with it"
            f"{beyond_the_first(len(unreadable) - 1, 'folder', folder.name)}",
            f"rename it (`convmv -r -f cp1252 -t utf8 --notest {folder}` renames all)",
        )
    if stray:
        problems.warning(
            "stray-images",
            folder,
            None,
            f"holds {counted(len(stray), 'image')} outside patient folders ({stray[0]}), which are not read",
            f"put each into the folder named after its patient's ID, or give their `pattern` in {LAYOUT_FILE} under "
            "[images]",
        )
    return patients


def list_flat(
    folder: Path,
    pattern: FilePattern,
    ids: Collection[str],
    layout: Layout,
    problems: Problems,
    *,
    but: Collection[Path] = (),
) -> dict[str, Images] | None:
    """The images of a folder by the patient whom a pattern finds in their paths, in `natural_order`.

    An image belongs to the one ID whose whole text the pattern finds. An image of none gets the shortest text that the
    pattern allows, as if that were a patient without a row. An image of two IDs is an error, and an image that the
    pattern does not fit a warning; each is reported once for all.

    Args:
        folder, layout, problems, but: as of `list_part`.
        pattern: of the paths relative to `folder`.
        ids: the IDs of the tables; may be empty.

    Returns:
        ID → image paths; None, with the reason in `problems`, where there are images and the pattern fits none.
    """
    found: dict[str, list[Path]] = {}
    unfit, ambiguous = [], []
    known, lengths = frozenset(ids), sorted({len(name) for name in ids if name})
    paths = [path for path in _files(folder, problems, pattern.depth, but) if is_image(path, layout)]
    for path in sorted(paths, key=natural_order):
        matching = pattern.patients(path, known, lengths)
        name = matching[0] if matching else pattern.any_patient(path)
        if len(matching) > 1:
            ambiguous.append(f"{path} of {' or '.join(matching)}")
        elif name is None:
            unfit.append(path)
        else:
            found.setdefault(name, []).append(folder / path)
    if ambiguous:
        problems.error(
            "image-of-two-patients",
            folder,
            None,
            f"holds {counted(len(ambiguous), 'image')} that the pattern {pattern.text} gives to more than one patient "
            f"({_first(ambiguous)})",
            f"make the pattern more exact, or list the images in a table ([images] in {LAYOUT_FILE})",
        )
    if unfit:
        fits_none = not (found or ambiguous)
        (problems.error if fits_none else problems.warning)(
            "pattern-fits-nothing" if fits_none else "stray-images",
            folder,
            None,
            f"holds {counted(len(unfit), 'image')} that the pattern {pattern.text} does not fit ({_first(unfit)}), "
            "which are not read",
            f"correct `pattern` in {LAYOUT_FILE} under [images], or rename them",
        )
        if fits_none:
            return None
    return {name: tuple(images) for name, images in found.items()}


def _first(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _as_id(name: str) -> str:
    """A folder's name; one that is not UTF-8 as Windows may have meant it, so that its row finds it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("cp1252", "replace")
    return name


def _images(folder: Path, layout: Layout, problems: Problems) -> Images:
    images: list[str] = []
    others: list[str] = []
    for path in _files(folder, problems):
        (images if is_image(path, layout) else others).append(path)
    if others:
        problems.warning(
            "not-an-image-name",
            folder,
            None,
            f"holds files that are not images ({_first(others)}) and are not read",
            f"remove them, or add their suffix in {LAYOUT_FILE} under [images]",
        )
    if any("/" in path for path in images):
        images.sort(key=natural_order)
    return tuple(folder / path for path in images)


def _files(
    folder: Path,
    problems: Problems,
    depth: int | None = None,
    but: Collection[Path] = (),
    above: tuple[tuple[int, int], ...] = (),
) -> Iterator[str]:
    """The files in a folder and its subfolders, as paths relative to it with `/`; those of one folder by name.

    Args:
        depth: of subfolders; None: all.
        but: folders that are left out.
        above: the folders on the way here, as device and inode: a link to one of them would never end.
    """
    status = folder.stat()
    itself = (status.st_dev, status.st_ino)
    if itself in above:
        return
    for entry in _entries(folder, problems):
        if not entry.is_dir():
            yield entry.name
        elif depth != 0 and Path(entry.path) not in but:
            below = None if depth is None else depth - 1
            inside = _files(Path(entry.path), problems, below, but, (*above, itself))
            yield from (f"{entry.name}/{path}" for path in inside)


def _entries(folder: Path, problems: Problems) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not is_left_behind(e.name)), key=lambda e: e.name)
    except OSError as error:
        problems.error(
            "folder-unreadable", folder, None, f"cannot be listed ({error.strerror})", "check its permissions"
        )
        return []
