"""Nested cross-validation and comparison of several encodings at once."""

from pathlib import Path

import numpy as np
import pytest

from lymphofeat.assess.evaluate import carry_out
from lymphofeat.assess.plan import plan_evaluation
from lymphofeat.cache import Cache, open_cache
from lymphofeat.comparison.compare import compare
from lymphofeat.comparison.pipelines import pipelines_of
from lymphofeat.errors import LeakageError
from lymphofeat.heads import FitCache, Logistic, fit_predict, pooled
from lymphofeat.nested.control_experiments import frozen_twin, untrained_twin
from lymphofeat.scoring.plan import labels_of

from ..helpers.caches import features, patients
from ..helpers.compared import add_encoding, compared_cache

MEASURED = {"recipe": "frozen", "backbone": "morphology", "weights": "none: measured"}
TUNED = "pooled+clinical-good"
BOTH = f"good,{TUNED}"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return open_cache(compared_cache(tmp_path_factory.mktemp("c") / "c.h5", n_folds=3))


def test_each_network_has_its_untrained_twin(cache: Cache) -> None:
    assert untrained_twin(cache, BOTH) == "resnet18-random0"
    assert untrained_twin(cache, "colour,good") == "resnet18-random0"  # colours have no network
    assert untrained_twin(cache, "colour,resnet18-random0") is None
    assert frozen_twin(cache, BOTH) == "good"
    assert frozen_twin(cache, f"colour,{TUNED}") == "colour,good"


@pytest.mark.slow
def test_evaluate_takes_them_all(cache: Cache, tmp_path: Path) -> None:
    plan = plan_evaluation(cache.path, encoding=f"{TUNED},good", heads=["logistic", "lda"], n_trials=2)
    assert {p.name: p.encoder_family for p in (plan.main, *plan.controls)} == {
        "image + clinical": BOTH,
        "clinical only": BOTH,
        "images only": BOTH,
        "untrained encoder": "resnet18-random0",
        "shuffled labels": "good",
    }
    found = carry_out(plan, tmp_path / "nested")
    assert found.main.encoding == BOTH
    points = [params for fold in found.main.folds_of_runs for params, _ in fold.members]
    chosen = {params["logistic.encodings"] for params in points if "logistic.encodings" in params}
    assert BOTH in chosen
    assert chosen <= {"good", TUNED, BOTH}


def test_a_pair_is_blind_to_each_fold_and_compared(cache: Cache, tmp_path: Path) -> None:
    name = f"good+{TUNED}"
    found = compare(cache.path, tmp_path / "record.jsonl", pipelines=["pair"])
    measured = found.named(f"{name}/both")
    assert measured is not None
    assert {m.pipeline.encoder for m in found.measured} >= {"pair", "random", "colour"}
    splits = list(cache.splits(BOTH).values())
    head = pooled(Logistic, inputs="both", pca=32)
    labels = labels_of(cache)
    expected = np.full(len(labels), np.nan)
    for split, p in zip(splits, fit_predict(head, splits, cache.clinical, labels, FitCache()), strict=True):
        expected[split.test] = p
    np.testing.assert_array_equal(measured.found.probabilities, expected[labels >= 0])
    assert all(p.encoder_family == BOTH for p in pipelines_of(cache) if p.encoder == "pair")


def test_a_pair_of_encoders_that_saw_a_fold_is_left_out(tmp_path: Path) -> None:
    """Encoders that are blind to one fold only serve a pair as they serve alone: fold by fold, never two."""
    alone = open_cache(compared_cache(tmp_path / "c.h5", n_folds=3, pairs=False))
    assert alone.split(BOTH, {0}).encodings == ("good", f"{TUNED}-fold0")
    with pytest.raises(LeakageError):
        alone.split(BOTH, {0, 1})
    with pytest.raises(LeakageError):
        plan_evaluation(alone.path, encoding=BOTH, n_trials=1)


def test_measured_cells_stand_beside_the_slide_and_an_untrained_network(tmp_path: Path) -> None:
    path = compared_cache(tmp_path / "c.h5", n_folds=3)
    table = patients()
    add_encoding(path, "morphology", features(table, dim=4, seed=3), {**MEASURED, "groups": ["shape"]})
    plan = plan_evaluation(path, encoding="morphology", n_trials=1)
    assert {p.name: p.encoder_family for p in plan.controls}["untrained encoder"] == "resnet18-random0"
    assert "holds no measurements of the slide around the cells to compare morphology with" in plan.notes[0]
    add_encoding(path, "slide", features(table, dim=3, seed=4), {**MEASURED, "groups": ["background"]})
    for encoding in ("morphology", "good,morphology"):
        plan = plan_evaluation(path, encoding=encoding, n_trials=1)
        assert {p.name: p.encoder_family for p in plan.controls}["slide only"] == "slide"
        assert plan.notes == ()
    beside_itself = {p.name for p in plan_evaluation(path, encoding="slide", n_trials=1).controls}
    assert "slide only" not in beside_itself
