"""`info` says of any path what it is and which command takes it; it advises to delete nothing."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from lymphofeat.bundle import export_bundle
from lymphofeat.studies import tune

from ..helpers.caches import frozen_cache
from ..helpers.commands import Run, runner
from ..helpers.tiny import tiny_cohort, write_table


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


def test_every_path_is_told_what_it_is(run: Run, tmp_path: Path) -> None:
    tiny_cohort(tmp_path / "cohort", n=6)
    write_table(tmp_path / "cohort" / "lymphofeat.toml", ["[folders]"])
    (tmp_path / "export" / "P1").mkdir(parents=True)
    (tmp_path / "nothing").mkdir()
    write_table(tmp_path / "t.csv", ["Nr;Diagnose", "1;CLL"])
    write_table(tmp_path / "p.csv", ["id,probability,decision", "A,0.5,refer"])
    write_table(tmp_path / "mine.toml", ['base = "default"'])
    with h5py.File(tmp_path / "uni.h5", "w") as file:
        file["features"] = np.zeros((3, 4))
    Image.new("RGB", (8, 8)).save(tmp_path / "cell.png")
    (tmp_path / "x.json").write_text(json.dumps({"a": 1}))
    (tmp_path / "odd.bin").write_bytes(b"\x01\x02\x00\x03")
    for name, what, way in (
        ("cohort", "a cohort's folder", "lymphofeat check cohort"),
        ("cohort/lymphofeat.toml", "a layout of a cohort", "lymphofeat check cohort"),
        ("export", "a folder", "lymphofeat init export"),
        ("nothing", "a folder", "It holds nothing"),
        ("t.csv", "a CSV table", "columns Nr and Diagnose"),
        ("p.csv", "a CSV table", "Predictions of an exported model"),
        ("mine.toml", "a TOML file", "lymphofeat recipes mine.toml"),
        ("uni.h5", "an HDF5 file of another program", "lymphofeat import uni.h5"),
        ("cell.png", "a PNG image", "lymphofeat check FOLDER"),
        ("x.json", "a JSON file", "Nothing that lymphofeat reads"),
        ("odd.bin", "a file of an unknown kind", "Nothing that lymphofeat reads"),
    ):
        ran = run("info", name)
        assert ran.code == 0, name
        assert f"{name}: {what}" in ran.out, ran.out
        assert way in ran.out, ran.out
        assert "delete" not in ran.out
        assert "remove" not in ran.out


def test_models_evaluations_and_names_of_studies(run: Run, tmp_path: Path) -> None:
    frozen_cache(tmp_path / "c.h5", n=24, n_folds=3)
    tune(
        tmp_path / "c.h5",
        tmp_path / "studies" / "mine.db",
        n_trials=2,
        heads=["logistic"],
        inputs=["clinical"],
    )
    export_bundle(tmp_path / "c.h5", tmp_path / "studies" / "mine.db", tmp_path / "model")
    shown = run("info", "model").out
    assert "a folder with an exported model" in shown
    assert "fit on clinical values" in shown
    assert "lymphofeat predict model FOLDER --clinical TABLE" in shown
    assert run("info", "mine").out == run("info", "studies/mine.db").out
    assert "study mine.db: lymphofeat info studies/mine.db" in run("info", "studies").out
    assert run("evaluate", "--cache", "c.h5", "--trials", "2", "--heads", "logistic", "--out", "e").code == 0
    for name in ("e", "e/evaluate.json"):
        shown = run("info", name).out
        assert "an evaluation" in shown
        assert "balanced accuracy 0." in shown or "balanced accuracy 1." in shown
        assert "lymphofeat export model --evaluation e/evaluate.json" in shown
