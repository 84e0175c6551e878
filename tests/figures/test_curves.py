"""ROC and precision–recall curves: the area under what is drawn is the score that the evaluation has."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from lymphofeat.estimates.intervals import Interval
from lymphofeat.figures import Drawn, precision_recall_figure, roc_figure

from ..helpers.assessed import assessed, tables_of

PRECISION = {"main": Interval(0.9, 0.8, 0.95), "clinical": Interval(0.8, 0.7, 0.9)}


def drawn_roc(runs: int) -> tuple[Drawn, dict[str, pd.DataFrame]]:
    tables = tables_of(assessed(runs=runs))
    return roc_figure(tables["predictions"], tables["pipelines"]), tables


def lines_of(drawn: Drawn, width: float) -> list[tuple[np.ndarray, np.ndarray]]:
    (axes,) = drawn.figure.axes
    return [line.get_data() for line in axes.lines if line.get_linewidth() == width]


def area_of_steps(recall: np.ndarray, precision: np.ndarray) -> float:
    return float(np.sum(np.diff(recall, prepend=0) * precision))


@pytest.mark.parametrize("runs", [1, 3])
def test_area_of_the_thick_curve_is_the_score(runs: int) -> None:
    drawn, tables = drawn_roc(runs)
    thick, thin = lines_of(drawn, 1.6), lines_of(drawn, 0.5)
    areas = tables["pipelines"].set_index("pipeline")["auc"]
    assert [np.trapezoid(y, x) for x, y in thick] == pytest.approx(
        areas[["image + clinical", "clinical only"]]
    )
    assert len(thin) == (2 * runs if runs > 1 else 0)  # no line per fold
    table = drawn.table[drawn.table["pipeline"] == "clinical only"]
    of_mean = table[table["run"] == ("mean" if runs > 1 else "1")]
    np.testing.assert_array_equal(
        thick[1], of_mean[["false_positive_rate", "true_positive_rate"]].to_numpy().T
    )
    (axes,) = drawn.figure.axes
    legend = axes.get_legend()
    assert legend is not None
    row = tables["pipelines"].iloc[1]
    area = f"clinical only: AUC {row['auc']:.3f} ({row['auc_low']:.2f}–{row['auc_high']:.2f})"
    assert area in [text.get_text() for text in legend.get_texts()]
    assert area in drawn.alt


def test_circle_is_where_patients_are_decided() -> None:
    drawn, tables = drawn_roc(3)
    (axes,) = drawn.figure.axes
    (circle,) = [line for line in axes.lines if line.get_marker() == "o"]
    metrics = tables["metrics"].set_index("metric")["value"]
    (x,), (y,) = circle.get_data()
    assert (1 - x, y) == pytest.approx((metrics["specificity"], metrics["sensitivity"]))


@pytest.mark.parametrize("runs", [1, 3])
def test_steps_of_precision_add_up_to_the_average_precision(runs: int) -> None:
    tables = tables_of(assessed(runs=runs))
    drawn = precision_recall_figure(tables["predictions"], PRECISION)
    found = tables["metrics"].set_index("metric").loc["average_precision", "value"]
    of_main = drawn.table[drawn.table["pipeline"] == "image + clinical"]
    of_mean = of_main[of_main["run"] == ("mean" if runs > 1 else "1")]
    assert area_of_steps(of_mean["recall"].to_numpy(), of_mean["precision"].to_numpy()) == pytest.approx(
        found
    )
    (axes,) = drawn.figure.axes
    levels = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert levels == pytest.approx([0.6])  # the share of malignant patients


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 3).flatmap(
        lambda runs: arrays.arrays(np.int64, (runs, 12), elements=st.integers(0, 4))  # many are equal
    )
)
def test_areas_of_equal_scores(scores: np.ndarray) -> None:
    label = np.arange(12) % 3 > 0
    frame = pd.concat(
        [
            pd.DataFrame(
                {
                    "pipeline": "one", "role": "main", "id": [f"P{k}" for k in range(12)], "label": label.astype(int),
                    "run": run, "probability": row / 5 + 0.05, "score": row / 5 + 0.05, "decision": 1,
                }
            )
            for run, row in enumerate(scores)
        ]
    )  # fmt: skip
    score = {"pipeline": "one", "inputs": "both", "auc": 0.5, "auc_low": np.nan, "auc_high": np.nan}
    ((x, y),) = lines_of(roc_figure(frame, pd.DataFrame([score])), 1.6)
    assert np.trapezoid(y, x) == pytest.approx(np.mean([roc_auc_score(label, row) for row in scores]))
    table = precision_recall_figure(frame, PRECISION).table
    first = table[table["run"] == table["run"].iloc[0]]  # the mean, or the only run
    assert area_of_steps(first["recall"].to_numpy(), first["precision"].to_numpy()) == pytest.approx(
        np.mean([average_precision_score(label, row) for row in scores])
    )
