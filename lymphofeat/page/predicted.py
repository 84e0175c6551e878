"""New patients as a page: what a bundle predicts for each, and the cells that drive it."""

import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..bundle.explained import ExplainedPatient, Unusual
from ..bundle.out_of_distribution import TrainingRanges
from ..bundle.predict import PredictSummary
from ..encoder.morphology.features import feature_named
from ..progress import Progress, Silent
from ..report.explain import shares_in_words
from ..storage.atomic import atomic_write
from ..wording import number
from .blocks import Block, Section, Text, csv_link
from .cells_shown import ShownCells
from .image_files import ImageFiles
from .names import Names
from .patient import CONTRIBUTION, MOST_PAGES, CellsShown, Gauge, Link, PatientPage
from .render import render_page

__all__ = ["PredictedList", "PredictedRow", "predicted_section", "write_predicted_page"]

_LIST = "patients"
_MEASURED = 3  # measurements that are named
_LEAST = 1.0  # standard deviations from which one is
_DAYS = re.compile(r"\bage (\d+\.\d+)")  # an age to the day, counted to a known day, is a date of birth
_TOLD = {"reactive": "Called reactive.", "malignant": "Called malignant.", "refer": "Referred: not decided."}
_UNITS = {"age": "years", "lymphocyte_count": "10⁹/l"}


class PredictedRow(NamedTuple):
    """A patient in the list.

    Attributes:
        name: of the patient.
        anchor: of the page; "" without one.
        decision: "reactive", "malignant" or "refer".
        probability: of malignant.
        calibrated: likewise; NaN without.
        n_images: of the patient.
        warnings: joined by "; ".
    """

    name: str
    anchor: str
    decision: str
    probability: float
    calibrated: float
    n_images: int
    warnings: str


def write_predicted_page(
    summary: PredictSummary,
    out: Path,
    *,
    ids: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write what was predicted as one HTML file that needs no network.

    Args:
        summary: of `predict_folder(…, explain=True)`.
        out: the page.
        ids: show the patients' IDs and the names of files; otherwise patients and images are numbered.
        force: replace an existing file.
        progress: told of the images that are read.

    Raises:
        InputError: the file exists and `force` is false.
    """
    section = predicted_section(summary, ids=ids, progress=progress or Silent())
    n = len(summary.table)
    text = render_page("Prediction for 1 patient" if n == 1 else f"Predictions for {n:,} patients", [section])
    with atomic_write(out, overwrite=force) as temporary:
        temporary.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class PredictedList(Block):
    """All new patients, with links to their pages.

    Attributes:
        id: its anchor.
        sentence: what the order is.
        rows: a row each.
        threshold: of the model.
        calibrated: whether there are calibrated probabilities.
    """

    template = "predicted.html.j2"
    id: str
    sentence: str
    rows: Sequence[PredictedRow]
    threshold: float
    calibrated: bool

    @property
    def csv(self) -> str:
        """All rows as a `data:` address."""
        table = pd.DataFrame(self.rows, columns=PredictedRow._fields)
        return csv_link(table.drop(columns=["anchor", *([] if self.calibrated else ["calibrated"])]))


def predicted_section(summary: PredictSummary, *, ids: bool, progress: Progress) -> Section:
    """The model, the list of patients, and a page for each, or for the 150 nearest to the threshold.

    Args:
        summary: of `predict_folder(…, explain=True)`.
        ids: as of `write_predicted_page`.
        progress: told of the images that are read.
    """
    explained = {one.id: one for one in summary.explained}
    rows = summary.table.assign(id=summary.table["id"].astype(str)).to_dict("records")
    names = Names(tuple(row["id"] for row in rows), shown=ids)
    rows.sort(key=lambda row: abs(row["probability"] - summary.bundle.threshold))
    paged = [row["id"] for row in rows[:MOST_PAGES]]
    cells = _cells(summary, names, [explained[one] for one in paged], progress)
    blocks: list[Block] = [Text([*_about(summary, ids=ids), *([] if cells is None else cells.troubles)])]
    if len(rows) > 1:
        blocks.append(_list(summary, rows, names, set(paged)))
    links: list[Link | None] = [Link(names.anchor(one), names.title(one)) for one in paged]
    around = zip([None, *links], [*links[1:], None], strict=False)
    back = Link(_LIST, "All patients") if len(rows) > 1 else None
    blocks += [
        _page(summary, row, explained[row["id"]], names, cells, (before, after, back))
        for row, (before, after) in zip(rows[:MOST_PAGES], around, strict=False)
    ]
    return Section("prediction", "Prediction", blocks)


def _about(summary: PredictSummary, *, ids: bool) -> list[str]:
    bundle = summary.bundle
    heads = "1 head" if len(bundle.members) == 1 else f"{len(bundle.members)} heads"
    seen = " and ".join(
        name
        for name, sees in (("images", bundle.sees_images), ("clinical values", bundle.sees_clinical))
        if sees
    )
    known = bundle.table
    found = [
        f"Model “{bundle.files.root.name}” (SHA-256 {bundle.digest[:12]}…): {heads} on {seen}, trained on "
        f"{known.n} patients, {known.n_malignant} of them malignant. A patient is called malignant at a probability of "
        f"{number(bundle.threshold)} or above.",
        *(summary.notes if ids else ()),  # they name patients and files
    ]
    if bundle.sees_images and bundle.sees_clinical:
        found.append(
            "How much of a probability is due to the images and how much to the clinical values cannot be told from a "
            "model alone: that takes the training patients, and it holds none."
        )
    if bundle.sees_images:
        found.append(CONTRIBUTION)
    return found


def _list(
    summary: PredictSummary, rows: Sequence[Mapping[Hashable, Any]], names: Names, paged: Collection[str]
) -> PredictedList:
    n_images = {one.id: len(one.images) for one in summary.explained}
    found = [
        PredictedRow(
            names.patient(row["id"]), names.anchor(row["id"]) if row["id"] in paged else "", row["decision"],
            row["probability"], row.get("calibrated", np.nan), n_images[row["id"]], _dateless(row["warnings"]),
        )
        for row in rows
    ]  # fmt: skip
    sentence = f"Those nearest to the threshold of {number(summary.bundle.threshold)} come first."
    if len(paged) < len(rows):
        sentence += f" The first {len(paged)} have a page; the others are listed only."
    return PredictedList(_LIST, sentence, found, summary.bundle.threshold, "calibrated" in summary.table)


def _page(
    summary: PredictSummary,
    row: Mapping[Hashable, Any],
    e: ExplainedPatient,
    names: Names,
    cells: ShownCells | None,
    links: tuple[Link | None, Link | None, Link | None],
) -> PatientPage:
    bundle = summary.bundle
    probability = float(row["probability"])
    low, high = min(*e.each, probability), max(*e.each, probability)
    facts = [*_warned(row), *_calibrated(row), *_heads(e), *_values(e, bundle.table), *_measured(e.measured)]
    without = CellsShown(sentence="The model sees no image, so no cell contributes.")
    shown = without if cells is None else cells.of(e)
    return PatientPage(
        names.anchor(e.id), names.title(e.id), _TOLD[str(row["decision"])], "warning" if row["warnings"] else "",
        Gauge(probability, bundle.threshold, low, high), facts, _made(e, bundle.n_fits), [], [], [], [], shown,
        *links,
    )  # fmt: skip


def _dateless(text: str) -> str:
    """The text with ages in whole years."""
    return _DAYS.sub(lambda found: f"age {float(found[1]):.0f}", text)


def _warned(row: Mapping[Hashable, Any]) -> list[str]:
    text = _dateless(str(row["warnings"]))
    return [f"Warning: {text}."] if text else []


def _calibrated(row: Mapping[Hashable, Any]) -> list[str]:
    found = []
    if "calibrated" in row:
        found.append(f"Calibrated probability: {number(float(row['calibrated']))}.")
    if "set" in row:
        words = str(row["set"]).split()
        found.append(f"Prediction set: {' and '.join(words) if words else 'empty'}.")
    return found


def _heads(e: ExplainedPatient) -> list[str]:
    if len(e.each) == 1:
        return []
    return [
        f"The {len(e.each)} heads give {number(min(e.each))} to {number(max(e.each))}: this is how far the heads "
        "differ, not a confidence interval."
    ]


def _values(e: ExplainedPatient, known: TrainingRanges) -> list[str]:
    """The clinical values beside what the model keeps of the training patients."""
    found = []
    for name, value in e.values.items():
        declared = known.declared.get(name)
        title = name.replace("_", " ")
        if value is None or value == "" or (isinstance(value, float) and np.isnan(value)):
            found.append(f"{title} missing")
        elif name == "sex":
            found.append(f"sex {value}")
        elif declared is None:
            low, high = known.age if name == "age" else known.count
            own = f"{float(str(value)):.0f}" if name == "age" else f"{float(str(value)):.4g}"
            found.append(f"{title} {own} {_UNITS[name]} (training patients: {low:g} to {high:g})")
        elif declared.kind == "number":
            found.append(
                f"{title} {float(str(value)):.4g} {declared.unit}".rstrip()
                + f" (training patients: {declared.text})"
            )
        elif declared.kind == "category":
            found.append(f"{title} {value} (training patients: {declared.text})")
        else:
            found.append(f"{title} {'yes' if float(str(value)) else 'no'}")
    return [f"Clinical values: {'; '.join(found)}."] if found else []


def _measured(measured: Sequence[Unusual]) -> list[str]:
    far = [one for one in measured if abs(one.deviations) >= _LEAST][:_MEASURED]
    if not measured:
        return []
    if not far:
        return [
            "Every measurement of the cells is, on average, within one standard deviation of the training patients'."
        ]
    texts = []
    for one in far:
        feature, more = feature_named(one.feature), one.deviations > 0
        plain = f"{'more' if more else 'less'} {one.feature.replace('_', ' ')}"
        words = plain if feature is None else feature.higher if more else feature.lower
        texts.append(f"{words} (by {number(abs(one.deviations), 1)})")
    return [
        f"Furthest from the training patients' means, in their standard deviations: {', '.join(texts)}. This compares "
        "measurements; it does not say what they add to the prediction."
    ]


def _made(e: ExplainedPatient, n_fits: int) -> list[str]:
    n = len(e.each) * n_fits
    heads = "One head" if len(e.each) == 1 else f"The mean of {len(e.each)} heads"
    fits = "" if n_fits == 1 else f", each fitted {n_fits} times"
    fitted = f"{n} heads" if n_fits == 1 else f"{n} fitted heads"
    return [f"{heads}{fits}.", shares_in_words(e.methods, n, fitted)]


def _cells(
    summary: PredictSummary, names: Names, explained: Sequence[ExplainedPatient], progress: Progress
) -> ShownCells | None:
    """None where no image is looked at."""
    if not summary.bundle.sees_images:
        return None
    lengths = [len(one.images) for one in summary.explained]
    starts = np.cumsum([0, *lengths]).tolist()
    first = {one.id: start for one, start in zip(summary.explained, starts, strict=False)}
    paths: list[Path | None] = [path for patient in summary.patients for path in patient.images]
    image_names = [name for patient in summary.patients for name in patient.image_names]
    reason = ""
    if not summary.patients:
        paths, image_names = [None] * starts[-1], [f"row {k + 1}" for n in lengths for k in range(n)]
        reason = "The model was given features, not images: no cell can be shown."
    files = ImageFiles(paths, [""] * len(paths), reason)
    return ShownCells(files, image_names, first, names, explained, progress)
