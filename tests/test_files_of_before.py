"""Files written before the parts of the package were moved still open: a cache, a study, a bundle (tests/data)."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from sklearn.base import clone

from lymphofeat.bundle import predict_folder
from lymphofeat.bundle.codec import Packed, unpack_object
from lymphofeat.cache import open_cache
from lymphofeat.cache.bags import Bags
from lymphofeat.errors import StudyError
from lymphofeat.final import submit
from lymphofeat.studies import load_study, tune
from lymphofeat.synthetic.cohort import simulate_cohort
from lymphofeat.synthetic.features import simulate_features
from lymphofeat.synthetic.patients import SimulationSettings

OLD = Path(__file__).parent / "data" / "before_rooms"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy that may be written to."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def test_the_study_holds_its_trials_and_goes_on(old: Path) -> None:
    """As it was: its heads were told which values are missing, so it goes on only where that is asked for."""
    before = load_study(old / "study.db")
    assert before.best.missing_indicator
    assert before.n_trials == 14
    assert before.best.number == 8
    after = tune(
        old / "features.h5", old / "study.db", n_trials=16,
        heads=("logistic", "lda", "mixture", "svm"), prune=False, missing_indicators=True,
    )  # fmt: skip
    assert after.n_trials == 16


def test_the_study_is_not_gone_on_with_under_another_rule_for_missing_values(old: Path) -> None:
    with pytest.raises(
        StudyError, match=r"another use of missing values .*; give --missing-indicators, or begin"
    ):
        tune(
            old / "features.h5",
            old / "study.db",
            n_trials=16,
            heads=("logistic", "lda", "mixture", "svm"),
            prune=False,
        )
    assert load_study(old / "study.db").n_trials == 14


def test_the_cache_is_tuned_and_submitted(old: Path) -> None:
    cache = open_cache(old / "features.h5")
    assert cache.encoder_families == ["colour"]
    submit(old / "features.h5", old / "study.db", old / "submission.csv")
    assert len(pd.read_csv(old / "submission.csv")) == int((cache.patients["split"] == "test").sum())


def test_the_bundle_predicts_what_it_predicted(old: Path, tmp_path: Path) -> None:
    spec = SimulationSettings(patients=8, seed=9, images_range=(2, 4))
    simulate_cohort(tmp_path / "new", spec)
    predict_folder(old / "model", tmp_path / "new", tmp_path / "now.csv")
    was, now = pd.read_csv(OLD / "predictions.csv"), pd.read_csv(tmp_path / "now.csv")
    assert list(now["id"]) == list(was["id"])
    assert list(now["decision"]) == list(was["decision"])
    np.testing.assert_allclose(now["probability"], was["probability"], rtol=1e-6)


@pytest.mark.parametrize("name", ["xgboost", "gp", "late"])
def test_heads_packed_before_they_were_composed_predict_what_they_predicted(name: str) -> None:
    """A pooled head was one object with the arguments of its design and of its classifier."""
    folder = Path(__file__).parent / "data" / "before_composition"
    stored = load_file(folder / f"{name}.safetensors")
    parts: dict[str, dict[str, np.ndarray]] = {"array": {}, "trees": {}}
    for key, array in stored.items():
        if ":" in key:
            kind, _, own = key.partition(":")
            parts[kind][own] = array
    tree = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    trees = {key: array.tobytes() for key, array in parts["trees"].items()}
    head = unpack_object(Packed(tree, parts["array"], trees))
    cohort = simulate_features(20, (2, 5), 4, signal="mean", strength=2.0, seed=3)
    bags = Bags.from_list(cohort.bags)
    np.testing.assert_allclose(head.predict_proba(bags, cohort.table), stored["probabilities"], rtol=1e-9)
    again = clone(head).fit(bags, cohort.table, cohort.y)
    np.testing.assert_allclose(again.predict_proba(bags, cohort.table), stored["probabilities"], rtol=1e-6)
