"""The permutation test: the score with the true labels beside those with shuffled ones."""

import pandas as pd

from ..wording import metric_label, number
from .drawn import Drawn
from .style import MAIN, MUTED, OTHER, new_figure, paper_style

__all__ = ["permutation_figure"]


@paper_style()
def permutation_figure(permutation: pd.DataFrame) -> Drawn:
    """The score, and the middle 95 % of the shuffles.

    Args:
        permutation: the table of that name of an evaluation: one row.

    Example:
        >>> permutation_figure(tables["permutation"])
        <Drawn permutation: Permutation test, ... rows>
    """
    row = permutation.iloc[0]
    label = metric_label(str(row["metric"]))
    figure, axes = new_figure(1, 34)
    low, high = float(row["shuffled_q025"]), float(row["shuffled_q975"])
    axes.plot([low, high], [0, 0], color=OTHER, linewidth=5, solid_capstyle="butt")
    axes.plot([row["shuffled_mean"]], [0], color=MUTED, marker="|", markersize=11, markeredgewidth=1.4)
    axes.plot([row["value"]], [0], color=MAIN, marker="D", markersize=5, linestyle="none")
    p = "p < 0.001" if row["p"] < 0.001 else f"p = {number(row['p'])}"
    shuffles = int(row["shuffles"])
    for x, text, colour, y in (
        (float(row["value"]), f"true labels\n{number(row['value'])}, {p}", MAIN, 0.42),
        ((low + high) / 2, f"{shuffles} shuffles\n{number(row['shuffled_mean'])}", MUTED, -0.42),
    ):
        axes.text(
            x,
            y,
            text,
            color=colour,
            ha="center",
            va="bottom" if y > 0 else "top",
            fontsize=6.5,
            linespacing=1.2,
        )
    ends = [low, high, float(row["value"]), 0.5]
    room = 0.18 * (max(ends) - min(ends))
    axes.set(xlim=(min(ends) - room, max(ends) + room), ylim=(-1.4, 1.4), yticks=[], xlabel=label)
    axes.spines["left"].set_visible(False)
    return Drawn(
        "permutation", "Permutation test",
        "The score of the whole search with the true labels (diamond), and with labels dealt out at random: bar, "
        "middle 95 % of the shuffles; stroke, their mean.",
        f"{label}: {number(row['value'])} with the true labels, {number(row['shuffled_mean'])} on average over "
        f"{shuffles} shuffles (middle 95 %: {number(low)} to {number(high)}); {p}.",
        figure, permutation,
    )  # fmt: skip
