"""How much better a selected score looks than the nested one, as dumbbells."""

import numpy as np
import pandas as pd

from ..metric import NAMED
from ..wording import compact_difference, number
from .drawn import Drawn
from .forest import beside, name_rows, rows_from_the_top
from .rows import interval_in
from .style import FOURTH, MAIN, MUTED, PAPER, legend_above, new_figure, paper_style

__all__ = ["optimism_figure"]


@paper_style()
def optimism_figure(optimism: pd.DataFrame) -> Drawn:
    """Nested and selected score of each metric.

    Args:
        optimism: the table of that name of an evaluation, with a selected score ("tuned").

    Example:
        >>> optimism_figure(tables["optimism"])
        <Drawn optimism: Optimism of the selected score, ... rows>
    """
    rows = optimism.to_dict("records")
    labels = [
        NAMED[str(row["metric"])].header if row["metric"] in NAMED else str(row["metric"]) for row in rows
    ]
    figure, axes = new_figure(1, 22 + 6 * len(rows))
    for y, row in enumerate(rows):
        axes.plot([row["nested"], row["tuned"]], [y, y], color=MUTED, linewidth=1.2, zorder=1)
        axes.plot(
            [row["tuned"]], [y], color=FOURTH, marker="D", markersize=4.6, markerfacecolor=PAPER, markeredgewidth=1.1,
            linestyle="none", label="" if y else "selected",
        )  # fmt: skip
        axes.plot(
            [row["nested"]], [y], color=MAIN, marker="o", markersize=3.4, linestyle="none", label="" if y else "nested"
        )  # fmt: skip
        found = interval_in(row, "optimism")
        beside(axes, y, compact_difference(found))
    values = optimism[["nested", "tuned"]].to_numpy(np.float64)
    axes.set(xlim=(0, max(1.0, 1.05 * float(np.nanmax(values)))), xlabel="score")
    rows_from_the_top(axes, len(rows))
    name_rows(axes, labels)
    axes.text(1.03, 1.0, "optimism", transform=axes.transAxes, va="bottom", fontsize=6.5, color=MUTED)
    legend_above(axes, 2, handlelength=0.8, handletextpad=0.4, columnspacing=0.8)
    return Drawn(
        "optimism", "Optimism of the selected score",
        "Nested score (circle) and the score that the search on all folds reported for what it selected (diamond), "
        "with the difference and its 95 % interval; ↓: smaller is better. A positive difference flatters the "
        "selected score.",
        "Nested and selected scores. "
        + "; ".join(
            f"{label}: nested {number(row['nested'])}, selected {number(row['tuned'])}"
            for label, row in zip(labels, rows, strict=True)
        )
        + ".",
        figure, optimism,
    )  # fmt: skip
