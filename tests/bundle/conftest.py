"""One simulated cohort, its cache, studies and a bundle for all tests of bundles."""

from pathlib import Path

import pytest

from lymphofeat.bundle import ExportOptions, export_bundle
from lymphofeat.cache.control_experiments import extract_colour
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cache.finetune import extract_finetuned, settings_from
from lymphofeat.cohort.read import read_cohort
from lymphofeat.studies import tune

from ..helpers.tiny import tiny_cohort

N = 24
SETTINGS = ExtractSettings(
    backbone="small-cnn", weights="none", seed=0, crop=64, n_folds=3, n_repeats=1, device="cpu"
)
Made = dict[str, Path]


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cohort(tmp_path_factory.mktemp("cohort") / "data", N, images=3, side=80)


@pytest.fixture(scope="session")
def cache(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cache") / "c.h5"
    found = read_cohort(cohort)
    extract_frozen(found, path, SETTINGS)
    extract_colour(found, path, SETTINGS)
    settings = settings_from(
        recipe="pooled-small-cnn",
        epochs=1,
        crop=64,
        weights="none",
        seed=0,
        n_folds=3,
        name="tuned",
        device="cpu",
        n_repeats=1,
    )
    extract_finetuned(found, path, settings)
    return path


@pytest.fixture(scope="session")
def studies(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("studies")
    encoder_families = {"frozen": "small-cnn-random0-crop64", "tuned": "tuned", "colour": "colour"}
    for name, encoder_family in encoder_families.items():
        tune(
            cache,
            folder / f"{name}.db",
            n_trials=4,
            encoding=encoder_family,
            heads=["logistic", "svm"],
            inputs=["both", "image"],
        )
    for name, encoding in {"pair": "small-cnn-random0-crop64,colour", "tuned-pair": "tuned,colour"}.items():
        tune(
            cache, folder / f"{name}.db", n_trials=4, encoding=encoding, heads=["logistic"], inputs=["image"]
        )
    tune(cache, folder / "clinical.db", n_trials=3, encoding="tuned", heads=["logistic"], inputs=["clinical"])
    return {path.stem: path for path in folder.glob("*.db")}


@pytest.fixture(scope="session")
def model(cache: Path, studies: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle to read; tests that change it copy it."""
    out = tmp_path_factory.mktemp("bundle") / "model"
    options = ExportOptions(ensemble=3, refer_error=0.2, calibrate="platt")
    export_bundle(cache, studies["frozen"], out, options)
    return out
