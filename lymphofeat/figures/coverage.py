"""Deciding some patients and referring the others: the risk–coverage curve, and what each triage rule delivers."""

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from ..wording import compact_interval, number
from .drawn import Drawn
from .forest import beside, forest_height, name_rows, rows_from_the_top
from .rows import intervals_in
from .style import GRID, INK, MAIN, MUTED, PAPER, legend_above, new_figure, paper_style

__all__ = ["risk_coverage_figure", "triage_figure"]

_SPOKEN = (0.5, 0.75, 0.9, 1.0)
_OF = {"the decided": "the decided", "all patients": "all patients", "either class": "each class"}


@paper_style()
def risk_coverage_figure(risk_coverage: pd.DataFrame) -> Drawn:
    """The error among the patients that are decided, if only the most certain are.

    Args:
        risk_coverage: the table of that name of an evaluation.

    Example:
        >>> risk_coverage_figure(tables["risk_coverage"])
        <Drawn risk-coverage: Risk–coverage curve, ... rows>
    """
    x, risk = (risk_coverage[name].to_numpy(np.float64) for name in ("coverage", "risk"))
    area = compact_interval(intervals_in(risk_coverage, "aurc")[0])
    figure, axes = new_figure(1, 66)
    axes.plot(x, risk, color=MAIN, marker="o", markersize=2.6, label="model")
    axes.plot(
        x, risk_coverage["least_risk"], color=MUTED, linestyle=(0, (3, 1.5)), linewidth=1,
        label="least possible, the wrong ones last",
    )  # fmt: skip
    axes.set(
        xlim=(0, 1.015), xlabel="patients decided, the most certain first", ylabel="error among the decided"
    )  # fmt: skip
    axes.set_ylim(-0.03 * (top := max(0.05, 1.25 * float(np.nanmax(risk)))), top)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_tick))
    axes.grid(color=GRID, linewidth=0.4)
    legend_above(axes, title=f"area under the curve {area}", title_fontsize=6.5)
    spoken = risk_coverage[np.isclose(x[:, None], _SPOKEN).any(axis=1)]
    return Drawn(
        "risk-coverage", "Risk–coverage curve",
        "Error among the decided patients if only the most certain are decided and the others referred. The dashed "
        "line is what as many errors would show if the wrong patients were the least certain ones.",
        f"Risk–coverage curve, area {area}. "
        + "; ".join(
            f"{100 * row['coverage']:.0f} % decided: error {number(row['risk'])}"
            for row in spoken.to_dict("records")
        )
        + ".",
        figure, risk_coverage,
    )  # fmt: skip


@paper_style()
def triage_figure(triage: pd.DataFrame) -> Drawn:
    """How many patients each rule decides, and how wrong it then is, on patients not used for the rule.

    Args:
        triage: the table of that name of an evaluation.

    Example:
        >>> triage_figure(tables["triage"])
        <Drawn triage: Deciding some, referring the others, ... rows>
    """
    rows = triage.to_dict("records")
    names = [
        f"{row['rule']}, {_percent(row['target_error'])} of {_OF.get(str(row['of']), str(row['of']))} "
        f"({_percent(row['confidence'])})"
        for row in rows
    ]
    figure, (decided, wrong) = new_figure(2, forest_height(names, 46), ncols=2)
    errors = triage[["target_error", "measured_wrong", "measured_wrong_high"]].to_numpy(np.float64)
    most = min(1.0, 1.08 * float(np.nanmax(errors)))
    for y, row in enumerate(rows):
        share, error = row["measured_decided"], row["measured_wrong"]
        decided.barh([y], [share], height=0.55, color=MAIN, alpha=0.5, linewidth=0)
        decided.plot([row["decided"]], [y], color=INK, marker="|", markersize=7, markeredgewidth=1.3)
        beside(decided, y, _percent(share))
        wrong.plot(
            [row["target_error"]] * 2, [y - 0.38, y + 0.38], color=INK, linewidth=1.2, linestyle=(0, (1.5, 1))
        )
        low, high = row["measured_wrong_low"], row["measured_wrong_high"]
        if np.isnan(error):
            text = "nobody decided"
        else:
            text = f"{_percent(error)} ({_percent(low)} to {_percent(high)})"
            wrong.plot([low, high], [y, y], color=MAIN, linewidth=1.1, solid_capstyle="butt")
            wrong.plot(
                [error], [y], color=MAIN, marker="o", markersize=4.2, markeredgewidth=1,
                markerfacecolor=PAPER if high > row["target_error"] else MAIN,
            )  # fmt: skip
        beside(wrong, y, text, muted=bool(np.isnan(error)))
    decided.set(xlim=(0, 1), title="Decided", xlabel="share of patients")
    wrong.set(xlim=(-0.02 * most, most), title="Observed error", xlabel="wrong among the decided")
    for axes in (decided, wrong):
        rows_from_the_top(axes, len(rows))
        axes.xaxis.set_major_formatter(FuncFormatter(_tick))
    name_rows(decided, names, 46)
    return Drawn(
        "triage", "Deciding some, referring the others",
        "Rule, target error, and in brackets its confidence. Bars: patients that a rule decides when it is found on "
        "the other folds’ patients; upright strokes: on all patients. Symbols: the error then observed with its exact "
        "95 % interval; dotted: the target error. An open symbol says that the interval reaches beyond the target.",
        "Triage rules. "
        + "; ".join(
            f"{name}: {_percent(row['measured_decided'])} decided, "
            + ("nobody" if np.isnan(row["measured_wrong"]) else f"{_percent(row['measured_wrong'])} of them wrong")
            for name, row in zip(names, rows, strict=True)
        )
        + ".",
        figure, triage,
    )  # fmt: skip


def _percent(share: float) -> str:
    return "—" if np.isnan(share) else f"{100 * share:.0f} %"


def _tick(share: float, _: int) -> str:
    return f"{100 * share:.4g} %"
