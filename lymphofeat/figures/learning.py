"""The learning curve: what more patients would bring."""

import numpy as np
import pandas as pd

from ..wording import compact_interval, metric_label
from .drawn import Drawn
from .rows import interval_in
from .style import GRID, INK, MAIN, MUTED, PAPER, new_figure, paper_style

__all__ = ["learning_figure"]


@paper_style()
def learning_figure(learning_curve: pd.DataFrame, metric: str = "auc") -> Drawn:
    """Scores by the number of training patients, the fitted law, and what it extrapolates to.

    Args:
        learning_curve: the table of that name of an evaluation.
        metric: that was measured.

    Example:
        >>> learning_figure(tables["learning_curve"])
        <Drawn learning-curve: Learning curve, ... rows>
    """
    measured = learning_curve[learning_curve["measured"].astype(bool)]
    beyond = learning_curve[~learning_curve["measured"].astype(bool)]
    x, fitted, low, high = (
        learning_curve[name].to_numpy(np.float64) for name in ("n", "fitted", "fitted_low", "fitted_high")
    )
    now = float(measured["n"].max())
    figure, axes = new_figure(1, 66)
    axes.fill_between(x, low, high, color=MAIN, alpha=0.15, linewidth=0)
    for part, dashes in ((x <= now, "-"), (x >= now, (0, (4, 2)))):
        axes.plot(x[part], fitted[part], color=MAIN, linestyle=dashes)
    axes.errorbar(
        measured["n"], measured["score"],
        [measured["score"] - measured["score_low"], measured["score_high"] - measured["score"]],
        fmt="o", color=INK, markersize=3.6, markerfacecolor=PAPER, markeredgewidth=1, elinewidth=0.8, zorder=4,
    )  # fmt: skip
    if len(beyond):
        axes.axvline(now, color=MUTED, linewidth=0.8, linestyle=":")
        axes.annotate(
            "extrapolated →", (now, 0.02), xycoords=("data", "axes fraction"), xytext=(3, 0),
            textcoords="offset points", color=MUTED, fontsize=6.5,
        )  # fmt: skip
    label = metric_label(metric)
    axes.set(xlim=(0, None), xlabel="training patients", ylabel=label)
    axes.grid(color=GRID, linewidth=0.4)
    axes.set_axisbelow(True)
    said = [
        f"{row['n']:.0f} patients: {compact_interval(interval_in(row, 'score'))}"
        for row in measured.to_dict("records")
    ]
    said += [
        f"{row['n']:.0f} patients, extrapolated: {compact_interval(interval_in(row, 'fitted'))}"
        for row in beyond.to_dict("records")
    ]
    return Drawn(
        "learning-curve", "Learning curve",
        f"{label} of heads with fixed parameters that learn from fewer patients, with 95 % intervals by patient. The "
        "curve is an inverse power law through the points; beyond the dotted line it is taken on trust.",
        f"Learning curve by {label}. {'; '.join(said)}.",
        figure, learning_curve,
    )  # fmt: skip
