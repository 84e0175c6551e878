"""Which clinical values drive a prediction: declared ones by their names and units, beside the training patients'."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from lymphofeat.cache import Bags, open_cache, save_cache
from lymphofeat.cohort.clinical import CLINICAL_COLUMNS, clinical_frame
from lymphofeat.cohort.values import head_values
from lymphofeat.explanation import explain
from lymphofeat.explanation.values import value_contributions, value_table
from lymphofeat.heads import Logistic, pooled
from lymphofeat.report.explain import render_explanation, value_in_words
from lymphofeat.studies import tune

from ..helpers.caches import DECLARED, features, patients, with_declared

NAMES = (*CLINICAL_COLUMNS, *DECLARED)


def test_contributions_of_a_linear_head_are_its_own() -> None:
    table = with_declared(patients(40, 0))
    clinical, y = clinical_frame(table, DECLARED), table["label"].to_numpy(np.int8)
    bags = Bags(np.empty((40, 0), np.float32), np.arange(40), np.ones(40, np.int64))
    head = pooled(Logistic, inputs="clinical", clinical_values=head_values(DECLARED)).fit(bags, clinical, y)
    found = value_contributions(head, bags, clinical, np.array([3]), np.arange(40), NAMES)[0]
    features_, scaler = (step for _, step in head.design_.clinical_.steps)
    names = list(features_.get_feature_names_out())
    weight = dict(zip(names, head.classifier_.coef_[0] / scaler.scale_, strict=True))
    own = dict(zip(names, features_.transform(clinical.iloc[[3]])[0], strict=True))
    typical = table["haemoglobin"].median()
    assert found["haemoglobin"] == pytest.approx(weight["haemoglobin"] * (own["haemoglobin"] - typical))
    logarithm = np.log(table["ldh"].median())
    assert found["ldh"] == pytest.approx(weight["log ldh"] * (own["log ldh"] - logarithm), abs=1e-9)
    images_only = pooled(Logistic, inputs="image")
    assert value_contributions(images_only, bags, clinical, np.array([3]), np.arange(40), NAMES) == [{}]


def test_values_are_compared_with_those_of_the_training_patients() -> None:
    table = with_declared(patients(20, 0)).assign(
        haemoglobin=np.arange(20.0), lineage="B", cd5=np.nan, label=np.tile([0, 1], 10)
    )
    clinical, y = clinical_frame(table, DECLARED), table["label"].to_numpy(np.int8)
    said = {"haemoglobin": 1.0, "lineage": -0.5, "cd5": 0.0}
    found = value_table(said, clinical, DECLARED, 19, np.arange(19), y).set_index("value")
    assert found.loc["haemoglobin", "text"] == "19 g/dl"
    assert found.loc["haemoglobin", "above_reactive"] == 1.0
    assert found.loc["haemoglobin", ["n_reactive", "n_malignant"]].tolist() == [10, 9]
    assert (found.loc["lineage", "text"], found.loc["cd5", "text"]) == ("B", "missing")
    assert np.isnan(found.loc["lineage", "above_reactive"])
    words = [value_in_words(row) for row in found.reset_index().to_dict("records")]
    assert words == [
        "haemoglobin 19 g/dl, larger than that of all 10 reactive patients",
        "cd5 missing",
        "lineage B",
    ]


def test_explain_names_the_values_that_its_heads_look_at(tmp_path: Path) -> None:
    table = with_declared(patients())
    save_cache(
        tmp_path / "c.h5", table, {"frozen": features(table)}, n_folds=3, n_repeats=1, clinical=DECLARED
    )
    tune(tmp_path / "c.h5", tmp_path / "s.db", n_trials=2, heads=["logistic"], inputs=["clinical"])
    row = int(np.flatnonzero(table["haemoglobin"].notna())[0])
    name = str(open_cache(tmp_path / "c.h5").patients["id"].iloc[row])
    every = explain(tmp_path / "c.h5", tmp_path / "s.db", name, trial=0)
    assert every.values is not None
    assert set(every.values["value"]) == {"age", "sex", "lymphocyte count", *DECLARED}
    console = Console(file=io.StringIO(), width=80)
    render_explanation(every, console)
    printed = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert f"haemoglobin {table['haemoglobin'][row]:.4g} g/dl, " in printed
    assert "logistic on age, sex, count, haemoglobin, log ldh, cd5, lineage" in printed
    three = explain(tmp_path / "c.h5", tmp_path / "s.db", name, trial=1)
    assert three.values is not None
    assert set(three.values["value"]) == {"age", "sex", "lymphocyte count"}
    assert isinstance(three.values, pd.DataFrame)
