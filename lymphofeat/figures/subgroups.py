"""Scores in parts of the cohort, as a forest plot."""

import numpy as np
import pandas as pd

from ..wording import compact_interval, metric_label, number
from .drawn import Drawn
from .forest import ForestRow, draw_forest, forest_height, name_rows
from .looks import Look
from .rows import intervals_in
from .style import INK, MAIN, new_figure, paper_style

__all__ = ["subgroups_figure"]

_METRICS = ("balanced_accuracy", "auc")
_ALL, _PART = Look(INK, "-", "D"), Look(MAIN, "-", "o")


@paper_style()
def subgroups_figure(subgroups: pd.DataFrame) -> Drawn:
    """Balanced accuracy and AUC of each subgroup; the first row is everyone.

    Args:
        subgroups: the table of that name of an evaluation; scores are NaN where a class has too few patients.

    Example:
        >>> subgroups_figure(tables["subgroups"])
        <Drawn subgroups: Subgroups, ... rows>
    """
    names = [
        f"{name} ({n}, {malignant} malignant)"
        for name, n, malignant in zip(
            subgroups["subgroup"], subgroups["n"], subgroups["malignant"], strict=True
        )
    ]
    figure, panels = new_figure(2, forest_height(names, 40), ncols=2)
    for metric, axes in zip(_METRICS, panels, strict=True):
        scores = intervals_in(subgroups, metric)
        rows = [
            ForestRow(
                *found, "too few of a class" if np.isnan(found.value) else compact_interval(found), _PART if k else _ALL
            )
            for k, found in enumerate(scores)
        ]  # fmt: skip
        label = metric_label(metric)
        draw_forest(
            axes,
            rows,
            title=label[:1].upper() + label[1:],
            label="nested score",
            reference=scores[0].value,
        )
    name_rows(panels[0], names, 40)
    scored = subgroups.dropna(subset=["balanced_accuracy"])
    return Drawn(
        "subgroups", "Subgroups",
        "Scores of parts of the cohort with 95 % intervals; the dashed line is the score of everyone. One of twenty "
        "subgroups misses its interval by chance, so a single one that stands apart shows little.",
        f"Forest plot of {len(subgroups) - 1} subgroups, {len(scored) - 1} with patients enough for a score. "
        + "; ".join(
            f"{row['subgroup']}: balanced accuracy {number(row['balanced_accuracy'])}, AUC {number(row['auc'])}"
            for row in scored.to_dict("records")
        )
        + ".",
        figure, subgroups,
    )  # fmt: skip
