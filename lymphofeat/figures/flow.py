"""Who was found, who was excluded and why, and who was included, as boxes and arrows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from .drawn import Drawn
from .style import INK, MALIGNANT, MUTED, OTHER, REACTIVE, new_figure, paper_style

__all__ = ["EXCLUDED", "FOUND", "INCLUDED", "REASON", "flow_figure"]

FOUND, EXCLUDED, REASON, INCLUDED = "found", "excluded", "excluded for a reason", "included"
_COLOURS = {"reactive": REACTIVE, "malignant": MALIGNANT}
_MOST_REASONS = 8

# Millimetres, in which the axes count.
_WIDTH, _SPINE, _SIDE, _GAP = 85.0, 39.0, 40.0, 2.0
_LINE, _PADDING, _ARROW = 3.1, 2.6, 6.5
_LETTER = 1.32  # of 6.5 points, on average
_SIZE = 6.5


@dataclass(frozen=True)
class _Box:
    """A box by its top middle, with its lines of text; the first is bold."""

    x: float
    top: float
    width: float
    lines: Sequence[str]
    colour: str = MUTED
    left: bool = False  # where the lines begin; in the middle otherwise

    @property
    def height(self) -> float:
        return len(self.lines) * _LINE + _PADDING

    @property
    def bottom(self) -> float:
        return self.top - self.height

    def draw(self, axes: Axes) -> None:
        box = FancyBboxPatch(
            (self.x - self.width / 2, self.bottom), self.width, self.height, boxstyle="round,pad=0,rounding_size=0.9",
            facecolor="none", edgecolor=self.colour, linewidth=1.2 if self.colour != MUTED else 0.8,
        )  # fmt: skip
        axes.add_patch(box)
        x = self.x - (self.width / 2 - _PADDING / 2) * self.left
        for k, line in enumerate(self.lines):
            y = self.top - _PADDING / 2 - (k + 0.5) * _LINE
            axes.text(
                x, y, line, ha="left" if self.left else "center", va="center", fontsize=_SIZE, color=INK,
                fontweight="bold" if k == 0 else "normal",
            )  # fmt: skip


@paper_style()
def flow_figure(flow: pd.DataFrame, records: str = "patients") -> Drawn:
    """The flow of patients and images, as in reports by CONSORT and STARD.

    Args:
        flow: columns step, reason, patients, images; the rows `FOUND`, `EXCLUDED`, one `REASON` per reason (of the
            images, those of the patients among them), `INCLUDED`, and then the groups of the included ones, each once.
        records: "records" where persons have several.

    Example:
        >>> rows = [("found", 3, 30), ("excluded", 0, 0), ("included", 3, 30), ("reactive", 1, 9), ("malignant", 2, 21)]
        >>> flow = pd.DataFrame(rows, columns=["step", "patients", "images"]).assign(reason="")
        >>> flow_figure(flow)
        <Drawn flow: Flow of patients and images, 5 rows>
    """
    boxes, arrows, height = _layout(flow, records)
    figure, axes = new_figure(1, height + 3)
    axes.set(xlim=(0, _WIDTH), ylim=(-height, 0))
    axes.set_axis_off()
    for (x, y), (to_x, to_y), head in arrows:
        style = "-|>,head_length=0.45,head_width=0.2" if head else "-"
        axes.annotate(
            "", (to_x, to_y), (x, y),
            arrowprops={"arrowstyle": style, "color": MUTED, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
    for box in boxes:
        box.draw(axes)
    return Drawn(
        "flow", "Flow of patients and images",
        _caption(flow, records), _alt(flow, records), figure, flow,
    )  # fmt: skip


def _caption(flow: pd.DataFrame, records: str) -> str:
    steps = set(flow["step"])
    excluded = "excluded with the reason, " if REASON in steps else ""
    others = steps - {FOUND, EXCLUDED, REASON, INCLUDED, *_COLOURS}
    known = f"{records.capitalize()} and images of cells: found, {excluded}included, and the included ones by class."
    return f"{known} Models are fitted and scored on the two classes only." if others else known


_Arrow = tuple[tuple[float, float], tuple[float, float], bool]


def _layout(flow: pd.DataFrame, records: str) -> tuple[list[_Box], list[_Arrow], float]:
    """Boxes, arrows and the height of all."""
    found, excluded, included = (flow[flow["step"] == step].iloc[0] for step in (FOUND, EXCLUDED, INCLUDED))
    groups = flow[~flow["step"].isin([FOUND, EXCLUDED, REASON, INCLUDED])]
    boxes: list[_Box] = []
    arrows: list[_Arrow] = []
    middle, top = _WIDTH / 2, -0.5
    if excluded["patients"] or excluded["images"]:
        middle = _SPINE / 2 + 0.5
        boxes.append(_Box(middle, top, _SPINE, ["Found", *_counts(found, records)]))
        side = _Box(
            _WIDTH - _SIDE / 2 - 0.5,
            boxes[0].bottom - 2,
            _SIDE,
            list(_side(flow, excluded, records)),
            left=True,
        )
        y, top = side.top - side.height / 2, side.bottom - 2
        arrows += [
            ((middle, boxes[0].bottom), (middle, top), True),
            ((middle, y), (side.x - _SIDE / 2, y), True),
        ]
        boxes.append(side)
        title = ["Included"]
    else:
        title = ["Found and included"]
    spine = _Box(middle, top, _SPINE, [*title, *_counts(included, records)])
    boxes.append(spine)
    width = (_WIDTH - 1 - _GAP * (len(groups) - 1)) / len(groups)
    bus, top = spine.bottom - _ARROW / 2, spine.bottom - _ARROW
    places = [0.5 + width / 2 + k * (width + _GAP) for k in range(len(groups))]
    arrows += [
        ((middle, spine.bottom), (middle, bus), False),
        ((min(*places, middle), bus), (max(*places, middle), bus), False),
    ]
    for x, (_, group) in zip(places, groups.iterrows(), strict=True):
        arrows.append(((x, bus), (x, top), True))
        name = str(group["step"])
        lines = [*wrap(name[0].upper() + name[1:], _fits(width)), *_counts(group, records)]
        boxes.append(_Box(x, top, width, lines, _COLOURS.get(name, OTHER)))
    return boxes, arrows, 0.5 - min(box.bottom for box in boxes)


def _fits(width: float) -> int:
    """Letters in a box of that width."""
    return int((width - 2) / _LETTER)


def _side(flow: pd.DataFrame, excluded: "pd.Series[int]", records: str) -> Iterator[str]:
    yield "Excluded"
    yield from _counts(excluded, records)
    reasons = flow[flow["step"] == REASON]
    shown, rest = reasons.iloc[:_MOST_REASONS], reasons.iloc[_MOST_REASONS:]
    lines = [f"{row['reason']}: {_count_text(row, records)}" for _, row in shown.iterrows()]
    if len(rest):
        lines.append(f"{len(rest)} other reasons: {_count_text(rest[['patients', 'images']].sum(), records)}")
    for line in lines:
        yield from wrap(line, _fits(_SIDE), initial_indent="– ", subsequent_indent="   ")


def _counts(row: "pd.Series[int]", records: str) -> list[str]:
    """`12 patients` and `340 images`, the first only where there are some."""
    patients = [_n(row["patients"], records)] if row["patients"] else []
    return [*patients, _n(row["images"], "images")]


def _count_text(row: "pd.Series[int]", records: str) -> str:
    return ", ".join(_counts(row, records))


def _n(n: int, nouns: str) -> str:
    return f"{n:,}\u00a0{nouns.removesuffix('s') if n == 1 else nouns}"  # not broken between lines


def _alt(flow: pd.DataFrame, records: str) -> str:
    parts = []
    for _, row in flow.iterrows():
        if row["step"] == REASON:
            parts.append(f"excluded for the reason “{row['reason']}”: {_count_text(row, records)}")
        else:
            parts.append(f"{row['step']}: {_count_text(row, records)}")
    return f"Boxes and arrows. {'; '.join(parts)}."
