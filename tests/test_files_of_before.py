"""Files written before the parts of the package were moved still open: a cache, a study, a bundle (tests/data)."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lymphofeat.bundle import predict_folder
from lymphofeat.cache import open_cache
from lymphofeat.final import submit
from lymphofeat.studies import load_study, tune
from lymphofeat.synthetic.cohort import simulate_cohort
from lymphofeat.synthetic.patients import SimulationSettings

OLD = Path(__file__).parent / "data" / "before_rooms"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy that may be written to."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def test_the_study_holds_its_trials_and_goes_on(old: Path) -> None:
    before = load_study(old / "study.db")
    assert before.n_trials == 14
    assert before.best.number == 8
    after = tune(
        old / "features.h5", old / "study.db", trials=16,
        heads=("logistic", "lda", "mixture", "svm"), prune=False,
    )  # fmt: skip
    assert after.n_trials == 16


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
