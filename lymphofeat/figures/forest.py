"""Forest plots: a row each, a value with its interval, and the number beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes

from .looks import Look
from .style import GRID, INK, MUTED, PAPER

__all__ = ["ForestRow", "beside", "draw_forest", "forest_height", "name_rows", "rows_from_the_top"]

_ROW, _LINE, _MARGIN = 5.4, 2.9, 17.0  # millimetres


@dataclass(frozen=True)
class ForestRow:
    """A row of a forest plot.

    Attributes:
        value, low, high: NaN where not known; without bounds there is no line, without a value no symbol.
        text: beside the panel.
        look: colour and symbol.
        filled: an open symbol says that the row cannot be told apart from the line, in grey too.
    """

    value: float
    low: float
    high: float
    text: str
    look: Look
    filled: bool = True


def draw_forest(
    axes: Axes, rows: Sequence[ForestRow], *, title: str, label: str, reference: float, around: float = 0.04
) -> None:
    """Draw rows from the top of one panel.

    Args:
        axes: the panel.
        rows: from the top.
        title: above it.
        label: of its axis.
        reference: where the upright line stands: chance, or no difference; NaN: there is none.
        around: room at both ends, as a share of the range.
    """
    every = [reference, *(x for row in rows for x in (row.value, row.low, row.high))]
    known = [x for x in every if np.isfinite(x)] or [0.0, 1.0]
    least, most = min(known), max(known)
    room = around * (most - least or 1.0)
    if np.isfinite(reference):
        axes.axvline(reference, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    for y, row in enumerate(rows):
        if np.isfinite(row.low) and np.isfinite(row.high):
            axes.plot(
                [row.low, row.high], [y, y], color=row.look.colour, linewidth=1.1, solid_capstyle="butt"
            )
        if np.isfinite(row.value):
            axes.plot(
                [row.value], [y], color=row.look.colour, marker=row.look.marker, markersize=4.2,
                markerfacecolor=row.look.colour if row.filled else PAPER, markeredgewidth=1,
            )  # fmt: skip
        beside(axes, y, row.text, muted=bool(np.isnan(row.value)))
    axes.set(xlim=(least - room, most + room), xlabel=label, title=title)
    rows_from_the_top(axes, len(rows))


def rows_from_the_top(axes: Axes, n: int) -> None:
    """Rows 0 to n − 1 from the top, without names, and upright lines behind them."""
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_yticks(range(n))
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=4)


def beside(axes: Axes, y: float, text: str, *, muted: bool = False) -> None:
    """Text at the right of a row, outside the panel."""
    axes.text(
        1.03, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=6.5, color=MUTED if muted else INK
    )  # fmt: skip


def name_rows(axes: Axes, names: Sequence[str], width: int = 27) -> None:
    """Name the rows at the left of a panel; long names take several lines."""
    axes.set_yticks(range(len(names)), [fill(name, width, break_on_hyphens=True) for name in names])
    axes.tick_params(axis="y", labelleft=True)


def forest_height(names: Sequence[str], width: int = 27) -> float:
    """Millimetres that a panel of rows of these names needs."""
    lines = max(fill(name, width).count("\n") for name in names) if names else 0
    return _MARGIN + len(names) * max(_ROW, (lines + 1) * _LINE + 1)
