"""Scores of all pipelines, and how far each is from the one that is assessed, as forest plots."""

import pandas as pd

from ..metric import NAMED
from ..wording import compact_difference, compact_interval, metric_label, number
from .drawn import Drawn
from .forest import ForestRow, draw_forest, forest_height, name_rows
from .looks import LOOKS, Look, looks_of
from .rows import interval_in, intervals_in, row_of
from .style import INK, MAIN, new_figure, paper_style

__all__ = ["comparison_figure", "differences_figure", "pipelines_figure"]

_METRICS = ("balanced_accuracy", "auc")
_CHANCE = 0.5
_LEVEL = 0.05
_SHORT = {"balanced_accuracy": "ba", "auc": "auc"}  # columns of `report.compare.comparison_table`
_HELD, _TIED = Look(MAIN, "-", "o"), Look(INK, "-", "o")


@paper_style()
def pipelines_figure(pipelines: pd.DataFrame) -> Drawn:
    """Nested scores of every pipeline with their intervals.

    Args:
        pipelines: the table `pipelines` of an evaluation.

    Example:
        >>> pipelines_figure(tables["pipelines"])
        <Drawn pipelines-forest: Nested scores of all pipelines, ... rows>
    """
    looks, names = looks_of(pipelines), [str(name) for name in pipelines["pipeline"]]
    figure, panels = new_figure(2, forest_height(names), ncols=2)
    for metric, axes in zip(_METRICS, panels, strict=True):
        rows = [
            ForestRow(*found, compact_interval(found), looks[name])
            for name, found in zip(names, intervals_in(pipelines, metric), strict=True)
        ]
        draw_forest(axes, rows, title=_title(metric), label="nested score", reference=_CHANCE)
    name_rows(panels[0], names)
    said = "; ".join(
        f"{name}: {metric_label(metric)} {compact_interval(found)}"
        for metric in _METRICS
        for name, found in zip(names, intervals_in(pipelines, metric), strict=True)
    )
    return Drawn(
        "pipelines-forest", "Nested scores of all pipelines",
        "Symbols are nested scores, lines their 95 % intervals; the dashed line is chance. Intervals of two pipelines "
        "that overlap do not show that these are alike: the differences are measured on the same patients, below.",
        f"Forest plot of nested scores. {said}.",
        figure, pipelines,
    )  # fmt: skip


@paper_style()
def differences_figure(differences: pd.DataFrame, pipelines: pd.DataFrame) -> Drawn:
    """The pipeline against each other one on the same patients, with 95 % intervals.

    Args:
        differences: the table `differences` of an evaluation, not empty.
        pipelines: its table `pipelines`, for the looks.

    Example:
        >>> differences_figure(tables["differences"], tables["pipelines"])
        <Drawn differences-forest: Differences to image + clinical, ... rows>
    """
    looks = looks_of(pipelines)
    names = [str(name) for name in dict.fromkeys(differences["other"])]
    main = str(differences["main"].iloc[0])
    figure, panels = new_figure(2, forest_height(names) + 3, ncols=2)
    said, tied = [], 0
    for metric, axes in zip(_METRICS, panels, strict=True):
        of_metric = differences[differences["metric"] == metric]
        rows = []
        for name in names:
            row = row_of(of_metric, "other", name)
            found = interval_in(row, "difference")
            held = bool((found.low > 0 or found.high < 0) and row["p_holm"] <= _LEVEL)
            tied += not held
            text = f"{compact_difference(found)}  {_p(row['p_holm'])}"
            rows.append(ForestRow(*found, text, looks.get(name, LOOKS["whole"]), held))
            end = "" if held else ", cannot be told apart"
            said.append(f"to {name} {compact_difference(found)} {metric_label(metric)}{end}")
        draw_forest(axes, rows, title=_title(metric), label="difference", reference=0)
    name_rows(panels[0], names)
    return Drawn(
        "differences-forest", f"Differences to {main}",
        f"{main} minus each other pipeline, on the same patients: right of the line it is better. Lines are 95 % "
        "intervals, p is adjusted by Holm for all differences shown. Open symbols: the two cannot be told apart.",
        f"Forest plot of differences of {main} on the same patients; {tied} of {len(differences)} cannot be told apart "
        f"from zero. {'; '.join(said)}.",
        figure, differences,
    )  # fmt: skip


@paper_style()
def comparison_figure(comparison: pd.DataFrame, metric: str) -> Drawn:
    """Scores of all pipelines of `compare`, the best first, and their differences to the best.

    Args:
        comparison: the table of `compare`; see `report.compare.comparison_table`.
        metric: by which "best" is meant; of another than balanced accuracy or AUC, the difference is that of the
            balanced accuracy.

    Example:
        >>> comparison_figure(comparison, "balanced_accuracy")
        <Drawn comparison-forest: Pipelines on the same folds, ... rows>
    """
    shown = metric if metric in _SHORT else _METRICS[0]
    names = [str(name) for name in comparison["pipeline"]]
    flags = [bool(one) for one in comparison["tied"]]
    figure, panels = new_figure(2, forest_height(names), ncols=2)
    scores = intervals_in(comparison, shown, _SHORT[shown])
    rows = [
        ForestRow(*found, compact_interval(found), _TIED if tied else _HELD, not tied)
        for found, tied in zip(scores, flags, strict=True)
    ]
    draw_forest(panels[0], rows, title=_title(shown), label="out-of-fold score", reference=_CHANCE)
    away = intervals_in(comparison, f"{_SHORT[shown]}_difference")
    rows = [
        ForestRow(
            *found, "the best" if k == 0 else compact_difference(found), _TIED if tied else _HELD, not tied
        )
        for k, (found, tied) in enumerate(zip(away, flags, strict=True))
    ]
    draw_forest(
        panels[1],
        rows,
        title="Difference to the best",
        label="difference",
        reference=0,
    )
    name_rows(panels[0], names)
    said = "; ".join(f"{name} {compact_interval(found)}" for name, found in zip(names, scores, strict=True))
    return Drawn(
        "comparison-forest", "Pipelines on the same folds",
        "Out-of-fold scores of the command compare, without a search, and differences to the best on the same "
        "patients. Lines are 95 % intervals. Open symbols: cannot be told apart from the best by the metric that "
        "compare ranks by. "
        "The best was selected among these, so its score is optimistic.",
        f"Forest plot by {metric_label(shown)} of {len(names)} pipelines, {sum(flags)} of them not told apart from "
        f"the best. {said}.",
        figure, comparison,
    )  # fmt: skip


def _title(metric: str) -> str:
    label = NAMED[metric].label
    return label[:1].upper() + label[1:]


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {number(value)}"
