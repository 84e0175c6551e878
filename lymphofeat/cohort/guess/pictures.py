"""How images belong to patients: by folders, by a pattern of names, or by a table that lists files."""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ..folders import is_image
from ..layout import Folders, Layout
from ..patterns import FilePattern
from .contents import Contents, FoundTable

__all__ = ["PictureGuess", "guess_pictures"]

_SEPARATORS = "_- ."
_LOOKED_AT = 2000  # names of images of a folder
_ENOUGH = 0.5  # share of the images that a guess explains


@dataclass(frozen=True)
class PictureGuess:
    """Where the images of which patients are.

    Attributes:
        train, test: folders; "." the cohort's itself, "" none.
        pattern: of file names; "" where each patient has a folder.
        table, file: a table that lists files, and its column of paths; "" for none.
        ids: the patients of the images, as far as they are known.
        words: what was found, in words.
    """

    train: str
    test: str
    pattern: str
    table: str
    file: str
    ids: frozenset[str]
    words: str


def guess_pictures(contents: Contents) -> PictureGuess | None:
    """None where there is no image."""
    if not contents.images:
        return None
    default = Folders()
    top = {folder.partition("/")[0] for folder in contents.images}
    if default.train in top:
        ids = frozenset(f.split("/")[1] for f in contents.images if "/" in f)
        test = default.test if default.test in top else ""
        return PictureGuess(default.train, test, "", "", "", ids, f"{len(ids)} folders of patients")
    return _listed(contents) or _by_folders(contents) or _by_names(contents)


def _listed(contents: Contents) -> PictureGuess | None:
    there = {name for names in contents.images.values() for name in names}
    for found in contents.tables:
        for column in found.columns:
            texts = found.texts(column)
            names = {os.path.basename(t.replace("\\", "/")) for t in texts if is_image(t, Layout())}
            if texts and len(names & there) >= _ENOUGH * len(there):
                words = f"the table {found.name} lists {len(texts)} files in its column {column!r}"
                ids = _ids_of(found, column, contents.tables)
                return PictureGuess(".", "", "", found.name, column, ids, words)
    return None


def _ids_of(listing: FoundTable, files: str, tables: Sequence[FoundTable]) -> frozenset[str]:
    """The texts of the column, beside the one of files, that shares most with a column of another table."""
    others = [set(t.texts(c)) for t in tables if t is not listing for c in t.columns]
    columns = [frozenset(listing.texts(c)) for c in listing.columns if c != files]
    shared = {ids: max((len(ids & texts) for texts in others), default=0) for ids in columns}
    best = max(columns, key=lambda ids: shared[ids], default=frozenset[str]())
    return best if best and (shared[best] or len(columns) == 1) else frozenset()


def _by_folders(contents: Contents) -> PictureGuess | None:
    """A folder per patient, where the folders have the names of a column of a table, or there are many of them."""
    paths = [tuple(folder.split("/")) if folder else () for folder in contents.images]
    base = _common(paths)
    below = Counter(path[len(base)] for path in paths if len(path) > len(base))
    if not below or sum(below.values()) < len(paths):  # images lie in the folder itself
        return None
    ids = frozenset(below)
    known = {text for found in contents.tables for column in found.columns for text in found.texts(column)}
    if contents.tables and len(ids & known) < _ENOUGH * min(len(ids), max(len(known), 1)) and len(ids) < 5:
        return None
    slides = " with subfolders" if any(len(path) > len(base) + 1 for path in paths) else ""
    train = "/".join(base) or "."
    return PictureGuess(train, "", "", "", "", ids, f"{len(ids)} folders of patients{slides} in {train}")


def _common(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The folders that all paths go through; the last folder of a single path is a patient's."""
    first = paths[0]
    depth = min(map(len, paths)) if len(paths) > 1 else max(len(first) - 1, 0)
    for k in range(depth):
        if any(path[k] != first[k] for path in paths):
            return first[:k]
    return first[:depth]


def _by_names(contents: Contents) -> PictureGuess | None:
    """Names of one pattern in the folder that has most images."""
    folder = max(contents.images, key=lambda name: len(contents.images[name]))
    names = contents.images[folder][:_LOOKED_AT]
    best: tuple[float, int, str, frozenset[str]] = (0.0, 0, "", frozenset())
    for ids in _id_columns(contents.tables):
        lengths = {len(name) for name in ids}
        for n_fields, text in _patterns(names):
            pattern = FilePattern(text, (os.path.splitext(names[0])[1].lower(),))
            found = [pattern.patients(name, ids, lengths) for name in names]
            share = sum(len(one) == 1 for one in found) / len(names)
            if (share, n_fields) > best[:2]:
                best = (share, n_fields, text, frozenset(one[0] for one in found if len(one) == 1))
    share, _, text, who = best
    if share < _ENOUGH:
        text, who = next((text for _, text in _patterns(names)), "{patient}_{cell}"), frozenset()
        words = f"images lie flat in {folder or 'the folder'}, and no table has IDs that their names hold"
    else:
        words = f"names of images in {folder or 'the folder'} are {text} ({100 * share:.0f} % of them)"
    return PictureGuess(folder or ".", "", text, "", "", who, words)


def _id_columns(tables: Sequence[FoundTable]) -> Iterator[Collection[str]]:
    for found in tables:
        for column in found.columns:
            texts = set(found.texts(column))
            if len(texts) > 1 and max(map(len, texts)) <= 64:
                yield texts


def _patterns(names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Patterns that fit most names: of as many fields as they have parts, then of fewer; the patient in any place."""
    stems = [os.path.splitext(name)[0] for name in names]
    suffix = Counter(os.path.splitext(name)[1] for name in names).most_common(1)[0][0]
    for separator in _SEPARATORS:
        n_parts = Counter(stem.count(separator) + 1 for stem in stems).most_common(1)[0][0]
        alike = [parts for stem in stems if len(parts := stem.split(separator)) == n_parts]
        literal = [
            part if all(parts[i] == part for parts in alike) else "" for i, part in enumerate(alike[0])
        ]
        for n in range(n_parts, 0, -1):
            if n == 1 and separator != _SEPARATORS[0]:
                continue  # the same for all separators
            for place in range(n):
                yield n, separator.join(_fields(n, place, literal)) + suffix


def _fields(n: int, place: int, literal: Sequence[str]) -> list[str]:
    """The fields: patient, cell (the last), slide (those between); what all names have in common stays as it is."""
    fields, slides = [], 0
    for i in range(n):
        if i == place:
            fields.append("{patient}")
        elif n == len(literal) and literal[i] and "{" not in literal[i]:
            fields.append(literal[i])
        elif i == n - 1:
            fields.append("{cell}")
        else:
            slides += 1
            fields.append("{slide}" if slides == 1 else f"{{slide{slides}}}")
    return fields
