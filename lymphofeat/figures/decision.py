"""The decision curve: what acting on the pipeline is worth, beside treating all, treating none and clinical values."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..wording import listed, number
from .drawn import Drawn
from .looks import LOOKS
from .style import INK, MAIN, MUTED, legend_above, new_figure, paper_style

__all__ = ["decision_figure"]

_SPOKEN = (0.1, 0.2, 0.3, 0.5)


@paper_style()
def decision_figure(decision_curves: pd.DataFrame) -> Drawn:
    """Net benefit over threshold probabilities (Vickers & Elkin, Medical Decision Making 26, 2006).

    Args:
        decision_curves: the table of that name of an evaluation; `clinical` need not be in it.

    Example:
        >>> decision_figure(tables["decision_curves"])
        <Drawn decision-curve: Decision curve, ... rows>
    """
    x = decision_curves["threshold"].to_numpy(np.float64)
    figure, axes = new_figure(1, 70)
    axes.fill_between(
        x, decision_curves["over_treat_none_low"], decision_curves["over_treat_none_high"], color=MAIN, alpha=0.15,
        linewidth=0,
    )  # fmt: skip
    lines = {"main": ("model", LOOKS["main"].colour, LOOKS["main"].dashes, 1.6)}
    if "clinical" in decision_curves:
        lines["clinical"] = ("clinical only", LOOKS["clinical"].colour, LOOKS["clinical"].dashes, 1.4)
    lines["treat_all"] = ("treat all", INK, (0, (1, 1.3)), 1.0)
    lines["treat_none"] = ("treat none", MUTED, "-", 0.8)
    for column, (label, colour, dashes, width) in lines.items():
        axes.plot(x, decision_curves[column], color=colour, linestyle=dashes, linewidth=width, label=label)
    _limit(axes, decision_curves)
    axes.set(xlim=(0, 1), xlabel="threshold probability", ylabel="net benefit\n(true positives per patient)")
    legend_above(axes, 2, handlelength=2.6)
    calibrated = bool(decision_curves["calibrated"].all())
    beaten = decision_curves.loc[decision_curves["over_treat_all_low"] > 0, "threshold"]
    spoken = decision_curves[np.isclose(x[:, None], _SPOKEN).any(axis=1)]
    return Drawn(
        "decision-curve", "Decision curve",
        "Net benefit if every patient whose probability reaches the threshold is treated as malignant; a threshold of "
        "0.2 means that four false alarms are worth one patient found. The band is the model’s pointwise 95 % "
        f"interval. Probabilities were {'' if calibrated else 'not '}calibrated inside the folds.",
        "Decision curves. "
        + "; ".join(
            f"at {number(row['threshold'], 2)}: model {number(row['main'])}, treat all {number(row['treat_all'])}"
            + (f", clinical only {number(row['clinical'])}" if "clinical" in row else "")
            for row in spoken.to_dict("records")
        )
        + ". "
        + (
            "At no threshold does the interval show that the model is worth more than treating all."
            if beaten.empty
            else f"The model is worth more than treating all at {len(beaten)} of {len(x)} thresholds: "
            f"{listed([number(one, 2) for one in beaten], 5)}."
        ),
        figure, decision_curves,
    )  # fmt: skip


def _limit(axes: Axes, table: pd.DataFrame) -> None:
    """Treating all falls without end; what is below a third of the best says no more."""
    top = float(np.nanmax(table[["main", "over_treat_none_high", "treat_all"]].to_numpy(np.float64)))
    least = float(np.nanmin(table[["main", "over_treat_none_low"]].to_numpy(np.float64)))
    top = max(top, 0.05)
    axes.set_ylim(max(min(least, 0.0), -top) - 0.2 * top, 1.06 * top)
