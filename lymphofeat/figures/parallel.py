"""Parallel coordinates: a line per trial over its parameters, the best tenth in colour.

The axes lie one below the other, not side by side: so the figure has the width of one column, and of a phone.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from textwrap import shorten, wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ..metric import METRICS
from .drawn import Drawn
from .style import INK, MAIN, MUTED, OTHER, PAPER, new_figure, paper_style

__all__ = ["best_tenth", "parallel_figure"]

_ROW = 13.0  # millimetres between two axes
_UNUSED = -0.09  # where lines run whose head has no such parameter
_MOST_LINES = 300
_LETTERS = 16
_TILTED = 5  # categories from which on their names are tilted
_TILTED_ROOM = 6.0


@dataclass(frozen=True)
class _Axis:
    """A parameter: where its values lie between 0 and 1, and its ticks."""

    name: str
    places: NDArray[np.float64]
    ticks: dict[str, float]
    words: bool

    @property
    def room(self) -> float:
        return _ROW + (_TILTED_ROOM if self.tilted else 0)

    @property
    def tilted(self) -> bool:
        return self.words and len(self.ticks) >= _TILTED


def best_tenth(values: "pd.Series[float]", metric: str) -> "pd.Series[bool]":
    """Which trials are the best tenth, at least one; of equals the first."""
    n = max(1, math.ceil(len(values) / 10))
    ranked = values.sort_values(ascending=METRICS[metric].is_loss, kind="stable")
    return values.index.to_series().isin(ranked.index[:n])


@paper_style()
def parallel_figure(points: pd.DataFrame, metric: str, logs: Collection[str] = ()) -> Drawn:
    """Every complete trial as a line over some parameters.

    Args:
        points: indexed by trial, with value and then a column per parameter from the top: numbers, or words, missing
            where the trial's head has no such parameter.
        metric: the study's.
        logs: parameters on a logarithmic axis.
    """
    best = best_tenth(points["value"], metric)
    label = METRICS[metric].label
    axes_of = [_numbers(label, points["value"], log=False)]
    for name in points.columns.drop("value"):
        column = points[name]
        is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        axes_of.append(
            _numbers(str(name), column, log=name in logs) if is_number else _words(str(name), column)
        )
    tops = -np.cumsum([0.0, *(axis.room for axis in axes_of[:-1])])
    height = float(-tops[-1]) + axes_of[-1].room - _ROW + 5
    figure, axes = new_figure(1, height + 3)
    lacking = any(np.isnan(axis.places).any() for axis in axes_of)
    _lines(axes, np.column_stack([axis.places for axis in axes_of]), tops, best.to_numpy())
    for axis, y in zip(axes_of, tops.tolist(), strict=True):
        _draw(axes, axis, y, lacking=bool(np.isnan(axis.places).any()))
    axes.set(xlim=(_UNUSED - 0.04, 1.03), ylim=(-height, 2))
    axes.set_yticks(tops, ["\n".join(wrap(axis.name, _LETTERS)) for axis in axes_of])
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    table = points.reset_index(names="trial").assign(best_tenth=best.to_numpy())
    n, chosen = len(points), int(best.sum())
    none = " Lines left of an axis are of heads without that parameter." if lacking else ""
    drawn = f" Of the others, {_MOST_LINES} are drawn." if n - chosen > _MOST_LINES else ""
    return Drawn(
        "parallel", "Parameters of all trials",
        f"Each line is a complete trial; the best tenth ({chosen} of {n} by {label}) is in colour. Where the coloured "
        f"lines run together, the good trials agree.{none}{drawn}",
        f"Parallel coordinates of {n} trials over {', '.join(axis.name for axis in axes_of[1:])}. "
        f"{_agreed(points, best)}",
        figure, table,
    )  # fmt: skip


def _numbers(name: str, column: "pd.Series[float]", *, log: bool) -> _Axis:
    values = column.to_numpy(float, na_value=np.nan)
    log = log and bool((values[~np.isnan(values)] > 0).all())
    scaled = np.log10(values) if log else values
    low, high = float(np.nanmin(scaled)), float(np.nanmax(scaled))
    extent = high - low
    middle = np.where(np.isnan(scaled), np.nan, 0.5)
    places = np.asarray((scaled - low) / extent if extent else middle, dtype=np.float64)
    if not extent:
        return _Axis(name, places, {f"{float(np.nanmin(values)):.3g}": 0.5}, words=False)
    ticks = {}
    for share in (0.0, 0.5, 1.0):
        at = low + share * extent
        ticks[f"{10**at if log else at:.3g}"] = share
    return _Axis(name, places, ticks, words=False)


def _words(name: str, column: "pd.Series[str]") -> _Axis:
    words = column.map(lambda word: None if pd.isna(word) else str(word))
    known = sorted(set(words.dropna()))
    ticks = {word: (k / (len(known) - 1) if len(known) > 1 else 0.5) for k, word in enumerate(known)}
    return _Axis(name, words.map(ticks).to_numpy(float), ticks, words=True)


def _lines(
    axes: Axes, places: NDArray[np.float64], tops: NDArray[np.float64], best: NDArray[np.bool_]
) -> None:
    """Lines of trials; those through one category are spread a little, so that they do not hide each other."""
    rng = np.random.default_rng(0)
    spread = np.where(np.isnan(places), _UNUSED, places) + rng.uniform(-0.012, 0.012, places.shape)
    spread[:, 0] = places[:, 0]
    others = np.flatnonzero(~best)
    others = others[:: max(1, math.ceil(len(others) / _MOST_LINES))]
    for rows, colour, width, alpha, order in (
        (others, OTHER, 0.5, 0.45, 1), (np.flatnonzero(best), MAIN, 1.0, 0.9, 3),
    ):  # fmt: skip
        lines = [np.column_stack([spread[row], tops]) for row in rows]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, alpha=alpha, zorder=order))


def _draw(axes: Axes, axis: _Axis, y: float, *, lacking: bool) -> None:
    axes.plot([0, 1], [y, y], color=INK, linewidth=0.8, zorder=2)
    if lacking:
        axes.plot([_UNUSED], [y], color=MUTED, marker="x", markersize=2.5, zorder=2)
    for word, x in axis.ticks.items():
        axes.plot([x, x], [y, y - 0.8], color=INK, linewidth=0.8, zorder=4)
        ends = {0.0: "left", 1.0: "right"} if not axis.words else {}
        axes.text(
            x, y - 1.2, shorten(word, 18, placeholder="…"), fontsize=5.5, color=INK, va="top", zorder=4,
            ha="right" if axis.tilted else ends.get(x, "center"), rotation=30 if axis.tilted else 0,
            rotation_mode="anchor" if axis.tilted else "default",
            path_effects=[withStroke(linewidth=1.6, foreground=PAPER)],  # lines end before the letters
        )  # fmt: skip


def _agreed(points: pd.DataFrame, best: "pd.Series[bool]") -> str:
    """What the best tenth has in common, for who cannot see it."""
    chosen = points[best]
    told = []
    for name in points.columns.drop("value"):
        known = chosen[name].dropna()
        if len(known) and not pd.api.types.is_numeric_dtype(known):
            counts = known.astype(str).value_counts()
            told.append(f"{name} {counts.index[0]} in {counts.iloc[0]} of {len(chosen)}")
    return f"In the best tenth: {'; '.join(told)}." if told else ""
