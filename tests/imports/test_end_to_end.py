"""Imported features go through tune, evaluate, submit, export and predict, as users type them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from lymphofeat import export, import_features, load_bundle, open_cache, submit, tune
from lymphofeat.cache.bags import JoinedBags
from lymphofeat.errors import BundleError, InputError

from ..helpers.commands import Run, runner
from ..helpers.elsewhere import (
    Elsewhere,
    clam_table,
    plain_table,
    simulated,
    slide_table,
    write_anndata,
    write_clam,
    write_stamp,
    write_trident,
)

GIVEN = simulated(24, 3)
NEW = simulated(4, 0, seed=7)
QUICK = ("--heads", "logistic", "--trials", "2")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


@pytest.mark.slow
def test_from_the_files_of_trident_to_predictions(run: Run, tmp_path: Path) -> None:
    write_trident(tmp_path / "job", GIVEN)
    clam_table(tmp_path / "cases.csv", GIVEN)
    refused = run("import", "job/features_uni_v1", "--patients", "cases.csv")
    assert refused.code == 2
    assert "'tumor_tissue' (" in refused.err
    assert not (tmp_path / "cache").exists()
    words = ("--reactive", "normal_tissue", "--malignant", "tumor_tissue")
    ran = run("import", "job/features_uni_v1", "--patients", "cases.csv", *words, "--folds", "3")
    assert ran.code == 0, ran.err
    rows = len(GIVEN.rows())
    assert f"cache/features.h5: encoding uni_v1, {rows:,} patches of 6 numbers by uni_v1" in ran.out
    assert "27 patients: 12 reactive, 12 malignant, 3 without label" in ran.out
    assert f"P0: 2 slides, {len(GIVEN.bag('P0'))} patches of 6 numbers by uni_v1" in ran.out
    assert "blind to every fold by your word" in ran.out
    assert "uni_v1" in run("info").out
    assert run("tune", *QUICK, "--no-clinical").code == 0
    evaluated = run("evaluate", *QUICK, "--out", "evaluation")
    assert evaluated.code == 0, evaluated.err
    assert run("submit").code == 0
    assert len(pd.read_csv("submission.csv")) == 3
    exported = run("export", "model", "--trial", 0)
    assert exported.code == 0, exported.err
    assert "uni_v1, computed by another toolkit, 6 numbers a patch; not in the bundle" in exported.out
    assert "features that another toolkit computed (encoder: uni_v1)" in Path("model/README.md").read_text()

    write_trident(tmp_path / "new", NEW)
    slides = pd.DataFrame(
        [(who, name) for name, (who, _) in NEW.slides.items()], columns=["patient", "slide"]
    )
    slides.assign(age=60, sex="F", lymphocyte_count=7.5).to_csv("new.csv", index=False)
    report = ("--report", "new.html", "--ids")
    predicted = run("predict", "model", "new/features_uni_v1", "--clinical", "new.csv", *report)
    assert predicted.code == 0, predicted.err
    page = Path("new.html").read_text(encoding="utf-8")
    assert "The model was given features, not images: no cell can be shown." in page
    assert all(f"Patient {name}" in page for name in NEW.labels)
    table = pd.read_csv("predictions.csv")
    assert list(table["id"]) == list(NEW.labels)
    assert table["probability"].between(0, 1).all()

    write_trident(tmp_path / "other", NEW, "conch")
    other = run("predict", "model", "other/features_conch", "--clinical", "new.csv", "--out", "other.csv")
    assert other.code == 2
    assert "the features are by the encoder conch, and the bundle was made with uni_v1" in other.err
    assert not Path("other.csv").exists()


def clam(at: Path) -> dict[str, Any]:
    table = clam_table(at / "t.csv", GIVEN)
    words = {"reactive": "normal_tissue", "malignant": "tumor_tissue"}
    return {"source": write_clam(at / "f", GIVEN), "patients": table, **words}


def stamp(at: Path) -> dict[str, Any]:
    source, slides = write_stamp(at / "f", GIVEN), slide_table(at / "s.csv", GIVEN)
    return {"source": source, "patients": plain_table(at / "t.csv", GIVEN), "slides": slides}


def vectors(at: Path) -> dict[str, Any]:
    return {"source": write_stamp(at / "f", GIVEN, "patient"), "patients": plain_table(at / "t.csv", GIVEN)}


def csv(at: Path) -> dict[str, Any]:
    GIVEN.rows().to_csv(at / "rows.csv", index=False)
    return {"source": at / "rows.csv", "unit": "cell"}


def anndata(at: Path) -> dict[str, Any]:
    return {"source": write_anndata(at / "a.h5ad", GIVEN)}


def arrays(at: Path) -> dict[str, Any]:
    return {
        "source": GIVEN.bags(),
        "patients": {"id": list(GIVEN.labels), "label": list(GIVEN.labels.values())},
    }


@pytest.mark.parametrize("source", [clam, stamp, vectors, csv, anndata, arrays])
def test_every_kind_of_source_is_tuned_submitted_and_exported(
    tmp_path: Path, source: Callable[[Path], dict[str, Any]]
) -> None:
    cache, study = tmp_path / "c.h5", tmp_path / "s.db"
    import_features(cache=cache, n_folds=3, **source(tmp_path))
    tune(cache, study, n_trials=2, heads=["logistic"], inputs=["image"])
    written = submit(cache, study, tmp_path / "submission.csv")
    export(cache, study, tmp_path / "model")
    bundle = load_bundle(tmp_path / "model")
    assert bundle.takes_features
    new = rows_of(NEW, tmp_path / "new.csv")
    found = bundle.predict(new).set_index("id")
    assert list(found.index) == list(NEW.labels)
    test = {p: i for i, p in enumerate(written.ids)}
    again = bundle.predict(rows_of(GIVEN, tmp_path / "again.csv")).set_index("id")
    if source in (csv, anndata, arrays, clam):  # the very numbers that were imported
        for patient, row in test.items():
            assert again.loc[patient, "probability"] == pytest.approx(written.probabilities[row], abs=1e-6)


def test_several_imported_encodings_are_given_as_bags(tmp_path: Path) -> None:
    cache, study = tmp_path / "c.h5", tmp_path / "s.db"
    for encoder, seed in (("uni_v1", 0), ("conch", 1)):
        given = Elsewhere(
            GIVEN.labels, {k: (who, rows + seed) for k, (who, rows) in GIVEN.slides.items()}, GIVEN.places
        )
        folder = write_trident(tmp_path, given, encoder)
        import_features(folder, cache, slides=slide_table(tmp_path / "s.csv", GIVEN),
                        patients=plain_table(tmp_path / "t.csv", GIVEN), n_folds=3)  # fmt: skip
    found = tune(cache, study, n_trials=8, heads=["logistic"], inputs=["image"])
    number = next(n for n in found.trials.index if len(found.trial(n).encodings) == 2)
    export(cache, study, tmp_path / "model", trial=number)
    bundle = load_bundle(tmp_path / "model")
    with pytest.raises(
        InputError, match=r"takes several encodings \(conch, uni_v1\), some by another toolkit"
    ):
        bundle.predict(tmp_path / "features_conch")
    with pytest.raises(BundleError, match="does not hold the encoder conch, which is another toolkit's"):
        bundle.encoder(0, torch.device("cpu"))
    opened = open_cache(cache)
    bags = JoinedBags({name: opened.bags(name) for name in ("conch", "uni_v1")})
    assert len(bundle.predict([bags])) == len(GIVEN.labels)


def rows_of(given: Elsewhere, path: Path) -> Path:
    """A row per patch, without labels."""
    given.rows().drop(columns="label").to_csv(path, index=False)
    return path
