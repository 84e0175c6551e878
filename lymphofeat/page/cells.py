"""The cells: what drives the selected heads over the cohort, and a page for every patient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..cache.reader import Cache
from ..encoder.morphology.features import feature_named
from ..errors import LeakageError, StudyError
from ..explanation import Explanation, explain_everyone
from ..final.selected_model import final_model
from ..progress import Progress
from ..scoring.plan import labels_of
from ..wording import CLASSES, number
from .blocks import Block, Gap, Section, Text, csv_link
from .cell_map import cell_map_block
from .cells_shown import ExplainedCells, sees_images
from .patient import CONTRIBUTION, MOST_PAGES, Cell, Link, PatientPage, page_of
from .sources import Sources

__all__ = ["Gallery", "PatientList", "PatientRow", "cells_section", "patient_section"]

_GALLERY = 12
_OF_ONE = 2  # images of a patient in a gallery, at most
_LIST = "patients"
_WRONG, _NESTED = "wrong", "wrong when nested"


class Nested(NamedTuple):
    """What the nested evaluation says of a patient.

    Attributes:
        low, high: of the probabilities of the runs.
        n_runs, n_malignant: runs, and those that call the patient malignant.
    """

    low: float
    high: float
    n_runs: int
    n_malignant: int

    def wrong(self, label: int) -> bool:
        """Whether more than half of the runs are wrong."""
        right = self.n_malignant if label == 1 else self.n_runs - self.n_malignant
        return label in CLASSES and 2 * right < self.n_runs

    @property
    def in_words(self) -> str:
        """A sentence."""
        if self.n_runs == 1:
            called = CLASSES[self.n_malignant]
            return f"The nested evaluation gives {number(self.low)} and calls the patient {called}."
        return (
            f"Over {self.n_runs} runs of the nested evaluation the probability ranges from {number(self.low)} to "
            f"{number(self.high)}, and {self.n_malignant} of {self.n_runs} runs call the patient malignant."
        )


@dataclass(frozen=True)
class Gallery(Block):
    """Cells of many patients that drive the predictions of one class.

    Attributes:
        name: the class.
        title: of the gallery.
        cells: each with the patient's page and class.
    """

    template = "gallery.html.j2"
    name: str
    title: str
    cells: Sequence[tuple[Cell, Link, str]]


class PatientRow(NamedTuple):
    """A patient in the list.

    Attributes:
        name: of the patient.
        anchor: of the page; "" without one.
        true, called: words for the classes.
        probability, threshold: as on the page.
        mark: "wrong", or "".
        n_images: of the patient.
    """

    name: str
    anchor: str
    true: str
    called: str
    probability: float
    threshold: float
    mark: str
    n_images: int


@dataclass(frozen=True)
class PatientList(Block):
    """All patients, with links to their pages.

    Attributes:
        id: its anchor.
        sentences: what the order is.
        rows: the patients that have a page, in its order.
        others: those without.
    """

    template = "patients.html.j2"
    id: str
    sentences: Sequence[str]
    rows: Sequence[PatientRow]
    others: Sequence[PatientRow] = ()

    @property
    def csv(self) -> str:
        """All rows as a `data:` address."""
        return csv_link(
            pd.DataFrame([*self.rows, *self.others], columns=PatientRow._fields).drop(columns="anchor")
        )


@dataclass(frozen=True)
class Glossary(Block):
    """What the measurements of cells are: name and meaning of each."""

    template = "glossary.html.j2"
    entries: Sequence[tuple[str, str]]


def cells_section(sources: Sources, progress: Progress) -> Section:
    """Galleries of the cells that drive predictions, and a page for every patient, or for the 150 that matter most."""
    if sources.study is None:
        return Section("cells", "The cells", [sources.gap("tune"), cell_map_block(sources, {}, progress)])
    chosen, others = _chosen(sources)
    ids = [str(sources.cache.ids[row]) for row in chosen]
    try:
        explained = list(
            explain_everyone(
                sources.cache, sources.study, ids, **sources.selection._asdict(), progress=progress
            )
        )
    except (LeakageError, StudyError) as error:
        return Section(
            "cells",
            "The cells",
            [Gap(f"The cells cannot be explained: {sources.names.hidden_in(str(error))}")],
        )
    nested = _nested(sources)
    explained.sort(key=lambda one: _order(one, nested.get(one.id)))
    cells = ExplainedCells(sources.cache, sources.study.encoding, sources.names, explained, progress)
    blocks: list[Block] = [Text(_about(explained[0])), *(Text([one]) for one in cells.troubles)]
    blocks += [*_galleries(sources, explained, cells), *_glossary(cells)]
    contributions = {
        one.id: one.images["contribution"].to_numpy(np.float64)[np.argsort(one.positions)]
        for one in explained
    }
    blocks.append(cell_map_block(sources, contributions, progress, cells.files, cells.pictures.rows))
    blocks.append(_list(sources, explained, nested, others))
    blocks += _pages(sources, explained, nested, cells)
    return Section("cells", "The cells", blocks)


def patient_section(sources: Sources, e: Explanation, progress: Progress) -> Section:
    """One patient alone."""
    assert sources.study is not None
    nested = _nested(sources).get(e.id)
    cells = ExplainedCells(sources.cache, sources.study.encoding, sources.names, [e], progress)
    page = page_of(
        e, sources.names.anchor(e.id), sources.names.title(e.id), cells.of(e), mark=_mark(e, nested),
        clinical=_has_clinical(sources.cache), ranging=_ranging(nested), facts=_facts(nested),
    )  # fmt: skip
    blocks: list[Block] = [
        Text([e.reason]),
        *(Text([one]) for one in cells.troubles),
        page,
        *_glossary(cells),
    ]
    return Section("patient", "Prediction", blocks)


def _chosen(sources: Sources) -> tuple[list[int], list[PatientRow]]:
    """Rows of the patients with a page, and the list's lines of the others.

    Of more than 150: the wrong ones, then the uncertain ones, and a fifth for the clearest of either class, so that the
    galleries show these too; patients without a label where there is room.
    """
    cache, study = sources.cache, sources.study
    assert study is not None
    n = len(cache.ids)
    if n <= MOST_PAGES:
        return list(range(n)), []
    rule, trial, ensemble = sources.selection
    chosen = final_model(cache, study, rule=rule, trial=trial, ensemble=ensemble).chosen
    rows = np.flatnonzero(labels_of(cache) >= 0)
    p, called = chosen.probabilities[:, 0], chosen.decisions[:, 0]
    folds = np.unique(study.best.folds[:, 0])
    thresholds = chosen.fold_thresholds[0, np.searchsorted(folds, study.best.folds[:, 0])]
    wrong, distance = called != (cache.labels[rows] == 1), np.abs(p - thresholds)
    uncertain = np.lexsort((distance, ~wrong))
    clear = np.lexsort((-distance, wrong))
    pages: list[int] = []
    for label in (0, 1):
        pages += [k for k in clear.tolist() if cache.labels[rows[k]] == label][: MOST_PAGES // 10]
    pages += [k for k in uncertain.tolist() if k not in pages][: MOST_PAGES - len(pages)]
    unlabelled = np.flatnonzero(labels_of(cache) < 0)[: MOST_PAGES - len(pages)]
    have = {*rows[pages].tolist(), *unlabelled.tolist()}
    line = {int(row): k for k, row in enumerate(rows)}
    others = [
        PatientRow(
            sources.names.title(str(cache.ids[row])), "", CLASSES.get(int(cache.labels[row]), "not known"),
            CLASSES[int(called[line[row]])] if row in line else "—",
            float(p[line[row]]) if row in line else float("nan"),
            float(thresholds[line[row]]) if row in line else float("nan"),
            _WRONG if row in line and wrong[line[row]] else "", int(cache.patients["n_images"].iloc[row]),
        )
        for row in range(n)
        if row not in have
    ]  # fmt: skip
    return sorted(have), others


def _nested(sources: Sources) -> dict[str, Nested]:
    """By ID, what the runs of the evaluation say; empty without one."""
    table = None if sources.evaluation is None else sources.evaluation.tables.get("predictions")
    if table is None or not {"role", "id", "probability", "decision"} <= set(table.columns):
        return {}
    main = table[table["role"] == "main"]
    found = {}
    for patient, rows in main.groupby("id", sort=False):
        p = rows["probability"].to_numpy(np.float64)
        found[str(patient)] = Nested(
            float(p.min()), float(p.max()), len(p), int(rows["decision"].to_numpy(np.int64).sum())
        )
    return found


def _ranging(nested: Nested | None) -> tuple[float, float] | None:
    """Over several runs; None: nothing says how far the probability ranges."""
    return (nested.low, nested.high) if nested is not None and nested.n_runs > 1 else None


def _facts(nested: Nested | None) -> list[str]:
    return [] if nested is None else [nested.in_words]


def _mark(e: Explanation, nested: Nested | None) -> str:
    if e.label in CLASSES and (e.probability >= e.threshold) != (e.label == 1):
        return _WRONG
    return _NESTED if nested is not None and nested.wrong(e.label) else ""


def _order(e: Explanation, nested: Nested | None) -> tuple[int, float]:
    """Wrong ones first, then those that nested runs get wrong, then all others; each by distance to the threshold."""
    return [_WRONG, _NESTED, ""].index(_mark(e, nested)), abs(e.probability - e.threshold)


def _has_clinical(cache: Cache) -> bool:
    """Whether any patient has any clinical value."""
    table = cache.clinical
    return bool((table.notna() & (table != "")).to_numpy().any())


def _about(e: Explanation) -> list[str]:
    sentences = [e.reason]
    if sees_images(e):
        sentences.append(CONTRIBUTION)
    else:
        sentences.append(
            "The selected head sees clinical values only. No image contributes, so no cell is shown."
        )
    return sentences


def _galleries(sources: Sources, explained: Sequence[Explanation], cells: ExplainedCells) -> list[Block]:
    """The strongest cells over the patients, for either side."""
    found: list[Block] = []
    if not any(map(sees_images, explained)):
        return found
    shown = {one.id: cells.of(one) for one in explained if sees_images(one)}
    for side in ("malignant", "reactive"):
        each = [
            (abs(cell.contribution), one, cell)
            for one in explained
            if one.id in shown
            for cell in getattr(shown[one.id], side)[:_OF_ONE]
        ]
        each.sort(key=lambda entry: -entry[0])
        entries = [
            (
                cell,
                Link(sources.names.anchor(one.id), sources.names.title(one.id)),
                CLASSES.get(one.label, "not known"),
            )
            for _, one, cell in each[:_GALLERY]
        ]
        if entries:
            title = "Cell that drives" if len(entries) == 1 else f"The {len(entries)} cells that drive"
            found.append(Gallery(side, f"{title} {side} predictions most", entries))
    return found


def _list(
    sources: Sources,
    explained: Sequence[Explanation],
    nested: Mapping[str, Nested],
    others: Sequence[PatientRow],
) -> PatientList:
    rows = [
        PatientRow(
            sources.names.title(one.id), sources.names.anchor(one.id), CLASSES.get(one.label, "not known"),
            CLASSES[int(one.probability >= one.threshold)], one.probability, one.threshold,
            _mark(one, nested.get(one.id)), len(one.images),
        )
        for one in explained
    ]  # fmt: skip
    n_wrong = sum(row.mark == _WRONG for row in (*rows, *others))
    labelled = sum(row.true != "not known" for row in (*rows, *others))
    sentences = [
        f"{n_wrong} of {labelled} labelled patients are called wrongly by heads that did not see them. They come "
        "first, then the others by the distance of their probability to the threshold."
    ]
    if any(row.mark == _NESTED for row in rows):
        sentences.append(
            f"“{_NESTED.capitalize()}”: the selected heads are right, but most runs of the nested evaluation, which "
            "repeat the search, are not."
        )
    if others:
        sentences.append(f"{len(rows)} patients have a page: {_who(others)}. The galleries are of these.")
    return PatientList(_LIST, sentences, rows, others)


def _who(others: Sequence[PatientRow]) -> str:
    """Which patients have a page, where others have none."""
    if all(row.true == "not known" for row in others):
        return f"all that are labelled; {len(others):,} without a label are listed only"
    wrong = sum(row.mark == _WRONG for row in others)
    which = (
        "of those called wrongly the nearest to the threshold"
        if wrong
        else "those called wrongly, the nearest to the threshold"
    )
    return (
        f"{which}, and the {MOST_PAGES // 10} clearest of either class; the other {len(others):,} are listed only"
        + (f", {wrong:,} of them called wrongly" if wrong else "")
    )


def _glossary(cells: ExplainedCells) -> list[Block]:
    if cells.encoding is None or cells.encoding.names is None:
        return []
    entries = [
        (name.replace("_", " "), feature.meaning)
        for name in cells.encoding.names
        if (feature := feature_named(name)) is not None
    ]
    return [Glossary(entries)] if entries else []


def _pages(
    sources: Sources, explained: Sequence[Explanation], nested: Mapping[str, Nested], cells: ExplainedCells
) -> list[PatientPage]:
    links = [Link(sources.names.anchor(one.id), sources.names.title(one.id)) for one in explained]
    before: list[Link | None] = [None, *links[:-1]]
    after: list[Link | None] = [*links[1:], None]
    clinical, back = _has_clinical(sources.cache), Link(_LIST, "All patients")
    found = []
    for k, one in enumerate(explained):
        of_runs = nested.get(one.id)
        found.append(
            page_of(
                one, links[k].anchor, links[k].words, cells.of(one), mark=_mark(one, of_runs), clinical=clinical,
                links=(before[k], after[k], back), ranging=_ranging(of_runs), facts=_facts(of_runs),
            )
        )  # fmt: skip
    return found
