"""`submit --ensemble`, `export` and `predict` as users call them."""

import json
from pathlib import Path

import click.testing
import pandas as pd
import pytest

from lymphofeat import cli
from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cohort.read import read_cohort
from lymphofeat.studies import tune

from ..helpers.commands import runner
from ..helpers.tiny import tiny_cohort

HEAD_TYPE = "small-cnn-random0-crop64"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    cohort = read_cohort(tiny_cohort(folder / "data", 24, images=2, side=80))
    settings = ExtractSettings(
        backbone="small-cnn", weights="none", seed=0, crop=64, n_folds=3, n_repeats=1, device="cpu"
    )
    extract_frozen(cohort, folder / "cache" / "features.h5", settings)
    tune(
        folder / "cache" / "features.h5",
        folder / "studies" / "study.db",
        n_trials=4,
        heads=["logistic", "lda"],
    )
    return folder


@pytest.fixture
def run(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(made)
    return runner(monkeypatch, capsys, columns=100)


def test_from_a_study_to_new_patients(run, made: Path) -> None:  # type: ignore[no-untyped-def]
    submitted = run("submit", "--ensemble", "2", "--probabilities", "--out", "sub.csv")
    assert submitted.code == 0, submitted.err
    assert "95 of 100 test sets of 6 such patients" in submitted.err
    assert "best head alone" in submitted.out
    assert "nested, rule included" in submitted.out
    assert "first submission of this cohort" in submitted.out
    assert "sample" not in submitted.out
    again = run("submit", "--out", "sub2.csv")
    assert "Submission 2 of this cohort, 2 of them by study.db" in again.out
    exported = run("export", "model", "--ensemble", "2", "--refer-error", "0.2")
    assert exported.code == 0, exported.err
    assert "from the same patients as the selection, as the card says" in " ".join(exported.out.split())
    manifest = json.loads((made / "model" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["command"] == "lymphofeat export model --ensemble 2 --refer-error 0.2"
    clinical = ("--clinical", "data/clinical_annotation.csv")
    predicted = run("predict", "model", "data/testset", *clinical, "--out", "p.csv")
    assert predicted.code == 0, predicted.err
    assert "Wrote p.csv: 6 patients" in predicted.out
    about = json.loads((made / "p.made.json").read_text(encoding="utf-8"))
    assert (
        about["command"]
        == "lymphofeat predict model data/testset --clinical data/clinical_annotation.csv --out p.csv"
    )
    assert (about["model"], about["patients"]) == (manifest["digest"], 6)
    named = run("export", "named", "--select", "one_standard_error")
    assert "(--select one_standard_error)" in " ".join(named.out.split())
    assert (
        run("submit", "--select", "one_standard_error", "--out", "sub3.csv").out.splitlines()[1] in named.out
    )
    digest = exported.out.split("SHA-256")[1].split()[0]
    assert digest in predicted.out.replace("\n", "")
    table = pd.read_csv("p.csv", dtype={"id": str}).set_index("id")
    sub = pd.read_csv("sub-probabilities.csv", dtype={"Id": str}).set_index("Id")
    pd.testing.assert_series_equal(
        table["probability"].loc[sub.index], sub["Probability"], check_names=False, rtol=0, atol=1e-6
    )


def test_an_evaluation_goes_on_the_card(run, made: Path) -> None:  # type: ignore[no-untyped-def]
    report = {
        "pipeline": "image + clinical", "encoding": HEAD_TYPE, "metric": "balanced_accuracy",
        "patients": 18, "malignant": 9, "folds": 3, "runs": 2,
        "search": {
            "trials": 4, "heads": ["logistic", "lda"], "inputs": ["clinical", "image", "both"],
            "select": "average_log_loss", "cohort": open_cache(made / "cache/features.h5").fingerprint,
        },
        "tables": {"metrics": [{"metric": "auc", "value": 0.71, "low": 0.6, "high": 0.8},
                               {"metric": "calibration_slope", "value": 1.2, "low": None, "high": None}]},
    }  # fmt: skip
    (made / "evaluate.json").write_text(json.dumps(report))
    assert run("export", "m2", "--evaluation", "evaluate.json").code == 0
    card = (made / "m2" / "README.md").read_text(encoding="utf-8")
    assert "| AUC | 0.710 [0.600, 0.800] |" in card
    assert "| calibration slope | 1.200 [—, —] |" in card
    assert "3 folds × 2 runs" in card
    assert "too good" not in card
    for change, message in (
        ({"patients": 17}, "its number of patients: 17, the model's: 18"),
        ({"encoding": "colour"}, "its encodings: colour"),
        ({"search": report["search"] | {"heads": ["lda"]}}, "its heads: lda, the model's: lda, logistic"),
        (
            {"search": report["search"] | {"cohort": "0" * 32}},
            "its patients, labels, values and folds: 00000000",
        ),
        ({"search": {}}, "an earlier version wrote it; give the same `lymphofeat evaluate` command again"),
        ({"tables": {}}, "is not an evaluation"),
    ):
        (made / "evaluate.json").write_text(json.dumps(report | change))
        refused = run("export", "m3", "--evaluation", "evaluate.json")
        assert refused.code == 2
        assert message in refused.err.replace("\n", " ")
    assert run("export", "m3", "--evaluation", "nowhere.json").code == 2
    (made / "evaluate.json").write_text(json.dumps(report))
    other = run("export", "m3", "--evaluation", "evaluate.json", "--ensemble", "2")
    assert "rule of selection: average_log_loss, the model's: an ensemble of 2" in other.err.replace(
        "\n", " "
    )
    assert not (made / "m3").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "cache"], "cache exists already"),
        (["export", "cache", "--force"], "is not a bundle, so --force does not replace it"),
        (["export", "m", "--study", "none"], "There is no study"),
        (["export", "m", "--refer-error", "1"], "Invalid value"),
        (["predict", "data", "data"], "is not a bundle"),
        (["predict", "model", "nowhere"], ""),
        (["submit", "--ensemble", "0"], "Invalid value"),
        (["submit", "--ensemble", "2", "--trial", "1"], "exclude one another"),
        (["submit", "--trial", "99"], "holds no complete trial 99"),
        (["export", "m", "--select", "luck"], "'luck' is not one of"),
    ],
)
def test_bad_input_is_refused_with_2(run, made: Path, arguments: list[str], message: str) -> None:  # type: ignore[no-untyped-def]
    def there() -> list[str]:
        return sorted(p.name for p in made.iterdir() if not p.name.endswith(".lock"))

    before = there()
    refused = run(*arguments)
    assert refused.code == 2
    assert message in refused.err.replace("\n", " ")
    assert "Traceback" not in refused.err
    assert there() == before


def test_help_names_the_commands() -> None:
    shown = click.testing.CliRunner().invoke(cli.commands, ["--help"]).output
    assert "export" in shown
    assert "predict" in shown
