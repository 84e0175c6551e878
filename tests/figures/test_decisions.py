"""Figures of probabilities and decisions: what is drawn is what the tables say."""

import numpy as np
import pytest
from scipy.special import logit

from lymphofeat.estimates.exact import share_interval
from lymphofeat.figures import (
    calibration_figure,
    decision_figure,
    learning_figure,
    optimism_figure,
    permutation_figure,
    risk_coverage_figure,
    stability_figure,
    triage_figure,
)
from lymphofeat.figures.style import MAIN

from ..helpers.assessed import assessed, tables_of


def curves(drawn, width: float) -> list[np.ndarray]:  # type: ignore[no-untyped-def]
    axes = drawn.figure.axes[0]
    return [
        line.get_data() for line in axes.lines if line.get_color() == MAIN and line.get_linewidth() == width
    ]


def test_bins_have_the_calibration_error_of_the_evaluation() -> None:
    tables = tables_of(assessed())
    drawn = calibration_figure(tables["predictions"], tables["calibration"])
    row = tables["calibration"].iloc[0]
    bins = drawn.table[drawn.table["part"] == "bin"]
    off = (bins["patients"] * (bins["observed"] - bins["predicted"]).abs()).sum() / bins["patients"].sum()
    assert off == pytest.approx(row["calibration_error"])  # as many bins
    for one in bins.to_dict("records"):
        n = round(one["patients"])
        exact = share_interval(round(one["observed"] * n), n)
        assert (one["observed_low"], one["observed_high"]) == pytest.approx((exact.low, exact.high))
    for label, name in enumerate(("reactive", "malignant")):
        bars = drawn.table[drawn.table["part"] == name]
        assert bars["patients"].sum() == tables["confusion"]["n"][label]
    ((x, y),) = curves(drawn, 1.6)
    slope, _ = np.polyfit(logit(x), logit(y), 1)
    assert slope == pytest.approx(row["calibration_slope"], rel=1e-6)
    assert f"slope {row['calibration_slope']:.3f}" in drawn.figure.axes[0].get_title(loc="left")


def test_calibration_of_several_runs_counts_patients_not_predictions() -> None:
    tables = tables_of(assessed(runs=3))
    drawn = calibration_figure(tables["predictions"], tables["calibration"])
    assert drawn.table.loc[drawn.table["part"] == "bin", "patients"].sum() == pytest.approx(120)
    assert (len(curves(drawn, 0.5)), len(curves(drawn, 1.6))) == (3, 1)


def test_records_of_one_person_widen_the_intervals_of_bins() -> None:
    tables = tables_of(assessed())
    predictions, calibration = tables["predictions"], tables["calibration"]
    everyone = {one: k // 4 for k, one in enumerate(predictions["id"].unique())}
    by_person = calibration_figure(
        predictions.assign(person=predictions["id"].map(everyone)), calibration
    ).table
    by_record = calibration_figure(predictions, calibration).table
    widths = [table["observed_high"] - table["observed_low"] for table in (by_person, by_record)]
    assert widths[0].sum() > widths[1].sum()


@pytest.mark.parametrize("probability", [0.5, None])
def test_calibration_without_a_curve(probability: float | None) -> None:
    """One probability for all has no slope; probabilities that separate the classes have no finite one."""
    tables = tables_of(assessed(n=12))
    label = tables["predictions"]["label"]
    same = tables["predictions"].assign(probability=0.1 + 0.8 * label if probability is None else probability)
    drawn = calibration_figure(same, tables["calibration"])
    assert curves(drawn, 1.6) == []
    assert (drawn.table["part"] == "bin").any()


@pytest.mark.parametrize("runs", [1, 3])
def test_stability_has_every_patient(runs: int) -> None:
    tables = tables_of(assessed(runs=runs))
    drawn = stability_figure(tables["predictions"])
    table = drawn.table.set_index("patient")
    kept = tables["patients"].set_index("id").loc[table.index]
    assert table["probability"].is_monotonic_increasing
    np.testing.assert_allclose(table["probability"], kept["probability"])
    np.testing.assert_array_equal(table["flip_rate"], kept["flip_rate"].astype(float))
    assert len(drawn.figure.axes) == (1 if runs == 1 else 2)
    wrong = tables["wrong"].set_index("id")["wrong_runs"]
    assert (
        table.loc[table["wrong_runs"] > 0, "wrong_runs"].sort_index().to_dict()
        == wrong.sort_index().to_dict()
    )
    (crosses,) = [line for line in drawn.figure.axes[0].lines if line.get_marker() == "x"]
    assert len(crosses.get_xdata()) == (2 * wrong > runs).sum()


@pytest.mark.parametrize("clinical", [True, False])
def test_decision_curve_draws_its_table(clinical: bool) -> None:  # noqa: FBT001
    table = tables_of(assessed(clinical=clinical))["decision_curves"]
    drawn = decision_figure(table)
    (axes,) = drawn.figure.axes
    columns = ["main", *(["clinical"] if clinical else []), "treat_all", "treat_none"]
    assert len(axes.lines) == len(columns)
    for column, line in zip(columns, axes.lines, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), table[column])
    assert ("clinical only" in drawn.alt) == clinical


def test_risk_coverage_draws_its_table() -> None:
    table = tables_of(assessed())["risk_coverage"]
    (axes,) = risk_coverage_figure(table).figure.axes
    for column, line in zip(("risk", "least_risk"), axes.lines, strict=True):
        np.testing.assert_array_equal(line.get_data(), table[["coverage", column]].to_numpy().T)


def test_triage_says_where_nobody_is_decided() -> None:
    table = tables_of(assessed())["triage"]
    drawn = triage_figure(table)
    decided, wrong = drawn.figure.axes
    assert [bar.get_width() for bar in decided.patches] == pytest.approx(table["measured_decided"].tolist())
    nobody = [text.get_text() for text in wrong.texts].count("nobody decided")
    assert nobody == table["measured_wrong"].isna().sum() > 0
    marked = [float(line.get_xdata()[0]) for line in wrong.lines if line.get_marker() == "o"]
    assert marked == pytest.approx(table["measured_wrong"].dropna().tolist())
    all_referred = table.assign(**dict.fromkeys([c for c in table if c.startswith("measured_wrong")], np.nan))
    assert "nobody" in triage_figure(all_referred).alt


def test_learning_curve_ends_where_measuring_ends() -> None:
    table = tables_of(assessed(whole=True))["learning_curve"]
    drawn = learning_figure(table)
    (axes,) = drawn.figure.axes
    solid, dashed = (line for line in axes.lines if line.get_color() == MAIN)
    assert solid.get_xdata()[-1] == dashed.get_xdata()[0] == 96
    np.testing.assert_array_equal(
        np.concatenate([solid.get_ydata(), dashed.get_ydata()[1:]]), table["fitted"].to_numpy()
    )
    assert drawn.alt.count("extrapolated") == 2
    assert "extrapolated" not in learning_figure(table[table["measured"]]).alt


def test_optimism_and_permutation_draw_their_tables() -> None:
    tables = tables_of(assessed(whole=True))
    (axes,) = optimism_figure(tables["optimism"]).figure.axes
    for marker, column in (("D", "tuned"), ("o", "nested")):
        found = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == marker]
        assert found == pytest.approx(tables["optimism"][column].tolist())
    (axes,) = permutation_figure(tables["permutation"]).figure.axes
    assert [float(line.get_xdata()[0]) for line in axes.lines] == pytest.approx([0.41, 0.502, 0.86])
