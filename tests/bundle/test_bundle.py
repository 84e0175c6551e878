"""Bundles end to end: they say what `submit` says, hold nobody's data, and are written whole or not at all."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest

from lymphofeat.bundle import (
    ExportOptions,
    WhereWeights,
    export_bundle,
    load_bundle,
    predict_folder,
)
from lymphofeat.bundle import writer as writer_module
from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cohort.read import read_cohort
from lymphofeat.errors import InputError, StudyError, WeightsError
from lymphofeat.final import submit
from lymphofeat.nested.result import Nested, NestedFold
from lymphofeat.studies import load_study, tune

from ..helpers.caches import frozen_cache
from .conftest import SETTINGS, Made, N


@pytest.mark.parametrize("ensemble", [None, 3])
@pytest.mark.parametrize("kind", ["frozen", "tuned", "colour", "clinical", "pair", "tuned-pair"])
def test_it_says_what_submit_says(
    cohort: Path, cache: Path, studies: Made, tmp_path: Path, kind: str, ensemble: int | None
) -> None:
    submitted = submit(cache, studies[kind], tmp_path / "sub.csv", ensemble=ensemble)
    exported = export_bundle(cache, studies[kind], tmp_path / "model", ExportOptions(ensemble=ensemble))
    n_encoders = {"frozen": 1, "tuned": 3, "colour": 1, "clinical": 0, "pair": 2, "tuned-pair": 4}[kind]
    # An encoder that several fits see is there once; an ensemble may do with fewer encodings.
    assert len(exported.encoders) == n_encoders or (ensemble and "pair" in kind)
    shutil.move(cache, tmp_path / "away.h5")  # nothing but the folder is needed
    try:
        found = predict_folder(
            tmp_path / "model",
            cohort / "testset",
            tmp_path / "p.csv",
            clinical=cohort / "clinical_annotation.csv",
        )
    finally:
        shutil.move(tmp_path / "away.h5", cache)
    written = pd.read_csv(tmp_path / "p.csv", dtype={"id": str}, keep_default_na=False).set_index("id")
    assert list(found.table.columns) == ["id", "probability", "decision", "warnings"]
    p = written["probability"].loc[list(submitted.ids)]
    np.testing.assert_allclose(p, submitted.probabilities, rtol=0, atol=1e-6)
    decided = (written["decision"].loc[list(submitted.ids)] == "malignant").astype(int)
    np.testing.assert_array_equal(decided, submitted.predicted)


def test_a_bundle_carries_the_encoders_that_its_heads_ask_for(
    cache: Path, studies: Made, tmp_path: Path
) -> None:
    """The head of a pair that was given one encoding only needs no other; its bags may hold more."""
    study = load_study(studies["pair"])
    alone = study.trials["params_logistic.encodings"].eq("colour").idxmax()
    exported = export_bundle(cache, studies["pair"], tmp_path / "model", ExportOptions(trial=int(alone)))
    assert [one.backbone for one in exported.encoders] == ["colour"]
    bundle, found = load_bundle(tmp_path / "model"), open_cache(cache)
    test = found.patients["split"].eq("test").to_numpy()
    (split,) = found.final_splits(study.encoding)
    table = bundle.predict(split.bags.select(test), found.patients[test])
    submitted = submit(cache, studies["pair"], tmp_path / "sub.csv", trial=int(alone))
    np.testing.assert_allclose(table["probability"], submitted.probabilities, atol=1e-9)
    with pytest.raises(InputError, match=r"takes 1 JoinedBags under the encodings colour \(6 features\)"):
        bundle.predict(found.bags("colour").select(test), found.patients[test])


def test_a_cohort_is_a_folder_too(cohort: Path, model: Path, tmp_path: Path) -> None:
    whole = predict_folder(model, cohort, tmp_path / "a.csv").table.set_index("id")
    part = predict_folder(
        model, cohort / "testset", tmp_path / "b.csv", clinical=cohort / "testset" / "testset_data.csv"
    ).table.set_index("id")
    assert len(whole) == N
    pd.testing.assert_frame_equal(whole.loc[part.index], part, rtol=0, atol=1e-9)
    with pytest.raises(InputError, match="is a cohort with tables of its own"):
        predict_folder(model, cohort, tmp_path / "c.csv", clinical=cohort / "clinical_annotation.csv")


@pytest.mark.parametrize("said", [None, "", "-1", "pending"])
def test_new_patients_need_no_diagnosis(cohort: Path, model: Path, tmp_path: Path, said: str | None) -> None:
    """Of a whole cohort and of a table beside images: no column of labels, none written, or words of its own."""
    whole = predict_folder(model, cohort, tmp_path / "a.csv").table
    new = shutil.copytree(cohort, tmp_path / "new")
    for name in ("clinical_annotation.csv", "trainset/trainset_true.csv", "testset/testset_data.csv"):
        table = pd.read_csv(new / name, dtype=str)
        table = table.drop(columns="LABEL") if said is None else table.assign(LABEL=said)
        table.to_csv(new / name, index=False)
    for rule in ("error", "leave out"):
        (new / "lymphofeat.toml").write_text(f'[rows]\nunlabelled = "{rule}"\n')
        found = predict_folder(model, new, tmp_path / f"{rule}.csv")
        pd.testing.assert_frame_equal(found.table, whole)
        assert not any("label" in note for note in found.notes)
    part = predict_folder(
        model, new / "testset", tmp_path / "b.csv", clinical=new / "testset/testset_data.csv"
    )
    expected = whole.set_index("id").loc[part.table["id"]].reset_index()
    pd.testing.assert_frame_equal(part.table, expected, rtol=0, atol=1e-9)


def test_no_patient_is_inside(cache: Path, cohort: Path, studies: Made, tmp_path: Path) -> None:
    """IDs, file names, dates in any form, the cohort's place, and what pickles begin with."""
    patients = open_cache(cache).patients
    dates = [date.fromisoformat(text) for text in patients["birth"]]
    forms = ("%Y-%m-%d", "%m/%d/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d/%m/%Y", "%Y%m%d", "%Y/%m/%d")
    sought = {d.strftime(form) for d in dates for form in forms}
    sought |= {f"{d.month}/{d.day}/{d.year}" for d in dates} | {f"{d.day}-{d.month}-{d.year}" for d in dates}
    for kind in studies:
        out = tmp_path / kind
        export_bundle(cache, studies[kind], out, ExportOptions(ensemble=4, refer_error=0.2, calibrate="beta"))
        for path in (p for p in out.rglob("*") if p.is_file()):
            content = path.read_bytes()
            assert not [s for s in sought if s.encode() in content], path
            assert str(cohort).encode() not in content
            assert (
                not re.search(rb"\x80[\x02-\x05][\x95cK}\](]|^PK\x03\x04", content) or path.suffix != ".json"
            )
            assert not content.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04"))
            assert path.suffix in (".json", ".safetensors", ".ubj", ".md")
            if path.suffix in (".json", ".md"):
                text = content.decode()
                assert not [i for i in patients["id"] if re.search(rf"(?<![\w.]){i}(?![\w.])", text)], path
                assert ".jpg" not in text


def test_ages_to_the_day_are_not_told_by_ranges(model: Path) -> None:
    table = load_bundle(model).table
    assert all(float(age).is_integer() for age in table.age)


def test_the_card_says_what_has_to_be_said(model: Path, cache: Path, studies: Made, tmp_path: Path) -> None:
    card = (model / "README.md").read_text(encoding="utf-8")
    assert 'pipeline_tag: "image-classification"' in card
    assert "18 labelled patients, 9 of them malignant" in card
    assert "Selected, therefore optimistic" in card
    assert "target error of 20%" in card
    assert "counted to 2020-01-01;" in card
    assert "no diagnosis should rest on it" in card
    about = json.loads((model / "model.json").read_text())
    kernel = any(member["params"].get("svm.kernel") == "rbf" for member in about["members"])
    assert ("Treat the bundle" in card) is kernel
    export_bundle(cache, studies["clinical"], tmp_path / "m")
    card = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    assert "no images are used" in card
    assert "Treat the bundle" not in card


def test_nested_scores_replace_the_selected_ones(cache: Path, studies: Made, tmp_path: Path) -> None:
    found = open_cache(cache)
    labelled = np.flatnonzero(found.labels >= 0)
    ids = tuple(found.patients["id"].iloc[labelled])
    rng = np.random.default_rng(0)
    p, folds = rng.random(len(ids)), found.folds[labelled, 0]
    each = tuple(
        NestedFold(0, 0, 0, k, np.flatnonzero(folds == k), p[folds == k], 0.5, p, (), {}, 3, 1.0)
        for k in range(3)
    )
    nested = Nested("both", "frozen", ("both",), "auc", ids, found.labels[labelled], each)
    export_bundle(cache, studies["frozen"], tmp_path / "m", ExportOptions(refer_error=0.3), nested=nested)
    card = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    assert "Nested cross-validation: the whole search was repeated" in card
    assert "too good" not in card
    with pytest.raises(InputError, match="is of other patients"):
        export_bundle(cache, studies["frozen"], tmp_path / "n", nested=replace(nested, ids=ids[::-1]))
    assert not (tmp_path / "n").exists()


def test_sets_and_calibration(cohort: Path, model: Path, tmp_path: Path) -> None:
    found = predict_folder(model, cohort, tmp_path / "p.csv")
    bundle, table = found.bundle, found.table
    assert list(table.columns) == ["id", "probability", "calibrated", "decision", "set", "warnings"]
    sets = bundle.conformal.sets(table["probability"])  # type: ignore[union-attr]
    words = ["refer" if both.all() else ("reactive", "malignant")[int(both[1])] for both in sets]
    assert list(table["decision"]) == words
    assert {row["set"] for _, row in table.iterrows() if row["decision"] == "refer"} <= {"reactive malignant"}
    np.testing.assert_allclose(table["calibrated"], bundle.calibrator.transform(table["probability"]))


def test_what_exists_is_replaced_on_demand_only(cache: Path, studies: Made, tmp_path: Path) -> None:
    out = tmp_path / "m"
    first = export_bundle(cache, studies["clinical"], out)
    with pytest.raises(InputError, match="exists already; give --force"):
        export_bundle(cache, studies["clinical"], out)
    assert load_bundle(out).digest == first.digest
    export_bundle(cache, studies["colour"], out, force=True)
    assert load_bundle(out).sees_images
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="is not a bundle, so --force does not replace it"):
        export_bundle(cache, studies["clinical"], tmp_path / "mine", force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".m.lock", "m", "mine"]


def test_a_failure_midway_leaves_the_old_bundle(
    cache: Path, studies: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "m"
    first = export_bundle(cache, studies["clinical"], out)

    def full(*_: Any, **__: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer_module, "model_card", full)
    with pytest.raises(OSError, match="No space"):
        export_bundle(cache, studies["clinical"], out, force=True)
    assert load_bundle(out).digest == first.digest
    assert sorted(p.name for p in tmp_path.iterdir()) == [".m.lock", "m"]


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_what_killed_exports_left_is_cleared(cache: Path, studies: Made, tmp_path: Path) -> None:
    out = tmp_path / "m"
    first = export_bundle(cache, studies["clinical"], out)
    dead = dead_process()
    out.rename(tmp_path / f".m.{dead}.old")  # killed between the two renames
    for left in (f".m.{dead}.tmp", f".m.{uuid4().hex}.tmp", ".m.mine.tmp", f".m2.{uuid4().hex}.tmp"):
        (tmp_path / left).mkdir()
    with pytest.raises(InputError, match="exists already"):
        export_bundle(cache, studies["clinical"], out)
    assert load_bundle(out).digest == first.digest
    kept = [p.name for p in tmp_path.iterdir() if not p.name.startswith(".m2.")]
    assert sorted(kept) == [".m.lock", ".m.mine.tmp", "m"]
    assert len(list(tmp_path.iterdir())) == 4


def test_encoders_that_are_gone_or_others(cache: Path, studies: Made, tmp_path: Path) -> None:
    out = tmp_path / "m"
    where = WhereWeights(encoders=tmp_path / "nowhere")
    with pytest.raises(WeightsError, match="--encoders DIR"):
        export_bundle(cache, studies["tuned"], out, ExportOptions(where=where))
    folder = cache.with_name(f"{cache.stem}-encoders")
    swapped = tmp_path / "swapped"
    shutil.copytree(folder, swapped)
    shutil.copy(folder / "tuned-fold0.safetensors", swapped / "tuned-fold1.safetensors")
    with pytest.raises(WeightsError, match="is not the encoder behind tuned-fold1"):
        export_bundle(cache, studies["tuned"], out, ExportOptions(where=WhereWeights(encoders=swapped)))
    assert not out.exists()


def test_weights_from_a_file_are_found_again(cohort: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from lymphofeat.encoder.backbones import backbone_named, untrained

    for seed, name in ((1, "mine"), (2, "other")):
        save_file(untrained(backbone_named("small-cnn"), seed).state_dict(), tmp_path / f"{name}.safetensors")
    cache, study, out = tmp_path / "c.h5", tmp_path / "s.db", tmp_path / "m"
    weights = tmp_path / "mine.safetensors"
    extract_frozen(read_cohort(cohort), cache, replace(SETTINGS, weights=str(weights), seed=None))
    tune(cache, study, n_trials=2, heads=["logistic"], inputs=["image"])
    export_bundle(cache, study, out)
    weights.rename(tmp_path / "moved.safetensors")
    with pytest.raises(WeightsError, match="are not there any more; name their file with --weights FILE"):
        export_bundle(cache, study, out, force=True)
    where = WhereWeights(weights=tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="holds other weights than"):
        export_bundle(cache, study, out, ExportOptions(where=where), force=True)
    where = WhereWeights(weights=tmp_path / "moved.safetensors")
    export_bundle(cache, study, out, ExportOptions(where=where), force=True)
    assert load_bundle(out).sees_images


def test_features_from_elsewhere_have_no_encoder(tmp_path: Path) -> None:
    cache, study = frozen_cache(tmp_path / "c.h5"), tmp_path / "s.db"
    tune(cache, study, n_trials=2, heads=["logistic"], inputs=["image"])
    export_bundle(cache, study, tmp_path / "without")
    assert load_bundle(tmp_path / "without").takes_features
    assert not (tmp_path / "without" / "encoders").exists()
    tune(cache, tmp_path / "t.db", n_trials=2, heads=["logistic"], inputs=["clinical"])
    export_bundle(cache, tmp_path / "t.db", tmp_path / "m")
    card = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    assert "not verified" in card  # simulated ages that no date of birth gives


def test_bad_options_and_studies(cache: Path, studies: Made, tmp_path: Path) -> None:
    for options, message in (
        (ExportOptions(refer_error=1.5), "target error lies between 0 and 1"),
        (ExportOptions(calibrate="magic"), "no calibration 'magic'"),
        (ExportOptions(ensemble=0), "at least 1 member"),
    ):
        with pytest.raises(InputError, match=message):
            export_bundle(cache, studies["frozen"], tmp_path / "m", options)
    with pytest.raises(StudyError, match="There is no study"):
        export_bundle(cache, tmp_path / "none.db", tmp_path / "m")
    assert not (tmp_path / "m").exists()
