"""ROC and precision–recall curves: every run, and the mean curve of the runs, whose area is the score to quote.

Folds are never drawn by themselves: twenty patients make no curve. The mean of the runs' curves, not the curve of
averaged predictions: those are a better model than any that would be built.
"""

from collections.abc import Callable, Mapping, Sequence
from textwrap import fill
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..assess.runs import Runs
from ..estimates.intervals import Interval
from ..wording import compact_interval, number
from .drawn import Drawn
from .looks import LOOKS
from .predicted import has_role, name_of, runs_of
from .rows import interval_in, row_of
from .style import INK, MUTED, legend_above, new_figure, paper_style

__all__ = ["precision_recall_figure", "roc_figure"]

Floats = NDArray[np.float64]

_ROLES = ("main", "clinical")  # the pipeline, and what every clinic has already
_MEAN = "mean"
_WIDTH = 52  # characters of a line of the legend


class _Curve(NamedTuple):
    """Of one pipeline: (x, y) of each run and of their mean."""

    runs: list[tuple[Floats, Floats]]
    mean: tuple[Floats, Floats]


@paper_style()
def roc_figure(predictions: pd.DataFrame, pipelines: pd.DataFrame) -> Drawn:
    """ROC curves of the pipeline and of clinical values alone, with AUC and its interval.

    Args:
        predictions: the table `predictions` of an evaluation.
        pipelines: its table `pipelines`, which has the AUCs.

    Example:
        >>> roc_figure(tables["predictions"], tables["pipelines"])
        <Drawn roc: ROC curve, ... rows>
    """
    figure, axes = new_figure(1, 88)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
    axes.text(0.62, 0.595, "chance", color=MUTED, rotation=45, rotation_mode="anchor", va="top", fontsize=6.5)
    names, words, frames = [], [], []
    for role in _roles(predictions):
        runs, name = runs_of(predictions, role), name_of(predictions, role)
        curve = _roc(runs)
        area = f"AUC {compact_interval(interval_in(row_of(pipelines, 'pipeline', name), 'auc'))}"
        _draw(axes, curve, role, _label(name, area), steps=False)
        if role == _ROLES[0]:
            specificity, sensitivity = runs.value("specificity"), runs.value("sensitivity")
            axes.plot(
                [1 - specificity], [sensitivity], linestyle="none", marker="o", markersize=5, markerfacecolor="none",
                markeredgecolor=INK, markeredgewidth=1, label="decisions under the folds’ thresholds", zorder=5,
            )  # fmt: skip
            words.append(f"decisions: sensitivity {number(sensitivity)}, specificity {number(specificity)}")
        names.append(name)
        words.append(f"{name}: {area}")
        frames.append(_frame(name, curve, "false_positive_rate", "true_positive_rate"))
    _unit_square(axes, "1 − specificity", "sensitivity")
    legend_above(axes, handlelength=2.6)
    return Drawn(
        "roc", "ROC curve",
        f"Sensitivity against 1 − specificity of the nested predictions of {' and '.join(names)}."
        f"{_said_of_runs(predictions)} The circle is where the patients are decided, each under the threshold of the "
        "fold.",
        f"ROC curves. {'; '.join(words)}.",
        figure, pd.concat(frames, ignore_index=True),
    )  # fmt: skip


@paper_style()
def precision_recall_figure(predictions: pd.DataFrame, average_precision: Mapping[str, Interval]) -> Drawn:
    """Precision–recall curves of the pipeline and of clinical values alone.

    Args:
        predictions: the table `predictions` of an evaluation.
        average_precision: by role ("main", "clinical"), with its interval.

    Example:
        >>> interval = Interval(0.95, 0.91, 0.98)
        >>> precision_recall_figure(tables["predictions"], {"main": interval, "clinical": interval})
        <Drawn precision-recall: Precision–recall curve, ... rows>
    """
    figure, axes = new_figure(1, 88)
    names, words, frames, prevalence = [], [], [], float("nan")
    for role in _roles(predictions):
        runs, name = runs_of(predictions, role), name_of(predictions, role)
        prevalence = float(runs.y.mean())
        curve = _precision_recall(runs)
        area = f"average precision {compact_interval(average_precision[role])}"
        _draw(axes, curve, role, _label(name, area), steps=True)
        names.append(name)
        words.append(f"{name}: {area}")
        frames.append(_frame(name, curve, "recall", "precision"))
    axes.axhline(prevalence, color=MUTED, linewidth=0.8, linestyle=":")
    below = prevalence > 0.75
    axes.annotate(
        f"share of malignant patients {number(prevalence, 2)}", (0.01, prevalence), xytext=(0, -2 if below else 2),
        textcoords="offset points", va="top" if below else "bottom", color=MUTED, fontsize=6.5,
    )  # fmt: skip
    _unit_square(axes, "sensitivity (recall)", "precision (positive predictive value)")
    legend_above(axes, handlelength=2.6)
    return Drawn(
        "precision-recall", "Precision–recall curve",
        f"Share of those called malignant who are, against the share of the malignant who are found, of the nested "
        f"predictions of {' and '.join(names)}.{_said_of_runs(predictions)} A pipeline that knows nothing stays at "
        "the dotted line.",
        f"Precision–recall curves. {'; '.join(words)}; share of malignant patients {number(prevalence)}.",
        figure, pd.concat(frames, ignore_index=True),
    )  # fmt: skip


def _roles(predictions: pd.DataFrame) -> list[str]:
    return [role for role in _ROLES if has_role(predictions, role)]


def _said_of_runs(predictions: pd.DataFrame) -> str:
    n = predictions["run"].nunique()
    return "" if n == 1 else f" Thin: each of {n} runs; thick: their mean, whose area is the score."


def _roc(runs: Runs) -> _Curve:
    from sklearn.metrics import roc_curve

    each = [roc_curve(runs.y, runs.run(k).ranks[:, 0])[:2] for k in range(runs.n_runs)]  # type: ignore[index]
    if len(each) == 1:
        return _Curve(each, each[0])
    grid = np.unique(np.concatenate([x for x, _ in each]))
    ends = np.mean([_ends(x, y, grid) for x, y in each], axis=0)  # (2, points)
    return _Curve(each, (np.repeat(grid, 2), ends.T.reshape(-1)))


def _ends(x: Floats, y: Floats, grid: Floats) -> Floats:
    """(2, points) the lower and the upper end of a curve at each x of a grid: it may rise upright there."""
    places, first, counts = np.unique(x, return_index=True, return_counts=True)
    low, high = y[first], y[first + counts - 1]
    k = np.searchsorted(places, grid, side="right") - 1
    following = np.minimum(k + 1, len(places) - 1)
    width = np.where(following > k, places[following] - places[k], 1.0)
    between = high[k] + (grid - places[k]) / width * (low[following] - high[k])
    here = places[k] == grid
    return np.stack([np.where(here, low[k], between), np.where(here, high[k], between)])


def _precision_recall(runs: Runs) -> _Curve:
    """Precision at each number of malignant patients found, as average precision counts it."""
    from sklearn.metrics import precision_recall_curve

    levels = np.arange(1, int(runs.y.sum()) + 1) / runs.y.sum()
    each = []
    for k in range(runs.n_runs):
        precision, recall, _ = precision_recall_curve(runs.y, runs.run(k).ranks[:, 0])  # type: ignore[index]
        reached, first = np.unique(recall[::-1], return_index=True)
        each.append((levels, precision[::-1][first][np.searchsorted(reached, levels - 1e-9)]))
    return _Curve(each, (levels, np.mean([y for _, y in each], axis=0)))


def _draw(axes: Axes, curve: _Curve, role: str, label: str, *, steps: bool) -> None:
    look = LOOKS[role]
    style = "steps-pre" if steps else "default"
    beginning: Callable[[Floats, Floats], tuple[Floats, Floats]] = (
        (lambda x, y: (np.append(0.0, x), np.append(y[:1], y))) if steps else (lambda x, y: (x, y))
    )
    if len(curve.runs) > 1:
        for x, y in curve.runs:
            axes.plot(*beginning(x, y), color=look.colour, linewidth=0.5, alpha=0.55, drawstyle=style)
    axes.plot(
        *beginning(*curve.mean), color=look.colour, linestyle=look.dashes, linewidth=1.6, drawstyle=style, label=label
    )  # fmt: skip


def _frame(name: str, curve: _Curve, x_name: str, y_name: str) -> pd.DataFrame:
    """The mean first, then every run."""
    parts: Sequence[tuple[str, tuple[Floats, Floats]]] = [
        (str(k), one) for k, one in enumerate(curve.runs, 1)
    ]
    if len(parts) > 1:
        parts = [(_MEAN, curve.mean), *parts]
    return pd.concat(
        [pd.DataFrame({"pipeline": name, "run": run, x_name: x, y_name: y}) for run, (x, y) in parts],
        ignore_index=True,
    )


def _label(name: str, area: str) -> str:
    """One line, or the name in lines of its own where it is long."""
    label = f"{name}: {area}"
    return label if len(label) <= _WIDTH + 2 else f"{fill(name, _WIDTH)}\n{area}"


def _unit_square(axes: Axes, x_label: str, y_label: str) -> None:
    ticks = np.arange(0, 1.01, 0.2)
    axes.set(
        xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), xticks=ticks, yticks=ticks, xlabel=x_label, ylabel=y_label,
        aspect="equal",
    )  # fmt: skip
