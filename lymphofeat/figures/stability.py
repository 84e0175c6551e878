"""How alike the runs decide: every patient's probability with its range, and who is decided wrongly."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from .drawn import Drawn
from .predicted import ids_of, runs_of
from .style import GRID, INK, MALIGNANT, MUTED, OTHER, PAPER, REACTIVE, legend_above, new_figure, paper_style

__all__ = ["stability_figure"]

_CLASSES = ((0, "reactive", REACTIVE, "s"), (1, "malignant", MALIGNANT, "o"))


@paper_style()
def stability_figure(predictions: pd.DataFrame) -> Drawn:
    """Patients by their mean probability, the range over the runs, and those that are decided wrongly.

    Args:
        predictions: the table `predictions` of an evaluation; its ids stand in the figure's table, so give what may be
            shown.

    Returns:
        A figure whose table has a row per patient, by mean probability: patient, label, probability (mean), least,
        most, wrong_runs, runs, flip_rate (share of pairs of runs that decide differently; NaN of one run).

    Example:
        >>> stability_figure(tables["predictions"])
        <Drawn stability: Probability of every patient, ... rows>
    """
    table = _table(predictions)
    n_runs = int(table["runs"].iloc[0])
    several = n_runs > 1
    if several:
        figure, (axes, below) = new_figure(
            2, 88, nrows=2, sharex=True, gridspec_kw={"height_ratios": (3.2, 1)}
        )  # fmt: skip
    else:
        figure, axes = new_figure(2, 66)
    _draw_patients(axes, table, n_runs)
    last = axes
    if several:
        below.bar(np.arange(1, len(table) + 1), table["flip_rate"], width=0.8, color=OTHER, linewidth=0)
        below.set(ylim=(0, max(0.1, float(table["flip_rate"].max()) * 1.08)), ylabel="flip rate")
        last = below
    last.set(xlabel="patients, ordered by probability", xlim=(0, len(table) + 1))
    wrong = int((2 * table["wrong_runs"] > n_runs).sum())
    in_runs = f"{wrong} of them wrongly decided{' in most runs' if several else ''}"
    flips = f" {int((table['flip_rate'] > 0).sum())} are decided differently by some run." if several else ""
    of_runs = (
        f"Symbols are means over {n_runs} runs, lines their range; the flip rate is the share of pairs of runs that "
        "decide the patient differently."
        if several
        else "One run says nothing about how the next would decide."
    )
    return Drawn(
        "stability", "Probability of every patient",
        f"Nested probability of malignant, patients in its order; crosses mark the wrongly decided. {of_runs} A "
        "patient above 0.5 may be called reactive, since every fold has its own threshold.",
        f"Probabilities of {len(table)} patients, {in_runs}.{flips}",
        figure, table,
    )  # fmt: skip


def _table(predictions: pd.DataFrame) -> pd.DataFrame:
    runs = runs_of(predictions)
    p = runs.probabilities
    wrong = (runs.decisions != (runs.y == 1)[:, None]).sum(axis=1)
    table = pd.DataFrame(
        {
            "patient": ids_of(predictions), "label": runs.y, "probability": p.mean(axis=1), "least": p.min(axis=1),
            "most": p.max(axis=1), "wrong_runs": wrong, "runs": runs.n_runs, "flip_rate": _flip_rate(runs.decisions),
        }
    )  # fmt: skip
    return table.sort_values("probability", kind="stable", ignore_index=True)


def _flip_rate(decisions: NDArray[np.bool_]) -> NDArray[np.float64]:
    from ..estimates import agreement

    if decisions.shape[1] == 1:
        return np.full(len(decisions), np.nan)
    return np.asarray(agreement(decisions.T).flip_rate)


def _draw_patients(axes: Axes, table: pd.DataFrame, n_runs: int) -> None:
    x = np.arange(1, len(table) + 1)
    size = float(np.clip(420 / len(table), 1.2, 3.6))
    handles = []
    for label, name, colour, marker in _CLASSES:
        rows = (table["label"] == label).to_numpy()
        part = table[rows]
        if n_runs > 1:
            axes.vlines(
                x[rows],
                part["least"],
                part["most"],
                color=colour,
                linewidth=float(np.clip(200 / len(table), 0.25, 0.7)),
                alpha=0.6,
            )
        face = colour if label else PAPER
        style: dict[str, Any] = {
            "linestyle": "none",
            "color": colour,
            "marker": marker,
            "markerfacecolor": face,
        }
        axes.plot(x[rows], part["probability"], markersize=size, markeredgewidth=0.8, **style)
        handles.append(Line2D([], [], markersize=3.6, markeredgewidth=0.8, label=name, **style))
    rows = (2 * table["wrong_runs"] > n_runs).to_numpy()
    style = {"linestyle": "none", "color": INK, "marker": "x", "markeredgewidth": 0.9}
    axes.plot(x[rows], table.loc[rows, "probability"], markersize=size + 3, **style)
    name = "wrongly decided" if n_runs == 1 else "wrongly decided in most runs"
    handles.append(Line2D([], [], markersize=5.5, label=name, **style))
    axes.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=":", zorder=0)
    axes.grid(axis="y", color=GRID, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.set(ylim=(-0.03, 1.03), ylabel="probability of malignant")
    legend_above(axes, 3, handles=handles, handletextpad=0.2)
