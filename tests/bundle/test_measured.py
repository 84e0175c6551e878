"""A bundle on measured cells: new patients are measured as the training's, failed cells counted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lymphofeat.bundle import export_bundle, load_bundle
from lymphofeat.bundle.encoders import EncoderRecord
from lymphofeat.bundle.explained import explain_patients
from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import ExtractSettings
from lymphofeat.cache.morphology import extract_morphology
from lymphofeat.cache.pooling import pool
from lymphofeat.cohort.read import read_cohort
from lymphofeat.encoder.morphology import features
from lymphofeat.errors import BundleError, InputError
from lymphofeat.studies import tune
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

from ..helpers.progress import Heard


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of which one image shows no cell, its cache and a bundle."""
    folder = tmp_path_factory.mktemp("measured")
    spec = SimulationSettings(patients=16, seed=2, size=96, images_range=(3, 3))
    cohort = read_cohort(simulate_cohort(folder / "data", spec))
    Image.new("RGB", (96, 96), (250, 228, 204)).save(cohort.patients[-1].images[0])
    cohort = read_cohort(folder / "data")
    extract_morphology(cohort, folder / "c.h5", settings=ExtractSettings(crop=224, n_folds=3, n_repeats=1))
    tune(folder / "c.h5", folder / "s.db", n_trials=1, heads=["logistic"], inputs=["image"])
    export_bundle(folder / "c.h5", folder / "s.db", folder / "model")
    return folder


def test_new_patients_are_measured_as_those_of_the_cache(made: Path) -> None:
    heard, cache = Heard(), open_cache(made / "c.h5")
    bundle = load_bundle(made / "model")
    table = bundle.predict(made / "data" / "testset", progress=heard).set_index("id")
    rows = np.flatnonzero(cache.labels < 0)
    direct = bundle.predict(cache.bags("morphology").select(rows)).set_axis(cache.ids[rows])
    np.testing.assert_allclose(table["probability"], direct["probability"].loc[table.index], atol=1e-9)
    assert any("1 image of 12 without a nucleus" in note for note in heard.notes)
    assert not list((made / "model").rglob("encoders/*"))


def test_measurements_stand_beside_those_of_the_training_patients(made: Path) -> None:
    cache, bundle = open_cache(made / "c.h5"), load_bundle(made / "model")
    encoding = cache.encodings["morphology"]
    means = pool(cache.bags("morphology"), "mean")
    known, rows = means[cache.labelled], np.flatnonzero(cache.labels < 0)
    values = cache.patients.iloc[rows]
    found = explain_patients(bundle, [cache.bags("morphology").select(rows)], values)
    spread = known.std(axis=0)
    expected = (means[rows] - known.mean(axis=0)) / np.where(spread > 0, spread, 1)
    for one, row in zip(found, expected, strict=True):
        assert dict(one.measured) == pytest.approx(
            dict(zip(encoding.names, row.tolist(), strict=True)), abs=1e-6
        )
        sizes = [abs(value) for _, value in one.measured]
        assert sizes == sorted(sizes, reverse=True)
        assert one.values == {}


def test_the_bundle_says_what_is_measured(made: Path) -> None:
    record = load_bundle(made / "model").encoders[0]
    assert (record.kind, record.groups, record.features_version) == (
        "morphology",
        ("shape", "chromatin"),
        features.VERSION,
    )
    raw = json.loads((made / "model" / "model.json").read_text())["encoders"][0]
    assert EncoderRecord.from_json(raw) == record
    for name in ("groups", "features_version"):
        del raw[name]
    assert EncoderRecord.from_json(raw).groups == ()  # of a bundle made before


def test_other_definitions_are_refused(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lymphofeat.bundle.encoders.VERSION", features.VERSION + 1)
    with pytest.raises(BundleError, match=f"measures by version {features.VERSION + 1}"):
        load_bundle(made / "model").predict(made / "data" / "testset")


def test_a_new_patient_without_any_nucleus_is_refused_by_name(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "data" / "testset", tmp_path / "new")
    (tmp_path / "new" / "P999").mkdir()
    Image.new("RGB", (96, 96), (250, 228, 204)).save(tmp_path / "new" / "P999" / "0.png")
    with pytest.raises(InputError, match="any image of P999"):
        load_bundle(made / "model").predict(tmp_path / "new")
