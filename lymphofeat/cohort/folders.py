"""The image folders of a cohort: which patients have one, and which images lie in it."""

import os
from pathlib import Path

from .layout import LAYOUT_FILE, Layout
from .problems import Problems, beyond_the_first, counted

__all__ = ["list_part"]


def list_part(folder: Path, layout: Layout, problems: Problems) -> dict[str, tuple[Path, ...]]:
    """The images of each patient folder of one part, both sorted by name. Nothing is opened.

    Files and folders whose names begin with a dot are passed over. Other files that are no images, folders
    inside a patient's folder, and images outside patient folders are reported as warnings.

    Returns:
        Folder name → image paths, () for an empty folder; {} when `folder` is not there.
    """
    if not folder.is_dir():
        return {}
    patients: dict[str, tuple[Path, ...]] = {}
    stray, unreadable = [], []
    for entry in _entries(folder, problems):
        if entry.is_dir():
            name = _as_id(entry.name)
            if name != entry.name:
                unreadable.append(Path(entry.path))
            patients[name] = _images(Path(entry.path), layout, problems)
        elif _is_image(entry.name, layout):
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
            "put each into the folder named after its patient's ID",
        )
    return patients


def _as_id(name: str) -> str:
    """A folder's name; one that is not UTF-8 as Windows may have meant it, so that its row finds it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("cp1252", "replace")
    return name


def _images(folder: Path, layout: Layout, problems: Problems) -> tuple[Path, ...]:
    images, others = [], []
    for entry in _entries(folder, problems):
        if _is_image(entry.name, layout) and not entry.is_dir():
            images.append(folder / entry.name)
        else:
            others.append(entry.name)
    if others:
        names = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        problems.warning(
            "not-an-image-name",
            folder,
            None,
            f"holds files that are not images ({names}) and are not read",
            f"remove them, or add their suffix in {LAYOUT_FILE} under [images]",
        )
    return tuple(images)


def _entries(folder: Path, problems: Problems) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        problems.error(
            "folder-unreadable", folder, None, f"cannot be listed ({error.strerror})", "check its permissions"
        )
        return []


def _is_image(name: str, layout: Layout) -> bool:
    return os.path.splitext(name)[1].lower() in layout.images.suffixes
