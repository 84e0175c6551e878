"""What `info` says of a path that is neither a cache nor a study: what it is, and what can be done with it."""

import csv
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from ..cohort.ages import ages_words
from ..cohort.folders import is_left_behind
from ..cohort.layout import LAYOUT_FILE, Folders
from ..cohort.problems import counted, listing
from ..errors import InputError, LymphofeatError, printable
from ..storage.kinds import Kind
from .printing import show

__all__ = ["OTHER", "render_other"]

# Kinds of paths that are neither caches nor studies, nor what may be one that is damaged or locked.
OTHER = frozenset(
    {
        "folder",
        "bundle",
        "hdf5",
        "sqlite",
        "image",
        "table",
        "json",
        "weights",
        "archive",
        "text",
        "other",
        "empty",
    }
)

_USES = {
    "hdf5": "If it holds features of another toolkit: lymphofeat import {path} --patients TABLE",
    "weights": "As an encoder: lymphofeat extract --frozen --weights {path}; as features: lymphofeat import {path}",
    "image": "Images are read in a cohort's folder: lymphofeat check FOLDER",
    "archive": "Unpack it first; then lymphofeat init FOLDER",
    "empty": "An interrupted copy or a full disk leaves such files",
}


def render_other(path: Path, kind: Kind, console: Console) -> None:
    """Write what lies at a path that exists, and which command takes it."""
    cause = f" ({kind.cause})" if kind.cause else ""
    lines = list(_lines(path, kind))
    show(console, (printable(str(path)), "bold"), f": {_phrase(path, kind)}{cause}")
    for line in lines:
        show(console, f"  {printable(line)}")


def _phrase(path: Path, kind: Kind) -> str:
    if kind.name == "folder":
        return _folder_phrase(path)
    if kind.name == "json" and _evaluation(path):
        return "an evaluation"
    if kind.name in ("text", "table") and path.suffix == ".toml":
        return "a layout of a cohort" if path.name == LAYOUT_FILE else "a TOML file, such as a recipe"
    return kind.phrase


def _lines(path: Path, kind: Kind) -> Iterator[str]:
    match kind.name:
        case "bundle":
            yield from _bundle(path)
        case "folder":
            yield from _folder(path)
        case "json" if evaluation := _evaluation(path):
            yield from evaluation
            yield f"For the card of a model: lymphofeat export model --evaluation {path}"
        case "text" | "table" if path.suffix == ".toml":
            folder = path.parent
            yield (
                f"Read with its folder: lymphofeat check {folder}"
                if path.name == LAYOUT_FILE
                else f"As a recipe: lymphofeat recipes {path}"
            )
        case "table":
            yield from _table(path)
        case name if name in _USES:
            yield _USES[name].format(path=path)
        case _:
            yield "Nothing that lymphofeat reads or writes"


def _bundle(path: Path) -> Iterator[str]:
    from ..bundle.load import load_bundle

    bundle = load_bundle(path)
    table = bundle.table
    sees = [w for w, s in (("images", bundle.sees_images), ("clinical values", bundle.sees_clinical)) if s]
    yield f"{counted(len(bundle.members), 'head')} × {counted(bundle.n_fits, 'fit')} on {' and '.join(sees)}"
    yield f"trained on {table.n} patients, {table.n_malignant} of them malignant; {bundle.digest[:12]}, complete"
    yield f"ages {ages_words(str(bundle.about['reference_date']))}"
    yield f"Its scores and limits: {path / 'MODEL_CARD.md'}"
    yield f"New patients: lymphofeat predict {path} FOLDER --clinical TABLE"


def _folder_phrase(path: Path) -> str:
    parts = Folders()
    if (path / LAYOUT_FILE).is_file() or any((path / name).is_dir() for name in (parts.train, parts.test)):
        return "a cohort's folder"
    if (path / "evaluate.json").is_file():
        return "an evaluation"
    return "a folder"


def _folder(path: Path) -> Iterator[str]:
    phrase = _folder_phrase(path)
    if phrase == "a cohort's folder":
        yield f"Its problems and figures: lymphofeat check {path}"
        return
    if phrase == "an evaluation":
        yield from _evaluation(path / "evaluate.json")
        yield f"For the card of a model: lymphofeat export model --evaluation {path / 'evaluate.json'}"
        return
    entries = [entry for entry in sorted(path.iterdir()) if not is_left_behind(entry.name)]
    known = [entry for entry in entries if entry.suffix in (".h5", ".db") and entry.is_file()]
    for entry in known:
        what = "cache" if entry.suffix == ".h5" else "study"
        yield f"{what} {entry.name}: lymphofeat info {entry}"
    if not known:
        names = [entry.name + ("/" if entry.is_dir() else "") for entry in entries]
        yield f"It holds {listing(names) or 'nothing'}"
        if entries:
            yield f"If it is an export of images and tables: lymphofeat init {path}"


def _evaluation(path: Path) -> list[str]:
    """The scores of an evaluation; nothing if the file is none."""
    from ..bundle.evaluation import read_evaluation

    try:
        return read_evaluation(path).lines()
    except InputError:
        return []


def _table(path: Path) -> Iterator[str]:
    from ..cohort.problems import Problems
    from ..cohort.tables import read_table

    try:
        table = read_table(path, Problems())
    except (LymphofeatError, csv.Error):
        table = None
    if table is None:
        yield "It cannot be read as a table"
        return
    columns = {name.lower() for name in table.columns}
    yield f"{counted(len(table.rows), 'row')}; columns {listing(list(table.columns), 12)}"
    if {"id", "probability", "decision"} <= columns:
        yield "Predictions of an exported model, by lymphofeat predict"
    elif columns == {"id", "label"}:
        yield "A submission, or a table of labels"
    else:
        yield f"As the table of a cohort: put it beside the images, then lymphofeat init {path.parent}"
        yield f"As a table of features: lymphofeat import {path}"
