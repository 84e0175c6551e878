"""The page of a patient: decision, what it is made of, and the cells in order of their contribution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from ..explanation import Explanation
from ..report.explain import (
    digits_for,
    fitting_in_words,
    measured_in_words,
    methods_in_words,
    several_in_words,
    value_in_words,
)
from ..wording import CLASSES, number
from .blocks import Block, csv_link

__all__ = [
    "CONTRIBUTION", "MOST_PAGES", "Bar", "Cell", "CellsShown", "Gauge", "Link", "PatientPage", "page_of", "scaled",
    "waterfall",
]  # fmt: skip

MOST_PAGES = 150  # of patients in one file
CONTRIBUTION = (
    "A cell's contribution is what its image adds to the log-odds of malignant: above 0 towards malignant, below 0 "
    "towards reactive. It explains the model, not the disease."
)

_TOP = 5  # measurements of either side


class Link(NamedTuple):
    """Another place on the page.

    Attributes:
        anchor: its id.
        words: what it is called.
    """

    anchor: str
    words: str


class Gauge(NamedTuple):
    """A probability between 0 and 1.

    Attributes:
        probability, threshold: of the patient.
        low, high: how far the probability ranges; equal to it where nothing says so.
    """

    probability: float
    threshold: float
    low: float
    high: float

    @property
    def in_words(self) -> str:
        """For who cannot see it."""
        own, threshold, low, high = (number(value) for value in self)
        ranging = f", ranging from {low} to {high}" if self.low < self.high else ""
        return f"Probability of malignant {own}{ranging}; threshold {threshold}."


class Bar(NamedTuple):
    """A contribution as a bar.

    Attributes:
        label: what adds it.
        value: log-odds, above 0 towards malignant.
        words: the value as text.
        left, width: percent of the space.
        zero: where 0 is, percent.
        total: a sum of what stands above.
    """

    label: str
    value: float
    words: str
    left: float
    width: float
    zero: float
    total: bool = False

    @property
    def side(self) -> str:
        """The class that it adds to."""
        return "malignant" if self.value > 0 else "reactive"


class Cell(NamedTuple):
    """A cell on the page.

    Attributes:
        name: of the image.
        contribution: log-odds; NaN where nothing is known.
        words: the contribution as text.
        picture: a `data:` address; "" without one at full size.
        size: (width, height) of the picture, pixels.
        place: (column, line) on the sheet of small pictures; None without.
        reason: why there is no picture.
        notes: how the cell differs from the cohort's.
    """

    name: str
    contribution: float
    words: str
    picture: str = ""
    size: tuple[int, int] = (0, 0)
    place: tuple[int, int] | None = None
    reason: str = ""
    notes: Sequence[str] = ()

    @property
    def side(self) -> str:
        """The class that it adds to."""
        return "malignant" if self.contribution > 0 else "reactive" if self.contribution < 0 else "neither"


class CellsShown(NamedTuple):
    """The cells of a patient.

    Attributes:
        malignant, reactive: at full size, strongest first.
        others: small, from the most malignant to the most reactive.
        sheet: a `data:` address of the small pictures side by side; "" without.
        columns, lines: of the sheet.
        sentence: what is shown, or why no cell is.
        table: all cells, a row each.
    """

    malignant: Sequence[Cell] = ()
    reactive: Sequence[Cell] = ()
    others: Sequence[Cell] = ()
    sheet: str = ""
    columns: int = 1
    lines: int = 1
    sentence: str = ""
    table: pd.DataFrame | None = None


@dataclass(frozen=True)
class PatientPage(Block):
    """One patient.

    Attributes:
        anchor: its id on the page.
        title: what the patient is called.
        verdict: decision and true class, as a sentence.
        mark: a word beside the title, such as "wrong"; "" without.
        gauge: the probability.
        facts: sentences below it.
        made: sentences on how the numbers came about, behind one click.
        parts: of the log-odds; none where they are not known.
        values: what the clinical values add.
        upwards, downwards: the measurements of the cells that add most towards malignant, and towards reactive.
        cells: the images.
        before, after, back: where to go; None on a page of its own.
    """

    template = "patient.html.j2"
    anchor: str
    title: str
    verdict: str
    mark: str
    gauge: Gauge
    facts: Sequence[str]
    made: Sequence[str]
    parts: Sequence[Bar]
    values: Sequence[Bar]
    upwards: Sequence[Bar]
    downwards: Sequence[Bar]
    cells: CellsShown
    before: Link | None = None
    after: Link | None = None
    back: Link | None = None

    @property
    def alone(self) -> bool:
        """Whether it is shown without being asked for."""
        return self.back is None

    @property
    def csv(self) -> str:
        """All cells as a `data:` address; "" without cells."""
        return "" if self.cells.table is None else csv_link(self.cells.table)


def page_of(
    e: Explanation,
    anchor: str,
    title: str,
    cells: CellsShown,
    *,
    mark: str = "",
    ranging: tuple[float, float] | None = None,
    facts: Sequence[str] = (),
    clinical: bool = True,
    links: tuple[Link | None, Link | None, Link] | None = None,
) -> PatientPage:
    """The page of an explained patient.

    Args:
        e: the explanation.
        anchor, title: of the page.
        cells: the images.
        mark: a word beside the title.
        ranging: how far the probability ranges over runs; None: over the selected heads.
        facts: further sentences, such as what runs say.
        clinical: whether the cohort has clinical values.
        links: before, after, back; None: the page stands alone.
    """
    low, high = ranging or (min(e.each), max(e.each))
    gauge = Gauge(e.probability, e.threshold, min(low, e.probability), max(high, e.probability))
    said = [*facts]
    if ranging is None and len(e.each) > 1:
        said.append(
            f"The {len(e.each)} selected heads give {number(low)} to {number(high)}: this is how far the heads differ, "
            "not a confidence interval."
        )
    elif ranging is None:
        said.append(
            "One head was selected and asked once, so nothing says how far the probability may range."
        )
    sees_images = set(e.methods) != {"none"}
    parts = {"typical patient": e.parts.base}
    if sees_images:
        parts["images"] = e.parts.image
    if clinical and e.values is not None:
        parts["clinical values"] = e.parts.clinical
    values = _rows(e.values) if clinical else []
    upwards, downwards = _measurements(e) if sees_images else ([], [])
    before, after, back = links or (None, None, None)
    return PatientPage(
        anchor, title, _verdict(e), mark, gauge, said, _made(e),
        waterfall(parts, "log-odds" if len(e.each) * e.n_models == 1 else "mean log-odds"),
        scaled([(value_in_words(_dateless(row)), row["contribution"]) for row in values]),
        upwards, downwards, cells, before, after, back,
    )  # fmt: skip


def _verdict(e: Explanation) -> str:
    called = CLASSES[int(e.probability >= e.threshold)]
    if e.label not in CLASSES:
        return f"Called {called}. The true class is not known."
    true = CLASSES[e.label]
    return f"Called {called}" + (
        ", which is the true class." if called == true else f"; the true class is {true}."
    )


def _made(e: Explanation) -> list[str]:
    heads = "One head" if len(e.members) == 1 else f"The mean of {len(e.members)} heads"
    said = (f"{heads}, {fitting_in_words(e)}.", several_in_words(e), methods_in_words(e, brackets=False))
    return [one for one in said if one]


def _rows(table: pd.DataFrame | None) -> list[dict[Any, Any]]:
    return [] if table is None else table.to_dict("records")


def _dateless(row: Mapping[Any, Any]) -> dict[Any, Any]:
    """The row with an age in whole years: one to the day, counted to a known day, is a date of birth."""
    found = dict(row)
    if row["value"] == "age" and str(row["text"]).endswith(" years"):
        found["text"] = f"{float(str(row['text']).removesuffix(' years')):.0f} years"
    return found


def _measurements(e: Explanation) -> tuple[list[Bar], list[Bar]]:
    """The strongest towards malignant, and towards reactive, on one scale."""
    if e.measurements is None:
        return [], []
    above = e.measurements[e.measurements["contribution"] > 0].head(_TOP)
    below = e.measurements[e.measurements["contribution"] < 0].tail(_TOP).iloc[::-1]
    rows = [*_rows(above), *_rows(below)]
    bars = scaled([(measured_in_words(row), row["contribution"]) for row in rows])
    return bars[: len(above)], bars[len(above) :]


def waterfall(parts: Mapping[str, float], total: str) -> list[Bar]:
    """Contributions one after the other, each bar beginning where the last one ended, and their sum.

    Args:
        parts: label → log-odds.
        total: label of the sum.
    """
    stops, at = [0.0], 0.0
    for value in parts.values():
        at += value
        stops.append(at)
    low, high = min(stops), max(stops)
    scale = 100 / (high - low) if high > low else 0.0
    found = []
    for (label, value), start in zip(parts.items(), stops, strict=False):
        left = scale * (min(start, start + value) - low)
        found.append(Bar(label, value, number(value, 2, signed=True), left, scale * abs(value), -scale * low))
    left = scale * (min(0.0, at) - low)
    words = number(at, 2, signed=True)
    return [*found, Bar(total, at, words, left, scale * abs(at), -scale * low, total=True)]


def scaled(contributions: Sequence[tuple[str, float]]) -> list[Bar]:
    """Contributions beside each other, each bar from 0 in the middle.

    Args:
        contributions: (label, log-odds).
    """
    if not contributions:
        return []
    largest = max((abs(value) for _, value in contributions if value == value), default=0.0)
    scale = 50 / largest if largest else 0.0
    digits = digits_for(pd.DataFrame({"contribution": [value for _, value in contributions]}))
    return [
        Bar(
            label,
            value,
            number(value, digits, signed=True),
            50 + scale * min(value, 0.0),
            scale * abs(value),
            50.0,
        )
        for label, value in contributions
    ]
