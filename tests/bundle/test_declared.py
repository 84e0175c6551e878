"""A model of declared clinical columns: what it keeps of them, how new patients' tables are read, who is referred."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from lymphofeat.bundle import Bundle, export_bundle, load_bundle, predict_folder
from lymphofeat.bundle.declared_range import DeclaredRange
from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cohort.dates import REFERENCE_DATE
from lymphofeat.cohort.declared import ClinicalColumn
from lymphofeat.errors import InputError
from lymphofeat.studies import tune

from ..helpers.caches import DECLARED, features, patients, with_declared
from ..helpers.tiny import write_table

NAMES = tuple(DECLARED)
Made = tuple[Path, Bundle]


def exported(folder: Path, *, indicators: bool = False, inputs: str = "clinical", trial: int = 0) -> Bundle:
    table = with_declared(patients())
    save_cache(
        folder / "c.h5",
        table,
        {"frozen": features(table)},
        n_folds=3,
        n_repeats=1,
        clinical=DECLARED,
        reference=REFERENCE_DATE,
    )
    tune(
        folder / "c.h5", folder / "s.db", n_trials=trial + 1, heads=["logistic"], inputs=[inputs],
        missing_indicators=indicators,
    )  # fmt: skip
    export_bundle(folder / "c.h5", folder / "s.db", folder / "model", trial_options(trial))
    return load_bundle(folder / "model")


def trial_options(trial: int):  # type: ignore[no-untyped-def]
    from lymphofeat.bundle import ExportOptions

    return ExportOptions(trial=trial)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Clinical values only, all declared columns among them."""
    return exported(tmp_path_factory.mktemp("made"))


def row(**values: object) -> pd.DataFrame:
    known = {"id": "N1", "age": 60.0, "sex": "F", "lymphocyte_count": 9.0}
    known |= {"haemoglobin": 12.0, "ldh": 200.0, "cd5": 1.0, "lineage": "B"}
    return pd.DataFrame([{**known, **values}])


def test_the_model_keeps_declarations_ranges_and_a_probe(model: Bundle) -> None:
    assert set(model.table.declared) == set(NAMES)
    assert model.table.declared["lineage"].categories == ("B", "NK", "T")
    table = open_cache(model.files.root.parent / "c.h5").patients
    known = table.loc[table["split"] == "train", "haemoglobin"].dropna()
    kept = model.table.declared["haemoglobin"]
    assert known.min() - 0.1 < kept.low <= known.min() < known.max() <= kept.high < known.max() + 1
    assert (kept.kind, kept.unit) == ("number", "g/dl")
    assert dict(model.reading.layout.clinical) == DECLARED
    assert model.files.manifest["format"] == 3
    probe = load_file(model.files.root / "probe.safetensors")
    assert {f"clinical.{name}" for name in NAMES} <= set(probe)
    card = (model.files.root / "README.md").read_text(encoding="utf-8")
    assert "age, sex, lymphocyte count, haemoglobin, ldh, cd5 and lineage" in card
    assert f"haemoglobin: {kept.text}" in card
    assert "A patient without any of them is referred." in card


def test_values_decide_and_unusual_ones_are_warned_of(model: Bundle) -> None:
    usual, low = model.predict(None, row()), model.predict(None, row(haemoglobin=8.0))
    assert usual["probability"][0] < low["probability"][0]  # malignant patients' is lower
    assert usual["warnings"][0] == ""
    odd = model.predict(None, row(haemoglobin=40.0, lineage="plasma", cd5=np.nan, ldh=np.nan))
    kept = model.table.declared["haemoglobin"].text
    assert sorted(odd["warnings"][0].split("; ")) == [
        "cd5 missing", f"haemoglobin 40 outside the training range {kept}", "ldh missing",
        "lineage plasma not among the training patients (B, NK, T)",
    ]  # fmt: skip


def test_columns_that_a_table_lacks_are_missing(model: Bundle) -> None:
    found = model.predict(None, row().drop(columns=["ldh", "lineage"]))
    assert found["warnings"][0] == "ldh missing; lineage missing"
    assert found["decision"][0] in ("reactive", "malignant")


NOTHING = {"age": np.nan, "sex": "", "lymphocyte_count": np.nan, "haemoglobin": np.nan, "ldh": np.nan, "cd5": np.nan,
           "lineage": ""}  # fmt: skip


def test_who_has_no_clinical_value_is_referred(model: Bundle) -> None:
    found = model.predict(None, row(**NOTHING))
    assert found["decision"][0] == "refer"
    assert found["warnings"][0].startswith("referred: no clinical value is known; age missing")
    for name, value in {"sex": "M", "haemoglobin": 12.0, "lineage": "T", "cd5": 0.0}.items():
        assert model.predict(None, row(**{**NOTHING, name: value}))["decision"][0] != "refer"
    assert model.predict(None, pd.DataFrame({"id": ["N1"]}))["decision"][0] == "refer"


def test_a_model_that_is_told_what_is_missing_refers_nobody(tmp_path: Path) -> None:
    model = exported(tmp_path, indicators=True)
    assert not model.needs_values
    assert model.predict(None, row(**NOTHING))["decision"][0] in ("reactive", "malignant")
    card = (model.files.root / "README.md").read_text(encoding="utf-8")
    assert "Heads were told which clinical values are missing" in card


def test_a_model_of_before_refers_nobody() -> None:
    """It was made when heads were always told what is missing."""
    old = load_bundle(Path(__file__).parents[1] / "data" / "before_rooms" / "model")
    assert not old.needs_values
    assert old.table.declared == {}


def test_a_table_of_new_patients_is_read_as_the_training_cohorts_was(model: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    header = "ID,DOB,GENDER,LYMPH_COUNT,haemoglobin,ldh,cd5,lineage"
    write_table(
        tmp_path / "t.csv", [header, "N1,1960-01-01,F,9,12,200,pos,B", "N2,1960-01-01,F,9,110,200,pos,B"]
    )
    done = predict_folder(model.files.root, folder, tmp_path / "p.csv", clinical=tmp_path / "t.csv")
    by_hand = model.predict(None, pd.concat([row(), row(id="N2", haemoglobin=110.0)], ignore_index=True))
    np.testing.assert_allclose(done.table["probability"], by_hand["probability"], rtol=1e-9)
    assert list(done.table["warnings"]) == list(by_hand["warnings"])
    assert any("outside the plausible range 3 to 25 g/dl: '110'" in note for note in done.notes)


def test_a_file_beside_new_patients_names_their_columns(model: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "lymphofeat.toml").write_text(
        "[clinical.haemoglobin]\ncolumn = 'Hb'\nunit = 'g/dl'\n", encoding="utf-8"
    )
    write_table(
        tmp_path / "t.csv", ["ID,DOB,GENDER,LYMPH_COUNT,Hb,ldh,lineage", "N1,1960-01-01,F,9,12,200,B"]
    )
    done = predict_folder(model.files.root, folder, tmp_path / "p.csv", clinical=tmp_path / "t.csv")
    assert done.table["warnings"][0] == "cd5 missing"
    assert any("no table has a column 'cd5'" in note for note in done.notes)
    (folder / "lymphofeat.toml").write_text("[clinical.haemoglobin]\nkind = 'category'\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"\[clinical.haemoglobin\] has the kind 'category', and the model was trained"
    ):
        predict_folder(model.files.root, folder, tmp_path / "q.csv", clinical=tmp_path / "t.csv")


def test_only_what_some_head_looks_at_is_kept(tmp_path: Path) -> None:
    """The trial on age, sex and count alone."""
    model = exported(tmp_path, trial=1)
    params = json.loads((model.files.root / "model.json").read_text(encoding="utf-8"))["members"][0]["params"]
    assert params["logistic.clinical_values"] == "age, sex, count"
    assert model.table.declared == {}
    assert model.reading.layout.clinical == {}
    assert model.predict(None, row(**NOTHING))["decision"][0] == "refer"


def test_ranges_of_numbers_below_zero() -> None:
    column = ClinicalColumn()
    found = DeclaredRange.fit(column, pd.Series([-3.14159, 2.71828, np.nan]))
    assert (found.low, found.high) == pytest.approx((-3.2, 2.8))
    assert found.warnings("x", -4.0) == ["x -4 outside the training range -3.2 to 2.8"]
    assert DeclaredRange.fit(column, pd.Series([np.nan])).text == "0 to 0"
