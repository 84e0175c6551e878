"""Cameras of 12 bits from end to end: features as of the same cells in 8 bits, new patients read like the training."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lymphofeat.bundle import export_bundle, load_bundle, predict_folder
from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cohort.check import check_cohort
from lymphofeat.cohort.read import read_cohort
from lymphofeat.studies import tune
from lymphofeat.training.pixel_store import open_pixels

from ..helpers.tiny import tiny_cohort

SETTINGS = ExtractSettings(
    backbone="small-cnn", weights="none", seed=0, crop=64, n_folds=3, n_repeats=1, device="cpu"
)


def _save(folder: Path, name: str, cell: np.ndarray) -> None:
    """The same cell in `eight` as 8 bits and in `twelve` as 12 bits in 16."""
    for kind, image in (
        ("eight", Image.fromarray((cell >> 4).astype(np.uint8))),
        ("twelve", Image.fromarray(cell)),
    ):
        path = folder / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cohorts, caches and a bundle of the deep ones."""
    folder = tmp_path_factory.mktemp("deep")
    for kind in ("eight", "twelve"):
        root = tiny_cohort(folder / kind, 12, images=2, side=80)
        (root / "lymphofeat.toml").write_text("[images]\nsmallest = 64\n")
    for number, path in enumerate(sorted((folder / "eight").rglob("*.jpg"))):
        cell = np.random.default_rng(number).integers(0, 4096, (80, 80)).astype(np.uint16)
        _save(folder, str(path.relative_to(folder / "eight").with_suffix(".tif")), cell)
    for path in folder.rglob("*.jpg"):
        path.unlink()
    for kind in ("eight", "twelve"):
        extract_frozen(read_cohort(folder / kind), folder / f"{kind}.h5", SETTINGS)
    tune(folder / "twelve.h5", folder / "s.db", n_trials=1, heads=["logistic"], inputs=["image"])
    export_bundle(folder / "twelve.h5", folder / "s.db", folder / "model")
    return folder


def test_features_are_those_of_the_same_cells_in_eight_bits(made: Path) -> None:
    eight, twelve = (next(iter(open_cache(made / f"{k}.h5").encodings.values())) for k in ("eight", "twelve"))
    np.testing.assert_array_equal(eight.features, twelve.features)
    assert twelve.attrs["preprocessing"]["bits"] == 12
    assert "bits" not in eight.attrs["preprocessing"]


def test_check_and_the_stored_pixels_scale_alike(made: Path, tmp_path: Path) -> None:
    eight, twelve = (check_cohort(made / kind) for kind in ("eight", "twelve"))
    assert [p.code for p in eight.problems] == ["image-mode"]
    (problem,) = twelve.problems
    assert (problem.code, problem.severity) == ("bit-depth", "warning")
    assert (
        "has 16 bits a channel, and 23 more images too; the largest value of all is 4,095" in problem.message
    )
    colours = {s.name: s.auc.value for s in eight.audit if "mean" in s.name and "size" not in s.name}
    assert colours == pytest.approx(
        {s.name: s.auc.value for s in twelve.audit if s.name in colours}, abs=0.05
    )
    stores = []
    for kind, bits in (("eight", 16), ("twelve", 12)):
        images = read_cohort(made / kind).images
        stores.append(open_pixels(images, [kind] * len(images), tmp_path, 64, bits=bits).pixels)
    np.testing.assert_array_equal(*stores)


def test_a_dark_new_patient_is_read_with_the_trainings_depth(made: Path, tmp_path: Path) -> None:
    """By its own values it would be taken for 10 bits, and be made four times as bright."""
    assert load_bundle(made / "model").encoders[0].bits == 12
    for k in range(3):
        cell = np.random.default_rng(k).integers(0, 900, (80, 80)).astype(np.uint16)
        _save(tmp_path, f"A/{k}.tif", cell)
    found = [
        predict_folder(made / "model", tmp_path / kind, tmp_path / f"{kind}.csv")
        for kind in ("eight", "twelve")
    ]
    assert found[0].table["probability"][0] == found[1].table["probability"][0]
    assert "they are read as values of 12 bits" in found[1].notes[-1]
    assert found[0].notes == ()
