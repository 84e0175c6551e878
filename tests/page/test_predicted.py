"""`predict --report`: the page of new patients says what the table says, shows their cells, and names nobody."""

import re
import shutil
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lymphofeat.bundle import ExportOptions, PredictSummary, export_bundle, predict_folder
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cohort.read import read_cohort
from lymphofeat.page import predicted
from lymphofeat.page.patient import PatientPage
from lymphofeat.page.predicted import predicted_section, write_predicted_page
from lymphofeat.progress import Silent
from lymphofeat.studies import tune

from ..helpers.commands import runner
from ..helpers.tiny import tiny_cohort, write_table

SETTINGS = ExtractSettings(
    backbone="small-cnn", weights="none", seed=0, crop=64, n_folds=3, n_repeats=1, device="cpu"
)
TABLE = ["ID,GENDER,DOB,LYMPH_COUNT", "Zoe-1,F,3/4/1940,12.5", "Zoe-2,M,17-11-1961,4100"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model on images and clinical values, another on clinical values, and two new patients."""
    folder = tmp_path_factory.mktemp("predicted")
    cohort = tiny_cohort(folder / "data", 24, images=3, side=80)
    extract_frozen(read_cohort(cohort), folder / "c.h5", SETTINGS)
    tune(folder / "c.h5", folder / "s.db", n_trials=4, heads=["late"])
    options = ExportOptions(ensemble=2, refer_error=0.3, calibrate="platt")
    export_bundle(folder / "c.h5", folder / "s.db", folder / "model", options)
    tune(folder / "c.h5", folder / "t.db", n_trials=1, heads=["logistic"], inputs=["clinical"])
    export_bundle(folder / "c.h5", folder / "t.db", folder / "clinical-model")
    for patient, source in (("Zoe-1", "P19"), ("Zoe-2", "P20")):
        shutil.copytree(folder / "data" / "testset" / source, folder / "new" / patient)
    write_table(folder / "new.csv", TABLE)
    return folder


@pytest.fixture(scope="module")
def summary(made: Path) -> PredictSummary:
    return predict_folder(
        made / "model", made / "new", made / "p.csv", clinical=made / "new.csv", explain=True
    )


def pages(summary: PredictSummary, *, ids: bool = True) -> list[PatientPage]:
    section = predicted_section(summary, ids=ids, progress=Silent())
    return [block for block in section.blocks if isinstance(block, PatientPage)]


def test_a_page_says_what_the_table_says(summary: PredictSummary) -> None:
    table = summary.table.set_index("id")
    found = {page.title.removeprefix("Patient "): page for page in pages(summary)}
    assert set(found) == {"Zoe-1", "Zoe-2"}
    words = {
        "refer": "Referred: not decided.",
        "malignant": "Called malignant.",
        "reactive": "Called reactive.",
    }
    for name, page in found.items():
        row = table.loc[name]
        assert page.gauge.probability == row["probability"]
        assert page.gauge.threshold == summary.bundle.threshold
        assert page.gauge.low <= page.gauge.probability <= page.gauge.high
        assert page.verdict == words[row["decision"]]
        assert any(f"{row['calibrated']:.3f}" in fact for fact in page.facts)
    said = " ".join(found["Zoe-2"].facts)
    assert "Warning: age 58 outside the training range" in said
    assert "; count 4100 outside the training range" in said
    assert found["Zoe-2"].mark == "warning"
    low, high = summary.bundle.table.count
    assert f"lymphocyte count 12.5 10⁹/l (training patients: {low:g} to {high:g})" in " ".join(
        found["Zoe-1"].facts
    )


def test_every_cell_is_shown_with_its_contribution(summary: PredictSummary, made: Path) -> None:
    explained = {f"Patient {one.id}": one for one in summary.explained}
    for page in pages(summary):
        e = explained[page.title]
        shown = [*page.cells.malignant, *page.cells.others, *reversed(page.cells.reactive)]
        assert [cell.name for cell in shown] == list(e.images["image"])
        np.testing.assert_array_equal([cell.contribution for cell in shown], e.images["contribution"])
        for cell in shown:
            image = Image.open(BytesIO(b64decode(cell.picture.partition(",")[2]))).convert("RGB")
            file = Image.open(made / "new" / e.id / cell.name)
            assert np.abs(np.asarray(image, float) - np.asarray(file, float)).mean() < 25


def test_nobody_is_named_unless_asked_for(summary: PredictSummary, tmp_path: Path) -> None:
    write_predicted_page(summary, tmp_path / "hidden.html")
    write_predicted_page(summary, tmp_path / "named.html", ids=True)
    hidden = (tmp_path / "hidden.html").read_text(encoding="utf-8")
    tables = [b64decode(one).decode() for one in re.findall(r'href="data:text/csv[^,]*,([^"]*)"', hidden)]
    assert tables
    for secret in ("Zoe", "000001.jpg", "new.csv", "1940", "1961", "3/4", "17-11"):
        assert not any(secret in text for text in (hidden, *tables))
    named = (tmp_path / "named.html").read_text(encoding="utf-8")
    assert "Patient Zoe-1" in named
    assert "000001.jpg" in named
    for text in (hidden, named):
        assert not re.search(r"age \d+\.\d", text)
    assert hidden.count('<article class="patient"') == 2
    for anchor in re.findall(r'href="#([^"]+)"', hidden):
        assert f'id="{anchor}"' in hidden


def test_an_age_outside_the_range_is_told_in_years() -> None:
    text = predicted._dateless("age 97.35 outside the training range 20 to 95 years; sex missing")
    assert text == "age 97 outside the training range 20 to 95 years; sex missing"


def test_a_model_of_clinical_values_has_no_cells(made: Path, tmp_path: Path) -> None:
    found = predict_folder(
        made / "clinical-model", made / "new", tmp_path / "p.csv", clinical=made / "new.csv", explain=True
    )
    for page in pages(found):
        assert page.cells.sentence == "The model sees no image, so no cell contributes."
        assert page.cells.table is None
    write_predicted_page(found, tmp_path / "p.html")


def test_with_many_patients_the_uncertain_ones_have_a_page(
    summary: PredictSummary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predicted, "MOST_PAGES", 1)
    (page,) = pages(summary)
    nearest = (summary.table["probability"] - summary.bundle.threshold).abs().idxmin()
    assert page.title == f"Patient {summary.table['id'][nearest]}"


def test_from_the_command_line(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = runner(monkeypatch, capsys, columns=100)
    one = tmp_path / "one"
    shutil.copytree(made / "new" / "Zoe-1", one / "Zoe-1")
    given = ("predict", str(made / "model"), str(one), "--clinical", str(made / "new.csv"))
    refused = run(*given, "--ids")
    assert refused.code == 2
    assert "--report FILE.html" in refused.err
    assert not (tmp_path / "predictions.csv").exists()
    done = run(*given, "--report", "new.html")
    assert done.code == 0, done.err
    assert "Wrote new.html" in done.out
    text = (tmp_path / "new.html").read_text(encoding="utf-8")
    assert '<article class="patient alone"' in text
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert f'data-value="{table["probability"][0]}' in text
    again = run(*given, "--report", "new.html", "--out", "other.csv")
    assert again.code == 2
    assert "new.html exists" in again.err
    assert not (tmp_path / "other.csv").exists()
