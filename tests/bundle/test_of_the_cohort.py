"""What a cohort says beside its values, in the cache and the bundle: the size of a pixel, and whom it excluded why."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from lymphofeat import export, import_features, load_bundle, open_cache, tune
from lymphofeat.bundle import predict_folder
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cohort.exclusions import exclusions_from_text
from lymphofeat.cohort.layout import LAYOUT_FILE
from lymphofeat.cohort.read import read_cohort

from ..helpers.commands import runner
from ..helpers.elsewhere import Elsewhere, plain_table, simulated
from ..helpers.tiny import tiny_cohort, write_table

EXTRACTION = ExtractSettings(
    backbone="small-cnn", weights="none", seed=0, crop=64, n_folds=3, n_repeats=1, device="cpu"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained on images of 0.1 µm per pixel, without P3 and an image of P4."""
    folder = tmp_path_factory.mktemp("made")
    cohort = tiny_cohort(folder / "data", 24, images=3, side=80)
    (cohort / LAYOUT_FILE).write_text("[images]\nmicrons_per_pixel = 0.1\n")
    rows = ["P3,,the smear of P5 again", "P4,000001.jpg,blurred"]
    write_table(cohort / "exclude.csv", ["patient,image,reason", *rows])
    extract_frozen(read_cohort(cohort), folder / "c.h5", EXTRACTION)
    tune(folder / "c.h5", folder / "s.db", n_trials=1, heads=["logistic"], inputs=["image"])
    export(folder / "c.h5", folder / "s.db", folder / "model")
    return folder / "model"


def test_the_card_and_the_manifest_say_it(model: Path) -> None:
    assert "0.1 µm per pixel" in (model / "README.md").read_text()
    assert json.loads((model / "manifest.json").read_text())["microns_per_pixel"] == 0.1
    assert load_bundle(model).microns_per_pixel == 0.1


def test_the_cache_and_the_card_say_who_was_excluded_and_why(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = open_cache(model.parent / "c.h5")
    found = exclusions_from_text(cache.tables.exclusions)
    assert found == read_cohort(model.parent / "data").exclusions
    assert [one.reason for one in found] == ["the smear of P5 again", "blurred"]
    card = (model / "README.md").read_text()
    counts = "1 patient (1 malignant), 1 image: the smear of another patient again 1, blurred 1"
    assert f"Excluded before training: {counts}." in card
    assert "Reasons of exclusions are quoted as written" in card
    said = runner(monkeypatch, capsys)("info", model.parent / "c.h5").out
    assert "  pixels   0.1 µm per pixel\n" in said
    assert "  excluded 1 patient, 1 image: the smear of P5 again 1, blurred 1\n" in said


@pytest.mark.parametrize(
    ("said", "words"),
    [("", ""), ("0.104", ""), ("0.25", "cells appear 2.5 times as small"), ("0.05", "2 times as large")],
)
def test_another_size_is_told_once(model: Path, tmp_path: Path, said: str, words: str) -> None:
    folder = tiny_cohort(tmp_path / "cohort", 4, images=2, side=80) / "testset"
    if said:
        (folder / LAYOUT_FILE).write_text(f"[images]\nmicrons_per_pixel = {said}\n")
    found = predict_folder(model, folder, tmp_path / "p.csv")
    told = [note for note in found.notes if "µm" in note]
    assert len(told) == bool(words)
    if words:
        assert told[0].startswith(
            f"{folder / LAYOUT_FILE} says {said} µm per pixel, and the model was trained on 0.1 "
        )
        assert words in told[0]


def test_a_whole_cohort_is_told_of_as_well(model: Path, tmp_path: Path) -> None:
    cohort = tiny_cohort(tmp_path / "cohort", 8, images=2, side=80)
    (cohort / LAYOUT_FILE).write_text("[images]\nmicrons_per_pixel = 0.2\n")
    notes = predict_folder(model, cohort, tmp_path / "p.csv").notes
    assert sum("cells appear 2 times as small" in note for note in notes) == 1


def stamp(folder: Path, given: Elsewhere, wide: float) -> Path:
    """A file per patient, as STAMP writes tiles."""
    folder.mkdir()
    for patient, rows in given.bags().items():
        with h5py.File(folder / f"{patient}.h5", "w") as file:
            file["feats"], file["coords"] = rows, np.arange(2.0 * len(rows)).reshape(-1, 2)
            file.attrs.update({"extractor": "uni", "feat_type": "tile", "unit": "um"})
            file.attrs.update({"tile_size_um": wide, "tile_size_px": 224})
    return folder


def test_files_of_features_are_compared_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = simulated(24, 3)
    stamp(tmp_path / "uni", given, 112.0)
    table = plain_table(tmp_path / "patients.csv", given)
    import_features(tmp_path / "uni", tmp_path / "c.h5", table, n_folds=3)
    tune(tmp_path / "c.h5", tmp_path / "s.db", n_trials=1, heads=["logistic"], inputs=["image"])
    export(tmp_path / "c.h5", tmp_path / "s.db", tmp_path / "model")
    assert load_bundle(tmp_path / "model").microns_per_pixel == 0.5
    assert (
        "  uni: 0.5 µm per pixel, by its files\n"
        in runner(monkeypatch, capsys)("info", tmp_path / "c.h5").out
    )
    new = simulated(4, 0, seed=7)
    same = predict_folder(tmp_path / "model", stamp(tmp_path / "same", new, 112.0), tmp_path / "p1.csv")
    assert not any("µm" in note for note in same.notes)
    other = predict_folder(tmp_path / "model", stamp(tmp_path / "other", new, 224.0), tmp_path / "p2.csv")
    assert "other says 1 µm per pixel, and the model was trained on 0.5 µm per pixel" in other.notes[-1]
