"""Forest plots: symbols and lines where the tables say, open where nothing is shown."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from lymphofeat.figures import comparison_figure, differences_figure, pipelines_figure, subgroups_figure
from lymphofeat.figures.style import PAPER

from ..helpers.assessed import LONG, assessed, tables_of

METRICS = ("balanced_accuracy", "auc")


def symbols(axes: Axes) -> list[tuple[float, float, bool]]:
    """(x, row, filled) from the top."""
    found = [line for line in axes.lines if line.get_marker() not in ("None", None, "")]
    return [(*map(float, np.ravel(line.get_data())), line.get_markerfacecolor() != PAPER) for line in found]


def intervals(axes: Axes) -> dict[int, tuple[float, float]]:
    """Row → ends of its line."""
    found = [line for line in axes.lines if len(line.get_xdata()) == 2 and len(set(line.get_ydata())) == 1]
    return {int(line.get_ydata()[0]): tuple(map(float, line.get_xdata())) for line in found}


def names(axes: Axes) -> list[str]:
    return [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]


def beside(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_pipelines_stand_where_they_score() -> None:
    table = tables_of(assessed(whole=True))["pipelines"]
    drawn = pipelines_figure(table)
    assert names(drawn.figure.axes[0])[:2] == ["image + clinical", "clinical only"]
    assert names(drawn.figure.axes[0])[-1].replace("- ", "-") == LONG
    for metric, axes in zip(METRICS, drawn.figure.axes, strict=True):
        assert [x for x, _, _ in symbols(axes)] == pytest.approx(table[metric].tolist())
        ends = np.array([intervals(axes)[row] for row in range(len(table))])
        np.testing.assert_allclose(ends, table[[f"{metric}_low", f"{metric}_high"]])
        assert beside(axes)[0].startswith(f"{table[metric][0]:.3f} (")
    pd.testing.assert_frame_equal(drawn.table, table)


def test_unknown_bounds_are_no_line() -> None:
    table = tables_of(assessed())["pipelines"].iloc[:2].copy()
    table.loc[1, ["auc_low", "auc_high"]] = np.nan
    _, axes = pipelines_figure(table).figure.axes
    assert list(intervals(axes)) == [0]
    assert len(symbols(axes)) == 2
    assert beside(axes)[1].endswith(" (—–—)")  # neither bound is known


def test_a_difference_is_filled_where_the_answer_says_it_holds() -> None:
    found = assessed(whole=True)
    tables = tables_of(found)
    drawn = differences_figure(tables["differences"], tables["pipelines"])
    for metric, axes in zip(METRICS, drawn.figure.axes, strict=True):
        of_metric = [d for d in found.differences if d.metric == metric]
        assert [filled for _, _, filled in symbols(axes)] == [bool(d.verdict) for d in of_metric]
        assert [x for x, _, _ in symbols(axes)] == pytest.approx([d.difference.value for d in of_metric])
        assert all(
            f"{d.p_holm:.3f}" in text
            for d, text in zip(of_metric, beside(axes), strict=True)
            if d.p_holm >= 0.001
        )
    tied = sum(not d.verdict for d in found.differences)
    assert f"{tied} of {len(found.differences)} cannot be told apart" in drawn.alt
    assert drawn.alt.count(", cannot be told apart") == tied


def test_a_subgroup_with_too_few_of_a_class_has_no_symbol() -> None:
    table = tables_of(assessed())["subgroups"]
    assert table["auc"].isna().any()
    for axes in (drawn := subgroups_figure(table)).figure.axes:
        missing = [text for text in beside(axes) if text == "too few of a class"]
        assert len(missing) == table["auc"].isna().sum()
        assert len(symbols(axes)) == table["auc"].notna().sum()
    assert names(drawn.figure.axes[0])[0] == f"all ({table['n'][0]}, {table['malignant'][0]} malignant)"
    none = table.iloc[:1].assign(
        **dict.fromkeys([c for c in table if c not in ("subgroup", "n", "malignant")], np.nan)
    )
    assert len(symbols(subgroups_figure(none).figure.axes[0])) == 0


def test_pipelines_of_compare_are_open_where_they_are_tied() -> None:
    table = pd.DataFrame(
        {
            "pipeline": ["a/average", "b/image", "majority"], "balanced_accuracy": [0.9, 0.85, 0.5],
            "ba_low": [0.8, 0.7, 0.5], "ba_high": [0.95, 0.9, 0.5], "auc": [0.9, 0.9, 0.5], "auc_low": [0.8, 0.8, 0.5],
            "auc_high": [0.97, 0.95, 0.5], "ba_difference": [0.0, -0.05, -0.4], "ba_difference_low": [0.0, -0.1, -0.5],
            "ba_difference_high": [0.0, 0.02, -0.3], "tied": [True, True, False],
        }
    )  # fmt: skip
    drawn = comparison_figure(table, "balanced_accuracy")
    scores, differences = drawn.figure.axes
    assert [filled for _, _, filled in symbols(scores)] == [False, False, True]
    assert [x for x, _, _ in symbols(differences)] == [0.0, -0.05, -0.4]
    assert beside(differences)[0] == "the best"
    assert "2 of them not told apart" in drawn.alt
    log_loss = comparison_figure(table, "log_loss")  # has no panel of its own
    assert log_loss.figure.axes[0].get_title(loc="left") == "Balanced accuracy"
