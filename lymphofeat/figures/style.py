"""One style for all figures: column widths of journals, small type, and colours that the colour-blind tell apart.

The colours are those of Okabe and Ito (jfly.uni-koeln.de/color, 2008), ink and greys beside them. Figures use these
constants only: on the page each becomes a variable of the style sheet, so that a figure follows the theme.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "FOURTH",
    "GRID",
    "INK",
    "MAIN",
    "MALIGNANT",
    "MUTED",
    "OTHER",
    "PAPER",
    "REACTIVE",
    "THIRD",
    "legend_above",
    "new_figure",
    "paper_style",
]

INK = "#1a1c1e"
MUTED = "#5f6469"
GRID = "#d9dcdf"
MALIGNANT = "#d55e00"
REACTIVE = "#0072b2"
MAIN = "#00684c"
OTHER = "#7b7f85"
THIRD = "#c0639b"
FOURTH = "#b07c00"
PAPER = "#fefefe"  # inside open symbols: what lies behind them is hidden

# Hex value → the variable of the style sheet.
COLOURS = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    MALIGNANT: "malignant",
    REACTIVE: "reactive",
    MAIN: "main",
    OTHER: "other",
    THIRD: "third",
    FOURTH: "fourth",
    PAPER: "card",
}

_WIDTHS = {1: 85.0, 2: 178.0}  # millimetres of one and of two columns
_INCH = 25.4
_RC: Any = {  # keys are literals to the type checker
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so that every machine draws alike
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "axes.prop_cycle": cycler(color=[MAIN, MALIGNANT, REACTIVE, THIRD, FOURTH, OTHER]),
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "pdf.fonttype": 42,  # TrueType, embedded: journals refuse Type 3
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "lymphofeat",
    "axes.unicode_minus": True,
}


@contextmanager
def paper_style() -> Iterator[None]:
    """The style, for what draws and for what saves; the caller's own settings come back.

    A function that draws is decorated with it (`@paper_style()`): sizes of text are fixed when the text is made.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def new_figure(columns: int = 1, height: float = 60.0, **subplots: Any) -> tuple[Figure, Any]:
    """A figure of a journal's column width; made without pyplot, so that nothing opens a window or stays in memory.

    Args:
        columns: 1 (85 mm) or 2 (178 mm).
        height: in millimetres.
        subplots: as of `Figure.subplots`, such as nrows, ncols, sharex, gridspec_kw.

    Returns:
        The figure with a constrained layout, and its axes, one or an array of them.

    Example:
        >>> figure, axes = new_figure(height=50)
        >>> round(figure.get_figwidth() * 25.4)
        85
    """
    with paper_style():
        figure = Figure(figsize=(_WIDTHS[columns] / _INCH, height / _INCH), layout="constrained")
        return figure, figure.subplots(**subplots)


def legend_above(axes: Axes, columns: int = 1, **options: Any) -> None:
    """The legend above the axes, where it hides no data, whatever these are.

    Args:
        axes: whose.
        columns: entries beside each other.
        options: as of `Axes.legend`.
    """
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.01), ncols=columns, borderaxespad=0, borderpad=0.2,
        **{"columnspacing": 1.4, "labelspacing": 0.35, "alignment": "left", **options},
    )  # fmt: skip
