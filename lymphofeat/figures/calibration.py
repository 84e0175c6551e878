"""Are the probabilities right? Observed shares against predicted probabilities, and how the probabilities lie."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.special import expit

from ..assess.runs import Runs
from ..estimates._logistic import fit_logistic, log_odds
from ..estimates.calibration import N_BINS, bins_of, calibration_slope
from ..estimates.exact import share_interval_over_runs
from ..wording import compact_difference, compact_interval, number
from .drawn import Drawn
from .predicted import runs_of
from .rows import interval_in, row_of
from .style import GRID, INK, MAIN, MALIGNANT, MUTED, PAPER, REACTIVE, new_figure, paper_style

__all__ = ["calibration_figure"]

Floats = NDArray[np.float64]

_PER_BIN = 10  # patients, so that an interval says something
_HISTOGRAM = np.linspace(0, 1, 21)
_POINTS = 60


@paper_style()
def calibration_figure(predictions: pd.DataFrame, calibration: pd.DataFrame) -> Drawn:
    """Reliability diagram of the nested probabilities as they are, with a histogram by class.

    Bins hold nearly equal numbers of patients, at least ten where there are as many; of several runs they are bins of
    all runs' probabilities, and an interval is the exact one (Clopper–Pearson) of the rounded mean counts of a run. The
    curve is logistic recalibration (Cox 1958), whose slope and intercept the table has; where the probabilities
    separate the classes, there is none.

    Args:
        predictions: the table `predictions` of an evaluation.
        calibration: its table `calibration`; the row "none" is of these probabilities.

    Returns:
        A figure whose table has a row per bin: part ("bin"), predicted (mean), observed with bounds, patients (mean of
        the runs); then one per bar of the histogram: part ("reactive" or "malignant"), from, to, patients.

    Example:
        >>> calibration_figure(tables["predictions"], tables["calibration"])
        <Drawn calibration: Calibration, ... rows>
    """
    runs = runs_of(predictions)
    bins = _bins(runs)
    row = row_of(calibration, "calibrator", "none")
    words = [
        f"slope {compact_interval(interval_in(row, 'calibration_slope'))}",
        f"intercept {compact_difference(interval_in(row, 'calibration_intercept'))}",
        f"error {compact_interval(interval_in(row, 'calibration_error'))}",
        f"if calibrated {number(row['error_if_calibrated'])}",
    ]
    figure, (axes, below) = new_figure(
        1, 104, nrows=2, sharex=True, gridspec_kw={"height_ratios": (3.4, 1)}
    )  # fmt: skip
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
    _curves(axes, runs)
    axes.errorbar(
        bins["predicted"], bins["observed"],
        [bins["observed"] - bins["observed_low"], bins["observed_high"] - bins["observed"]],
        fmt="o", color=INK, markersize=3.6, markerfacecolor=PAPER, markeredgewidth=1, elinewidth=0.8, zorder=4,
    )  # fmt: skip
    axes.set_title(
        f"{words[0]}, {words[1]}\n{words[2]}; {words[3]}", fontsize=6.5, fontweight="normal", linespacing=1.3
    )
    ticks = np.arange(0, 1.01, 0.2)
    axes.set(
        xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), yticks=ticks, ylabel="observed share of malignant patients"
    )
    axes.grid(color=GRID, linewidth=0.4)
    axes.set_axisbelow(True)
    bars = _histogram(below, runs)
    below.set(xticks=ticks, xlabel="predicted probability of malignant")
    per_bin = number(len(runs.y) / len(bins), 0)
    of_runs = "" if runs.n_runs == 1 else f" Thin curves: each of {runs.n_runs} runs."
    return Drawn(
        "calibration", "Calibration",
        f"Points: {len(bins)} bins of about {per_bin} patients each with exact 95 % intervals. Curve: logistic "
        f"recalibration; on the dotted line the probabilities are right.{of_runs} Below, how many patients of each "
        "class have which probability.",
        f"Calibration of the probabilities as they are: {', '.join(words)}. "
        + "; ".join(
            f"predicted {number(one['predicted'], 2)}, observed {number(one['observed'], 2)}"
            for one in bins.to_dict("records")
        )
        + ".",
        figure, pd.concat([bins, bars], ignore_index=True),
    )  # fmt: skip


def _bins(runs: Runs) -> pd.DataFrame:
    """Bins of all runs' probabilities, about as many patients of a run in each."""
    n, n_runs = runs.probabilities.shape
    of_each = bins_of(runs.probabilities.reshape(-1), int(np.clip(n // _PER_BIN, 2, N_BINS))).reshape(
        n, n_runs
    )
    rows = []
    for k in range(int(of_each.max()) + 1):
        cases = of_each == k
        malignant = cases & (runs.y == 1)[:, None]
        bounds = share_interval_over_runs(malignant, cases, runs.groups)
        rows.append(
            {
                "part": "bin", "predicted": float(runs.probabilities[cases].mean()),
                "observed": float(malignant.sum() / cases.sum()), "observed_low": bounds.low,
                "observed_high": bounds.high, "patients": float(cases.sum() / n_runs),
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    # Counts are rounded for the bounds, so that they may miss a mean share by a hair.
    table["observed_low"] = table[["observed_low", "observed"]].min(axis=1)
    table["observed_high"] = table[["observed_high", "observed"]].max(axis=1)
    return table


def _curves(axes: Axes, runs: Runs) -> None:
    y = runs.y.astype(np.float64)
    columns = list(runs.probabilities.T)
    if len(columns) > 1:
        for p in columns:
            _curve(axes, y, p, linewidth=0.5, alpha=0.55)
    _curve(axes, np.tile(y, len(columns)), np.concatenate(columns), linewidth=1.6)


def _curve(axes: Axes, y: Floats, p: Floats, **line: float) -> None:
    slope = float(calibration_slope(y, p)(np.ones((1, len(y))))[0])
    if not np.isfinite(slope):
        return
    (intercept, slope), *_ = fit_logistic(
        np.column_stack([np.ones(len(p)), log_odds(p)]), y, np.ones((1, len(p)))
    )
    x = np.linspace(p.min(), p.max(), _POINTS)
    axes.plot(x, expit(intercept + slope * log_odds(x)), color=MAIN, **line)  # type: ignore[arg-type]


def _histogram(axes: Axes, runs: Runs) -> pd.DataFrame:
    """Malignant upwards, reactive downwards; patients of a run, on average."""
    frames, most = [], 0.0
    for label, name, colour, sign in ((1, "malignant", MALIGNANT, 1), (0, "reactive", REACTIVE, -1)):
        found = runs.probabilities[runs.y == label]
        counts = np.histogram(found, _HISTOGRAM)[0] / runs.n_runs
        axes.bar(_HISTOGRAM[:-1], sign * counts, np.diff(_HISTOGRAM), align="edge", color=colour, linewidth=0)
        most = max(most, float(counts.max()))
        frames.append(
            pd.DataFrame({"part": name, "from": _HISTOGRAM[:-1], "to": _HISTOGRAM[1:], "patients": counts})
        )
    axes.axhline(0, color=MUTED, linewidth=0.6)
    axes.set(ylim=(-1.08 * most, 1.08 * most), ylabel="patients")
    axes.set_yticks([-most, 0, most], [number(most, 0), "0", number(most, 0)])
    axes.text(0.01, 0.97, "malignant", color=MALIGNANT, transform=axes.transAxes, va="top", fontsize=6.5)
    axes.text(0.99, 0.03, "reactive", color=REACTIVE, transform=axes.transAxes, ha="right", fontsize=6.5)
    return pd.concat(frames, ignore_index=True)
