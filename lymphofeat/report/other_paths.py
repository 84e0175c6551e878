"""What `info` says of a path that is neither a cache nor a study: what it is, and what can be done with it."""

import csv
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from ..cohort.ages import ages_words
from ..cohort.folders import is_left_behind
from ..cohort.layout import LAYOUT_FILE, is_cohort
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
    phrase, lines = _described(path, kind)
    show(console, (printable(str(path)), "bold"), f": {phrase}{cause}")
    for line in lines:
        show(console, f"  {printable(line)}")


def _described(path: Path, kind: Kind) -> tuple[str, list[str]]:
    """What it is, and what can be done with it."""
    match kind.name:
        case "bundle":
            return kind.phrase, list(_bundle(path))
        case "folder":
            return _folder(path)
        case "json" if evaluation := _evaluation(path):
            return "an evaluation", evaluation
        case "text" | "table" if path.name == LAYOUT_FILE:
            return "a layout of a cohort", [f"Read with its folder: lymphofeat check {path.parent}"]
        case "text" | "table" if path.suffix == ".toml":
            return "a TOML file, such as a recipe", [f"As a recipe: lymphofeat recipes {path}"]
        case "table":
            return kind.phrase, list(_table(path))
        case name if name in _USES:
            return kind.phrase, [_USES[name].format(path=path)]
        case _:
            return kind.phrase, ["Nothing that lymphofeat reads or writes"]


def _bundle(path: Path) -> Iterator[str]:
    from ..bundle.load import load_bundle

    bundle = load_bundle(path)
    table = bundle.table
    sees = [w for w, s in (("images", bundle.sees_images), ("clinical values", bundle.sees_clinical)) if s]
    yield f"{counted(len(bundle.members), 'head')} × {counted(bundle.n_fits, 'fit')} on {' and '.join(sees)}"
    yield f"trained on {table.n} patients, {table.n_malignant} of them malignant; {bundle.digest[:12]}, complete"
    yield f"ages {ages_words(str(bundle.about['reference_date']))}"
    yield f"Its scores and limits: {bundle.files.card}"
    yield f"New patients: lymphofeat predict {path} FOLDER --clinical TABLE"


def _folder(path: Path) -> tuple[str, list[str]]:
    record = path / "evaluate.json"
    if is_cohort(path):
        return "a cohort's folder", [f"Its problems and figures: lymphofeat check {path}"]
    if record.is_file() and (evaluation := _evaluation(record)):
        return "an evaluation", evaluation
    return "a folder", list(_entries(path))


def _entries(path: Path) -> Iterator[str]:
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
    """The scores of an evaluation, and what they are for; nothing if the file is none."""
    from ..bundle.evaluation import read_evaluation

    try:
        scores = read_evaluation(path).lines()
    except InputError:
        return []
    return [*scores, f"For the card of a model: lymphofeat export model --evaluation {path}"]


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
