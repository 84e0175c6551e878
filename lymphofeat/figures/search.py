"""A search with Optuna: the best trial of each head type, and the history."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..estimates.intervals import Interval
from ..metric import METRICS
from ..wording import compact_interval, number
from .drawn import Drawn
from .forest import ForestRow, draw_forest, forest_height, name_rows
from .looks import Look
from .style import FOURTH, GRID, INK, MAIN, MUTED, legend_above, new_figure, paper_style

__all__ = ["head_types_figure", "history_figure", "history_table"]

_BEST, _OTHERS = Look(MAIN, "-", "o"), Look(INK, "-", "o")
_MOST_TOLD = 5
_RASTER = 1500  # points, from which on they are an image in the file: smaller, and drawn at once


@paper_style()
def head_types_figure(table: pd.DataFrame, metric: str) -> Drawn:
    """The best trial of each head type with its interval.

    Args:
        table: columns head_type, trial, value, low, high, trials, stopped; the best first.
        metric: the study's.
    """
    names = [f"{row['head_type']} (trial {row['trial']})" for row in table.to_dict("records")]
    figure, axes = new_figure(1, forest_height(names))
    found = [Interval(*row) for row in table[["value", "low", "high"]].to_numpy(float)]
    rows = [
        ForestRow(*one, compact_interval(one), _BEST if k == 0 else _OTHERS) for k, one in enumerate(found)
    ]
    label = METRICS[metric].label
    draw_forest(axes, rows, title="", label=f"selected {label}", reference=found[0].value)
    name_rows(axes, names)
    told = "; ".join(
        f"{name} {compact_interval(one)}" for name, one in zip(names[:_MOST_TOLD], found, strict=False)
    )
    return Drawn(
        "head-types", "Best trial of each head type",
        f"Selected {label} of the best trial of each head type, with its 95 % interval; the dashed line is the best "
        "trial. Each was selected as the best of its head type on these same folds, so that the scores are optimistic.",
        f"Forest plot of {len(names)} head {'type' if len(names) == 1 else 'types'}, the best first: {told}.",
        figure, table,
    )  # fmt: skip


@paper_style()
def history_figure(trials: pd.DataFrame, metric: str) -> Drawn:
    """The value of every trial in its order, and the best so far.

    Args:
        trials: of `StudySummary.trials`: indexed by number, with value (NaN of a failed trial), state ("COMPLETE",
            "PRUNED", "FAIL") and head_type.
        metric: the study's.
    """
    table = history_table(trials, metric)
    figure, axes = new_figure(1, 62)
    label = METRICS[metric].label
    kinds = {state: table[table["state"] == state] for state in ("complete", "stopped", "failed")}
    many = len(table) > _RASTER
    complete, stopped, failed = kinds.values()
    axes.scatter(
        complete["trial"],
        complete["value"],
        s=8,
        color=MUTED,
        linewidths=0,
        rasterized=many,
        label="complete",
    )
    if len(stopped):
        axes.scatter(
            stopped["trial"], stopped["value"], s=9, marker="v", facecolors="none", edgecolors=FOURTH,
            linewidths=0.7, rasterized=many, label="stopped early",
        )  # fmt: skip
    best = table.dropna(subset=["best"])
    axes.step(best["trial"], best["best"], where="post", color=MAIN, label="best so far")
    if len(failed):
        axes.scatter(
            failed["trial"], np.full(len(failed), 0.03), s=12, marker="x", color=INK, linewidths=0.8,
            transform=axes.get_xaxis_transform(), label="failed",
        )  # fmt: skip
    _label(axes, label, len(table))
    legend_above(axes, 2)
    counts = ", ".join(f"{len(rows)} {state}" for state, rows in kinds.items() if len(rows))
    partly = "Stopped trials were clearly worse on the first folds; their value is of these only. "
    first, last = best["best"].iloc[0], best["best"].iloc[-1]
    reached = int(best.loc[best["best"] == last, "trial"].iloc[0])
    return Drawn(
        "history", "History of the search",
        f"{label[0].upper()}{label[1:]} of each trial in its order, and the best so far. {partly * (len(stopped) > 0)}"
        f"The best of many trials is {'lower' if METRICS[metric].is_loss else 'higher'} than it would be on new "
        "patients.",
        f"{len(table)} {'trial' if len(table) == 1 else 'trials'} ({counts}). The best so far begins at "
        f"{number(first)} and ends at {number(last)}, reached by trial {reached}.",
        figure, table,
    )  # fmt: skip


def history_table(trials: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Columns trial, head_type, state ("complete", "stopped", "failed"), value, best (of the complete ones so far)."""
    states = trials["state"].map({"COMPLETE": "complete", "PRUNED": "stopped", "FAIL": "failed"})
    complete = trials["value"].where(states == "complete")
    best = (complete.cummin() if METRICS[metric].is_loss else complete.cummax()).ffill()
    table = trials[["head_type", "value"]].assign(state=states, best=best).reset_index(names="trial")
    return table[["trial", "head_type", "state", "value", "best"]]


def _label(axes: Axes, label: str, n: int) -> None:
    axes.set(xlabel="trial", ylabel=label, xlim=(-0.5 - 0.02 * n, n - 0.5 + 0.02 * n))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(axis="y", color=GRID, linewidth=0.4)
    axes.set_axisbelow(True)
