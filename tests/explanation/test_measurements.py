"""Which measurements drive a prediction: exact for linear heads, in words, and the cells drawn in their order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lymphofeat.cache import Bags, Cache, open_cache
from lymphofeat.cache.bags import JoinedBags
from lymphofeat.cache.extract import ExtractSettings
from lymphofeat.cache.morphology import extract_morphology
from lymphofeat.cache.pooling import POOLINGS, pool, pooled_names
from lymphofeat.cache.split import Split
from lymphofeat.cohort.read import read_cohort
from lymphofeat.explanation import explain
from lymphofeat.explanation.measurements import measurement_contributions, measurement_tables
from lymphofeat.heads import Logistic, pooled
from lymphofeat.report.explain import measured_in_words
from lymphofeat.studies import tune
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

from ..helpers.commands import Run, runner


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("measured")
    spec = SimulationSettings(patients=20, seed=4, size=96, images_range=(4, 6), overlap=0.1)
    simulate_cohort(folder / "data", spec)
    (folder / "data" / "lymphofeat.toml").write_text("[images]\nsmallest = 64\n")
    cohort = read_cohort(folder / "data")
    extract_morphology(cohort, folder / "c.h5", settings=ExtractSettings(crop=224, n_folds=3, n_repeats=1))
    tune(folder / "c.h5", folder / "s.db", n_trials=3, heads=["logistic"], inputs=["both", "image"])
    return folder / "c.h5", folder / "s.db"


@pytest.fixture
def cache(made: tuple[Path, Path]) -> Cache:
    return open_cache(made[0])


def test_pooled_tables_carry_the_names(cache: Cache) -> None:
    names = cache.encodings["morphology"].names
    assert names is not None
    for pooling in POOLINGS:
        table = cache.to_frame(pooling)
        np.testing.assert_array_equal(table.to_numpy(), pool(cache.bags("morphology"), pooling))
        assert list(table.columns) == pooled_names(names, pooling)
        assert table.columns.is_unique
    areas = cache.bags("morphology")[3][:, names.index("nucleus_area")]
    assert cache.to_frame("mean+std")["nucleus_area_std"].iloc[3] == pytest.approx(areas.std(), rel=1e-5)
    assert cache.to_frame("quantiles")["nucleus_area_q0.5"].iloc[3] == pytest.approx(np.median(areas))


def test_of_a_linear_head_contributions_are_weight_times_difference(cache: Cache) -> None:
    split = cache.split("morphology", {0})
    head = pooled(Logistic, inputs="image").fit(
        split.bags.select(split.train), cache.clinical.iloc[split.train], cache.labels[split.train]
    )
    row, encodings = int(split.test[0]), cache.behind(split)
    found = measurement_contributions(head, split, encodings, cache.clinical, np.array([row]), split.train)[0]
    names = encodings[0].names
    assert names is not None
    assert list(found) == pooled_names(names, "mean+std")
    table = cache.to_frame("mean")
    k = names.index("nucleus_area")
    moved = table.to_numpy().copy()
    moved[row, k] = table.iloc[split.train, k].mean()
    design, line = head.design_, head.classifier_
    tables = [design.axes_.transform(values[[row]]) for values in (table.to_numpy(), moved)]
    log_odds = [float(np.log(p[1] / p[0])) for t in tables for p in line.predict_proba(t)]
    assert found["nucleus_area_mean"] == pytest.approx(log_odds[0] - log_odds[1], abs=1e-3)
    np.testing.assert_allclose(
        [found[f"{name}_std"] for name in names], 0, atol=1e-3
    )  # a mean sees no spread


def test_beside_another_encoding_only_the_named_one_is_changed(cache: Cache) -> None:
    split = cache.split("morphology", {0})
    plain = Bags(
        np.ones((len(split.bags.features), 3), dtype=np.float32), split.bags.starts, split.bags.lengths
    )
    joined = JoinedBags({"other": plain, "morphology": split.bags})

    class Sum:
        """Log-odds that are the area's mean, and only as long as the other encoding is as it was."""

        inputs = "image"

        def predict_proba(self, bags: JoinedBags, clinical: pd.DataFrame) -> np.ndarray:
            assert (pool(bags.parts["other"], "mean") == 1).all()
            p = 1 / (1 + np.exp(-pool(bags.parts["morphology"], "mean")[:, 0] / 100))
            return np.stack([1 - p, p], axis=1)

    row = int(split.test[0])
    encodings = (cache.encodings["morphology"],)
    both = Split(joined, split.features_digest, split.train, split.test, split.encoding)
    found = measurement_contributions(Sum(), both, encodings, cache.clinical, np.array([row]), split.train)[0]
    own, typical = pool(split.bags, "mean")[row, 0], pool(split.bags.select(split.train), "mean")[:, 0].mean()
    assert found["nucleus_area_mean"] == pytest.approx((own - typical) / 100, abs=1e-4)
    assert found["nucleus_perimeter_mean"] == 0


def test_the_table_compares_with_training_patients_of_either_label(cache: Cache) -> None:
    split = cache.split("morphology", {0})
    row, encodings = int(split.test[0]), cache.behind(split)
    names = pooled_names(encodings[0].names or (), "mean+std")
    contributions = [dict.fromkeys(names, 0.5)]
    (table,) = measurement_tables(
        contributions, split.bags, encodings, np.array([row]), split.train, cache.labels
    )
    one = table.set_index("measurement").loc["nucleus_area_mean"]
    values = cache.to_frame("mean")["nucleus_area_mean"].to_numpy()
    for label, name in enumerate(("reactive", "malignant")):
        others = values[split.train[cache.labels[split.train] == label]]
        assert one[f"above_{name}"] == pytest.approx((others < values[row]).mean())
        assert one[f"n_{name}"] == len(others)


@pytest.mark.parametrize(
    ("measurement", "contribution", "share", "said"),
    [
        ("nucleus_area_mean", 0.3, 0.92, "larger nuclei than 92 % of reactive patients"),
        ("nucleus_area_mean", 0.3, 0.1, "smaller nuclei than 90 % of reactive patients"),
        ("nucleus_area_mean", -0.3, 0.0, "smaller nuclei than all 40 malignant patients"),
        (
            "nucleus_area_std",
            0.1,
            0.75,
            "nucleus area more varied from cell to cell than in 75 % of reactive patients",
        ),
        ("own_mean", 0.1, 0.75, "own mean above that of 75 % of reactive patients"),
    ],
)
def test_a_measurement_in_words(measurement: str, contribution: float, share: float, said: str) -> None:
    row = {
        "measurement": measurement, "contribution": contribution, "above_reactive": share, "above_malignant": share,
        "n_reactive": 30, "n_malignant": 40,
    }  # fmt: skip
    assert measured_in_words(row) == said


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


def test_a_study_on_measured_cells_is_explained_in_words(
    made: tuple[Path, Path], tmp_path: Path, run: Run
) -> None:
    patient = str(open_cache(made[0]).patients["id"].iloc[0])
    found = explain(*made, patient)
    assert found.measurements is not None
    assert found.measurements["contribution"].is_monotonic_decreasing
    assert found.measurements["contribution"].abs().max() > 0
    picture = tmp_path / "cells.png"
    command = ["explain", patient, "--cache", made[0], "--study", made[1], "--outlines", picture]
    ran = run(*command)
    assert ran.code == 0
    assert "reactive patients" in ran.out or "malignant patients" in ran.out
    assert f"Wrote {picture}" in ran.out
    with Image.open(picture) as image:
        assert image.format == "PNG"
        assert image.size[0] == 320 * min(8, len(found.images))
        colours = np.asarray(image).reshape(-1, 3)
    assert (colours == (255, 240, 0)).all(axis=1).sum() > 100
    assert run(*command).code == 2  # it exists
    assert run(*command, "--force").code == 0


def test_outlines_need_the_images_that_were_measured(
    made: tuple[Path, Path], tmp_path: Path, run: Run
) -> None:
    cache = open_cache(made[0])
    patient = read_cohort(cache.tables.source).patients[0]
    content, out = patient.images[0].read_bytes(), tmp_path / "o.png"
    try:
        patient.images[0].write_bytes(content + b" ")
        ran = run("explain", patient.id, "--cache", made[0], "--study", made[1], "--outlines", out)
    finally:
        patient.images[0].write_bytes(content)
    assert ran.code == 2
    assert f"image {patient.images[0].name} of {patient.id} is not the one" in ran.err
    assert not out.exists()


def test_check_draws_a_random_sample(made: tuple[Path, Path], tmp_path: Path, run: Run) -> None:
    cohort = made[0].parent / "data"
    one, other = tmp_path / "a.png", tmp_path / "b.png"
    assert " of 48 cells whole" in run("check", cohort, "--outlines", one).out
    assert run("check", cohort, "--outlines", other).code == 0
    assert one.read_bytes() == other.read_bytes()
    assert run("check", cohort, "--outlines", one).code == 2
