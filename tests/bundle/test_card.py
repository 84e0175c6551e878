"""The model card for hubs and registries: its YAML head, and the file by the fields of CHAI."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from lymphofeat.bundle import ExportOptions, export_bundle
from lymphofeat.bundle.chai import SCHEMA
from lymphofeat.bundle.manifest import BundleFiles
from lymphofeat.cache import open_cache
from lymphofeat.errors import BundleError
from lymphofeat.studies import load_study, tune
from lymphofeat.verification.verify import verify

from ..helpers.caches import frozen_cache

SCORES = {"balanced_accuracy": (0.8125, 0.7, 0.9), "auc": (0.875, 0.8, 0.95), "log_loss": (0.4, 0.3, None)}
OLD = Path(__file__).parents[1] / "data" / "before_rooms" / "model"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study on clinical values; "selected" is exported with selected scores, "nested" with an evaluation's."""
    folder = tmp_path_factory.mktemp("card")
    cache, study = frozen_cache(folder / "c.h5"), folder / "s.db"
    tune(cache, study, n_trials=2, heads=["logistic"], inputs=["clinical"])
    export_bundle(cache, study, folder / "selected")
    found = load_study(study)
    evaluation: dict[str, Any] = {
        "pipeline": "clinical only", "encoding": found.encoding, "metric": found.metric,
        "patients": found.n_patients, "malignant": int(found.best.y.sum()), "folds": 4, "runs": 1,
        "search": {
            "trials": 2, "heads": ["logistic"], "inputs": ["clinical"], "select": "average_log_loss",
            "cohort": open_cache(cache).fingerprint,
        },
        "tables": {
            "metrics": [
                {"metric": name, "value": one[0], "low": one[1], "high": one[2]} for name, one in SCORES.items()
            ]
            + [{"metric": "calibration_slope", "value": None, "low": None, "high": None}]
        },
    }  # fmt: skip
    (folder / "evaluate.json").write_text(json.dumps(evaluation))
    options = ExportOptions(licence="cc-by-nc-4.0")
    export_bundle(cache, study, folder / "nested", options, evaluation=folder / "evaluate.json")
    return folder


def head_of(bundle: Path) -> dict[str, Any]:
    _, head, _ = (bundle / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(head)
    return found


def chai_of(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "model_card.chai.json").read_text(encoding="utf-8"))
    return found


def test_a_hub_reads_the_head_and_the_nested_scores_in_it(made: Path) -> None:
    card = ModelCard.load(made / "nested" / "README.md")
    data = card.data
    assert (data.license, data.library_name) == ("cc-by-nc-4.0", "lymphofeat")
    assert data.pipeline_tag == "tabular-classification"
    assert "haematology" in data.tags
    assert card.text.lstrip().startswith("# Model card")
    read = {one.metric_type: one.metric_value for one in data.eval_results}
    assert read == {"balanced_accuracy": 0.8125, "roc_auc": 0.875, "log_loss": 0.4}
    assert data.metrics == list(read)
    names = [one.metric_name for one in data.eval_results]
    assert names[0] == "Balanced accuracy, nested cross-validation, 95 % interval: 0.812 [0.700, 0.900]"
    assert {one.dataset_name for one in data.eval_results} == {"40 patients (18 malignant)"}


def test_selected_scores_are_no_results(made: Path) -> None:
    head = head_of(made / "selected")
    assert set(head) == {"license", "library_name", "pipeline_tag", "tags"}
    assert head["license"] == "unknown"


def results(metric: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["Label"]: json.loads(one["ValueJson"]) for one in metric["Results"]["MetricResult"]}


def test_chai_has_every_field_of_the_schema_and_what_is_not_known_is_asked_for(made: Path) -> None:
    for kind in ("nested", "selected"):
        written = chai_of(made / kind)
        card = written["AppliedModelCard"]
        assert written["Schema"] == SCHEMA
        assert list(card) == [
            "BasicInfo", "ReleaseInfo", "ModelSummary", "UsesAndDirections", "Warnings", "TrustIngredients",
            "KeyMetrics", "Resources", "Bibliography",
        ]  # fmt: skip
        assert len(card["TrustIngredients"]["AISystemFacts"]) == 10
        for asked in written["ToBeFilled"]:
            value: Any = card
            for key in asked["Field"].split("."):
                value = value[key]
            assert value is None
            assert asked["Write"]
        nulls = json.dumps(card).count(
            ": null"
        )  # those inside ValueJson are escaped alike, and counted apart
        inside = sum(
            json.dumps(one["ValueJson"]).count(": null")
            for metric in card["KeyMetrics"].values()
            for one in metric["Results"]["MetricResult"]
        )
        assert nulls == len(written["ToBeFilled"]) + inside
        facts = card["TrustIngredients"]["AISystemFacts"]
        assert facts["OutputAndInputDataTypes"].startswith("Input: clinical values of one patient.")
        assert facts["FoundationModels"] == "None: no images are used."
        assert (
            card["UsesAndDirections"]["CautionedOutOfScopeSettings"]
            in (made / kind / "README.md").read_text()
        )
    assert (
        "optimistic"
        in chai_of(made / "selected")["AppliedModelCard"]["KeyMetrics"]["FairnessEquity"]["Interpretation"]
    )


def test_chai_has_the_scores_of_the_evaluation(made: Path) -> None:
    metrics = chai_of(made / "nested")["AppliedModelCard"]["KeyMetrics"]
    found = results(metrics["UsefulnessUsabilityEfficacy"]) | results(metrics["SafetyReliability"])
    for label, name in {
        "balanced accuracy": "balanced_accuracy",
        "AUC": "auc",
        "log loss": "log_loss",
    }.items():
        estimate, lower, upper = SCORES[name]
        assert found[label] == {
            "kind": "estimate_ci", "estimate": estimate, "lower": lower, "upper": upper, "level": 95,
        }  # fmt: skip
    assert metrics["UsefulnessUsabilityEfficacy"]["TestType"] == "Nested cross-validation, one cohort"
    assert metrics["FairnessEquity"]["TestType"] == "Cross-validation after selection, one cohort"


def test_the_manifest_seals_both_cards_and_verify_reads_them(made: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(made / "nested", tmp_path / "m")
    assert {"README.md", "model_card.chai.json"} <= set(BundleFiles.open(bundle).manifest["files"])
    assert not verify(bundle).faults
    (bundle / "model_card.chai.json").write_text("{}")
    with pytest.raises(BundleError, match=r"model_card\.chai\.json has 2 of \d+ bytes"):
        BundleFiles.open(bundle)


def test_the_card_of_a_bundle_of_before_is_found_under_its_name() -> None:
    assert BundleFiles.open(OLD).card == OLD / "MODEL_CARD.md"
