"""Calibration, triage and thresholds: what is learnt inside a fold's training part, and used on the fold."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from lymphofeat.assess.benefit import decision_table, probabilities_to_act_on
from lymphofeat.assess.calibrated import calibrated, calibration_table
from lymphofeat.assess.thresholds import thresholds_table
from lymphofeat.assess.triaged import centred, risk_coverage_table, triage_table
from lymphofeat.estimates import CALIBRATORS, net_benefit, net_benefit_difference
from lymphofeat.nested.result import Nested

from ..helpers.nested import nested


def with_strange_folds(main: Nested) -> Nested:
    """The labels of fold 0 turned round, as if its patients were others."""
    y = main.y.copy()
    rows = main.folds_of_runs[0].rows
    y[rows] = 1 - y[rows]
    return replace(main, y=y)


@pytest.mark.parametrize("method", CALIBRATORS)
def test_a_fold_is_calibrated_without_its_own_labels(method: str) -> None:
    main = nested(sharp=3)
    rows = main.folds_of_runs[0].rows
    here, there = calibrated(main, method), calibrated(with_strange_folds(main), method)
    assert here is not None
    assert there is not None
    assert np.array_equal(here[rows], there[rows])
    assert not np.array_equal(here, there)  # of the other folds it is a training part


def test_inner_values_of_the_fold_itself_are_never_read() -> None:
    main = nested()
    spoilt = []
    for fold in main.folds_of_runs:
        inner = fold.inner.copy()
        inner[fold.rows] = main.y[fold.rows]
        spoilt.append(replace(fold, inner=inner))
    other = replace(main, folds_of_runs=tuple(spoilt))
    assert np.array_equal(calibrated(main, "platt"), calibrated(other, "platt"))
    assert thresholds_table(main).equals(thresholds_table(other))


def test_calibration_mends_what_is_too_sure() -> None:
    table = calibration_table(nested(n=400, sharp=4), n_resamples=200).set_index("calibrator")
    assert table.loc["none", "calibration_slope_high"] < 1
    for method in ("platt", "beta"):
        assert table.loc[method, "log_loss"] < table.loc["none", "log_loss"]
        assert table.loc[method, "calibration_slope_low"] < 1 < table.loc[method, "calibration_slope_high"]
        assert table.loc[method, "calibration_error"] < table.loc["none", "calibration_error"]


def test_without_inner_predictions_nothing_is_fitted() -> None:
    main = nested(inner=False)
    assert calibrated(main, "platt") is None
    assert calibration_table(main)["calibrator"].tolist() == ["none"]
    assert set(thresholds_table(main)["rule"]) == {"balanced accuracy", "cost"}
    acted, is_calibrated = probabilities_to_act_on(main)
    assert acted is main.probabilities
    assert not is_calibrated


def test_centred_probabilities_are_cut_at_one_half() -> None:
    main = nested(threshold=0.3, runs=2)
    assert np.array_equal(centred(main) >= 0.5, main.decisions)
    for fold in main.folds_of_runs:
        assert (np.argsort(centred(main)[fold.rows, fold.run]) == np.argsort(fold.probabilities)).all()


def test_folds_are_brought_to_one_scale() -> None:
    """A fold whose head is three times as sure of itself, inside and outside, is triaged as if it were not."""
    main = nested()
    fold = main.folds_of_runs[1]
    boasting = replace(
        fold, probabilities=expit(3 * logit(fold.probabilities)), inner=expit(3 * logit(fold.inner))
    )
    other = replace(main, folds_of_runs=(main.folds_of_runs[0], boasting, *main.folds_of_runs[2:]))
    assert centred(other) == pytest.approx(centred(main), abs=1e-6)
    blind = replace(
        other, folds_of_runs=tuple(replace(f, inner=np.full(120, np.nan)) for f in other.folds_of_runs)
    )
    assert np.ptp(centred(blind)[fold.rows]) > np.ptp(centred(main)[fold.rows])


def test_triage_decides_all_where_nobody_is_wrong_and_none_by_chance() -> None:
    sure = (
        triage_table(nested(strength=40, n=200))
        .set_index(["rule", "target_error", "confidence"])
        .sort_index()
    )
    assert (sure["decided"] == 1).all()
    assert (sure["measured_wrong_of_all"] == 0).all()
    assert 0 < sure.loc[("triage", 0.05, 0.95), "measured_wrong_high"] < 0.05
    blind = triage_table(nested(strength=0)).set_index(["rule", "target_error", "confidence"]).sort_index()
    assert (blind.loc["triage", "decided"] == 0).all()
    assert (blind.loc["triage", "referred"] == 120).all()
    assert blind.loc["triage", "measured_wrong_high"].isna().all()


def test_a_fold_is_triaged_by_rules_that_the_others_gave() -> None:
    """Where one fold's patients are all wrong, they are decided all the same, and the measured error shows it."""
    main = nested(strength=8, n=300)
    fooled = with_strange_folds(main)
    table = triage_table(fooled, errors=(0.1,), confidences=(0.95,)).set_index("rule")
    honest = triage_table(main, errors=(0.1,), confidences=(0.95,)).set_index("rule")
    assert table.loc["triage", "measured_wrong"] > 0.1
    assert honest.loc["triage", "measured_wrong"] < 0.05


def test_looser_promises_decide_more() -> None:
    table = triage_table(nested(n=300), errors=(0.05, 0.1, 0.2), confidences=(0.95,))
    for _, rows in table.groupby("rule"):
        assert rows["decided"].is_monotonic_increasing


def test_target_errors_hold_over_simulated_cohorts() -> None:
    """Of 60 nested results, the rule found on one is used on patients of the same truth; 10 % at 90 % confidence."""
    truth = nested(n=20_000, strength=3, seed=999)
    p, y = centred(truth)[:, 0], truth.y
    from lymphofeat.estimates import REFER, triage

    kept = 0
    for seed in range(60):
        main = nested(n=160, strength=3, seed=seed)
        decided = triage(main.y, centred(main)[:, 0], 0.1, confidence=0.9).decide(p)
        wrong = (decided != REFER) & (decided != y)
        kept += wrong.sum() <= 0.1 * max(1, (decided != REFER).sum())
    assert kept >= 48  # 54 expected at least; 48 or fewer of such come about once in 100


def test_the_risk_of_all_is_the_error_rate() -> None:
    main = nested(runs=2)
    table = risk_coverage_table(main, n_resamples=200)
    wrong = (main.decisions != (main.y == 1)[:, None]).mean()
    assert table["risk"].iloc[-1] == pytest.approx(wrong)
    assert (table["risk"] >= table["least_risk"] - 1e-12).all()
    assert table["aurc_low"].iloc[0] < table["aurc"].iloc[0] < table["aurc_high"].iloc[0]


def test_decision_curves_are_net_benefits() -> None:
    main, clinical = nested(), nested("clinical only", inputs=("clinical",), strength=1.0, seed=4)
    table = decision_table(main, clinical)
    acted, other = (probabilities_to_act_on(one)[0][:, 0] for one in (main, clinical))
    assert table["main"].to_numpy() == pytest.approx(net_benefit(main.y, acted, table["threshold"]))
    curve = net_benefit_difference(main.y, acted, other, table["threshold"].to_numpy())
    assert table["over_clinical_low"].to_numpy() == pytest.approx(curve.low)
    assert table["over_treat_none"].to_numpy() == pytest.approx(table["main"].to_numpy())
    share = main.y.mean()
    at = table["threshold"]
    assert table["treat_all"].to_numpy() == pytest.approx(share - (1 - share) * at / (1 - at))
    assert "clinical" not in decision_table(main, None, n_resamples=10)


def test_costlier_misses_are_fewer_and_the_cost_is_counted() -> None:
    table = thresholds_table(nested(n=400))
    by_cost = table[table["rule"] == "cost"]
    assert by_cost["sensitivity"].is_monotonic_increasing
    assert by_cost["threshold"].tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 6, 1 / 11])
    y, n = nested(n=400).y, 400
    for row in by_cost.itertuples():
        missed, alarms = (1 - row.sensitivity) * y.sum(), (1 - row.specificity) * (n - y.sum())
        assert row.mean_cost == pytest.approx((row.aim * missed + alarms) / n)


def test_the_sensitivity_asked_for_is_kept_on_the_folds() -> None:
    table = thresholds_table(nested(n=1000), sensitivities=(0.9,))
    row = table[table["rule"] == "sensitivity"].iloc[0]
    assert 0.9 < row["sensitivity"] < 0.97
    assert row["specificity"] > 0.3
