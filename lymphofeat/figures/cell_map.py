"""The map of all cells as a figure for paper; on the page it is a canvas."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from .drawn import Drawn
from .style import INK, MALIGNANT, MUTED, OTHER, REACTIVE, new_figure, paper_style

__all__ = ["CLASS_COLOURS", "draw_cell_map"]

CLASS_COLOURS = {"reactive": REACTIVE, "malignant": MALIGNANT, "not known": OTHER}
_EVEN = "#b9bec4"  # a contribution of 0; points are pixels in every format, so that no colour follows the page's theme
_GOLDEN = 0.6180339887  # steps of hue by this share keep neighbours in the list apart
_DPI = 160  # of the points, where they are pixels


def draw_cell_map(points: pd.DataFrame, caption: str, alt: str) -> Drawn:
    """The map coloured by class and by patient, and by contribution where there is one.

    Args:
        points: (n_cells,) rows in the order in which they are painted: patient, image (names to show), class
            ("reactive", "malignant", "not known"), x, y, and contribution (log-odds) where it is known.
        caption, alt: see `Drawn`.
    """
    with paper_style():
        figure = _figure(points)
    return Drawn("cell-map", "Map of the cells", caption, alt, figure, points)


def _figure(points: pd.DataFrame) -> Figure:
    weighed = "contribution" in points and bool(points["contribution"].notna().any())
    titles = ["Class", "Patient", *(["Contribution"] if weighed else [])]
    figure, axes = new_figure(2, height=72 if weighed else 100, ncols=len(titles), squeeze=False)
    figure.set_dpi(_DPI)
    size = float(np.clip(6000 / max(len(points), 1), 1.2, 12))
    x, y = points["x"].to_numpy(), points["y"].to_numpy()

    def painted(ax: Any, colours: Any, **how: Any) -> Any:
        return ax.scatter(x, y, s=size, c=colours, linewidths=0, alpha=0.85, rasterized=True, **how)

    painted(axes[0, 0], points["class"].map(CLASS_COLOURS))
    there = [name for name in CLASS_COLOURS if (points["class"] == name).any()]
    marks = [
        Line2D([], [], marker="o", linestyle="", color=CLASS_COLOURS[name], label=name) for name in there
    ]
    axes[0, 0].legend(
        handles=marks, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=len(marks), handletextpad=0.1
    )
    painted(axes[0, 1], _by_patient(points["patient"]))
    axes[0, 1].text(
        0.5, -0.02, f"a colour for each of {points['patient'].nunique():,} patients",
        transform=axes[0, 1].transAxes, ha="center", va="top", color=MUTED, fontsize=6.5,
    )  # fmt: skip
    if weighed:
        limit = symmetric_limit(points["contribution"].to_numpy())
        ramp = LinearSegmentedColormap.from_list("contribution", [REACTIVE, _EVEN, MALIGNANT])
        shown = painted(axes[0, 2], points["contribution"], cmap=ramp, vmin=-limit, vmax=limit)
        bar = figure.colorbar(shown, ax=axes[0, 2], location="bottom", shrink=0.8, aspect=25, pad=0.02)
        bar.set_label("log-odds of malignant")
        bar.outline.set_visible(False)
        if bar.solids is not None:
            bar.solids.set(rasterized=True, alpha=1)
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, color=INK)
        ax.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        for spine in ax.spines.values():
            spine.set_visible(False)
    return figure


def symmetric_limit(values: NDArray[np.float64]) -> float:
    """The contribution at which a colour scale ends: 98 of 100 cells lie within; 1 where nothing contributes."""
    known = np.abs(values[np.isfinite(values)])
    limit = float(np.quantile(known, 0.98)) if len(known) else 0.0
    return limit or float(known.max(initial=0.0)) or 1.0


def _by_patient(patients: "pd.Series[Any]") -> list[tuple[float, float, float]]:
    import colorsys

    hue = {name: k * _GOLDEN % 1 for k, name in enumerate(dict.fromkeys(sorted(patients)))}
    return [colorsys.hls_to_rgb(hue[name], 0.5, 0.6) for name in patients]
