"""The simulated patients: is the stated probability the true one, and is all there that readers must cope with."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from lymphofeat.errors import InputError
from lymphofeat.synthetic.patients import SimulationSettings, separation, simulate_patients

MANY = 20_000
SPECS = {
    "both": {},
    "image": {"signal": "image"},
    "clinical": {"signal": "clinical"},
    "none": {"signal": "none"},
    "wide overlap": {"overlap": 0.6},
    "narrow overlap": {"overlap": 0.1},
    "rare": {"rare_fraction": 0.05},
    "rare, image": {"rare_fraction": 0.05, "signal": "image", "overlap": 0.0},
    "few malignant": {"malignant_fraction": 0.2},
}


def simulated(seed: int = 0, **fields: object) -> pd.DataFrame:
    return simulate_patients(SimulationSettings(patients=MANY, **fields), np.random.default_rng(seed))


@pytest.mark.parametrize("name", SPECS)
def test_the_true_probability_is_calibrated(name: str) -> None:
    patients = simulated(**SPECS[name])
    groups = patients.groupby(np.digitize(patients["probability"], np.linspace(0.1, 0.9, 9)))
    for _, group in groups:
        p = group["probability"].to_numpy()
        error = np.sqrt((p * (1 - p)).sum()) / len(p)
        assert abs(p.mean() - group["label"].mean()) < 4.5 * error + 1e-9


@pytest.mark.parametrize("name", ["both", "image", "clinical", "rare", "wide overlap"])
def test_nothing_fitted_on_what_is_drawn_beats_the_true_probability(name: str) -> None:
    """Calibrated but too coarse a probability would lose here: the fit sees every variable, and the labels."""
    patients = simulated(**SPECS[name])
    age, count, z = (patients[c].to_numpy() for c in ("age", "lymphocyte_count", "homogeneity"))
    share = patients["n_rare"].to_numpy() / patients["n_images"].to_numpy()
    columns = [
        age,
        age**2,
        np.log(count),
        np.log(count) ** 2,
        z,
        patients["n_images"],
        share,
        patients["n_rare"],
    ]
    features = np.column_stack(columns)
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    fit = LogisticRegression(C=1e3, max_iter=1000).fit(features, patients["label"])
    best = log_loss(patients["label"], patients["probability"])
    assert best < log_loss(patients["label"], fit.predict_proba(features)) + 1e-3


@given(overlap=st.floats(0.001, 1.0))
def test_overlap_is_the_overlapping_coefficient(overlap: float) -> None:
    d = separation(overlap)
    grid = np.linspace(-12, 12, 4001)
    common = np.minimum(norm.pdf(grid, -d / 2), norm.pdf(grid, d / 2))
    assert common.sum() * (grid[1] - grid[0]) == pytest.approx(overlap, abs=1e-4)


def test_the_best_auc_follows_the_overlap() -> None:
    patients = simulated(signal="image", overlap=0.4)
    expected = norm.cdf(separation(0.4) / np.sqrt(2))
    assert roc_auc_score(patients["label"], patients["probability"]) == pytest.approx(expected, abs=0.01)


def test_the_ends_of_the_overlap() -> None:
    apart, same = simulated(overlap=0.0), simulated(overlap=1.0)
    assert roc_auc_score(apart["label"], apart["probability"]) > 0.9999
    np.testing.assert_allclose(same["probability"], 0.6, atol=1e-9)


@pytest.mark.parametrize(
    ("signal", "carriers"),
    [
        ("both", {"age", "lymphocyte_count", "n_images", "homogeneity"}),
        ("image", {"homogeneity"}),
        ("clinical", {"age", "lymphocyte_count", "n_images"}),
        ("none", set()),
    ],
)
def test_only_the_asked_signal_carries_the_label(signal: str, carriers: set[str]) -> None:
    patients = simulated(signal=signal)
    for column in ("age", "lymphocyte_count", "n_images", "homogeneity"):
        auc = roc_auc_score(patients["label"], patients[column])
        assert auc > 0.7 if column in carriers else abs(auc - 0.5) < 0.02, column
    for column, value in (("date_order", "d-m-y"), ("sex_written", "f"), ("sex", "M")):
        auc = roc_auc_score(patients["label"], patients[column] == value)
        assert abs(auc - 0.5) < 0.02, column


def test_bag_size_alone_separates_about_as_in_the_challenge() -> None:
    patients = simulated()
    assert roc_auc_score(patients["label"], patients["n_images"]) == pytest.approx(0.8, abs=0.02)
    assert np.corrcoef(np.log(patients["n_images"]), np.log(patients["lymphocyte_count"]))[0, 1] > 0.6


def test_rare_cells_are_the_only_image_signal_when_asked_for() -> None:
    patients = simulated(rare_fraction=0.1, signal="image", overlap=0.0)
    malignant = patients["label"] == 1
    assert (patients.loc[~malignant, "n_rare"] == 0).all()
    share = patients.loc[malignant, "n_rare"].sum() / patients.loc[malignant, "n_images"].sum()
    assert share == pytest.approx(0.1, abs=0.005)
    assert abs(roc_auc_score(malignant, patients["homogeneity"]) - 0.5) < 0.02


def test_classes_are_as_in_lymphocytosis() -> None:
    patients = simulated()
    assert patients["lymphocyte_count"].min() >= 4
    assert patients["age"].between(18, 100).all()
    by = patients.groupby("label")
    assert by["age"].mean()[1] - by["age"].mean()[0] > 8
    assert by["lymphocyte_count"].median()[1] > 2 * by["lymphocyte_count"].median()[0]


specs = st.builds(
    SimulationSettings,
    patients=st.integers(6, 80),
    seed=st.integers(0, 2**32),
    test_fraction=st.floats(0, 0.5),
    malignant_fraction=st.floats(0.1, 0.9),
    images_range=st.tuples(st.integers(1, 9), st.integers(9, 30)),
    overlap=st.floats(0, 1),
    signal=st.sampled_from(["image", "clinical", "both", "none"]),
    rare_fraction=st.none() | st.floats(0.01, 1),
)


@settings(max_examples=60, deadline=None)
@given(spec=specs)
def test_every_cohort_has_what_readers_must_cope_with(spec: SimulationSettings) -> None:
    patients = simulate_patients(spec, np.random.default_rng(spec.seed))
    train = patients[patients["part"] == "train"]
    assert sorted(patients["id"]) == sorted(f"P{k}" for k in range(spec.patients))
    assert set(train["label"]) == {0, 1}
    assert patients["n_images"].between(*spec.images_range).all()
    assert (patients["n_rare"] <= patients["n_images"]).all()
    assert patients["probability"].between(0, 1).all()
    assert set(patients["date_order"]) == {"m/d/y", "d-m-y"}
    assert "f" in set(patients["sex_written"])
    pairs = [pair for _, pair in patients.groupby("person") if len(pair) > 1]
    assert pairs
    for pair in pairs:
        assert len(pair) == 2
        assert set(pair["part"]) == {"train"}
        assert set(pair["date_order"]) == {"m/d/y", "d-m-y"}
        assert pair[["birth", "sex", "label"]].nunique().tolist() == [1, 1, 1]


def test_all_bad_fields_are_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        SimulationSettings(
            patients=3,
            seed=-1,
            test_fraction=0.9,
            malignant_fraction=1.0,
            size=8,
            images_range=(5, 2),
            overlap=1.5,
            signal="sound",  # type: ignore[arg-type]
            rare_fraction=0.0,
            formats=("gif",),  # type: ignore[arg-type]
        )
    for field in SimulationSettings.__dataclass_fields__:
        assert field in str(caught.value)


def test_equal_streams_simulate_equal_patients_and_others_do_not() -> None:
    pd.testing.assert_frame_equal(simulated(seed=5), simulated(seed=5))
    assert (simulated(seed=5)["age"] != simulated(seed=6)["age"]).any()
