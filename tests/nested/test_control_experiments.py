"""Which pipelines stand beside the one that is evaluated, and what is said where one is lacking."""

import json
from pathlib import Path

import numpy as np
import pytest

from lymphofeat.assess.evaluate import carry_out
from lymphofeat.assess.plan import plan_evaluation
from lymphofeat.cache import Cache, open_cache
from lymphofeat.errors import InputError, LeakageError
from lymphofeat.estimates.scores import roc_auc_score
from lymphofeat.nested.control_experiments import frozen_twin, untrained_twin

from ..helpers.caches import frozen_cache, tuned_cache
from ..helpers.compared import RANDOM, add_encoding, compared_cache

TUNED = "pooled+clinical-good"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return open_cache(compared_cache(tmp_path_factory.mktemp("c") / "c.h5", n_folds=3))


def names(cache: Cache, **options: object) -> dict[str, tuple[str, tuple[str, ...], int | None]]:
    plan = plan_evaluation(cache.path, **options)  # type: ignore[arg-type]
    return {p.name: (p.encoder_family, p.space.inputs, p.shuffle) for p in (plan.main, *plan.controls)}


def test_a_frozen_encoding_stands_beside_four_controls(cache: Cache) -> None:
    every = ("clinical", "image", "both")
    assert names(cache, encoding="good") == {
        "image + clinical": ("good", every, None),
        "clinical only": ("good", ("clinical",), None),
        "images only": ("good", ("image",), None),
        "untrained encoder": ("resnet18-random0", every, None),
        "shuffled labels": ("good", every, 0),
    }
    plan = plan_evaluation(cache.path, encoding="good", repeats=2, permute=7)
    assert plan.n_searches == 5 * 2 * 3 + 7 * 3
    assert "51 searches of 50 trials inside outer folds (2 runs × 3 folds of each pipeline" in plan.sentence
    assert "7 shuffles of the labels × 3 folds" in plan.sentence
    assert plan.notes == ()


def test_labels_are_shuffled_below_the_frozen_twin_of_fine_tuned_encoders(cache: Cache) -> None:
    plan = plan_evaluation(cache.path, encoding=TUNED, repeats=2)
    shuffled = next(p for p in plan.controls if p.name == "shuffled labels")
    assert (shuffled.encoder_family, shuffled.shuffle) == ("good", 0)
    assert [(run.repeat, run.seed) for run in plan.runs] == [(0, 0), (0, 1)]
    assert "differ by the seed" in plan.notes[0]
    assert f"Shuffled labels run on good: the encoders of {TUNED}" in plan.notes[1]
    assert frozen_twin(cache, TUNED) == "good"
    with pytest.raises(InputError, match="give --encoding colour or good"):
        plan_evaluation(cache.path, encoding=TUNED, permute=5)


def test_twins_are_of_the_same_network_and_crop(cache: Cache, tmp_path: Path) -> None:
    assert untrained_twin(cache, "good") == "resnet18-random0"
    assert untrained_twin(cache, "resnet18-random0") is None
    assert untrained_twin(cache, "colour") is None
    path = frozen_cache(tmp_path / "c.h5")
    array = np.ones((open_cache(path).tables.n_images, 2), dtype=np.float32)
    made = {
        "recipe": "frozen",
        "backbone": "resnet18",
        "weights": "file w.pth",
        "preprocessing": {"crop": 112},
    }
    add_encoding(path, "mine", array, made)
    add_encoding(path, "other-network", array, RANDOM | {"backbone": "resnet50"})
    assert untrained_twin(open_cache(path), "mine") is None
    add_encoding(path, "a-other-crop", array, RANDOM | {"preprocessing": {"crop": 224}})
    assert untrained_twin(open_cache(path), "mine") == "a-other-crop"
    add_encoding(path, "same-crop", array, RANDOM | {"preprocessing": {"crop": 112}})
    assert untrained_twin(open_cache(path), "mine") == "same-crop"


def test_what_is_lacking_is_said(tmp_path: Path) -> None:
    path = tuned_cache(tmp_path / "c.h5", pairs=True)
    plan = plan_evaluation(path)
    assert [p.name for p in plan.controls] == ["clinical only", "images only"]
    assert "no untrained encoder" in plan.notes[0]
    assert "No control experiment with shuffled labels" in plan.notes[1]
    with pytest.raises(LeakageError, match="--finetune --nested"):
        plan_evaluation(tuned_cache(tmp_path / "d.h5", pairs=False))


def test_of_several_networks_those_without_their_untrained_double_are_named(tmp_path: Path) -> None:
    path = compared_cache(tmp_path / "c.h5", n_folds=3)  # with the double of `good`, a ResNet18
    array = np.ones((open_cache(path).tables.n_images, 2), dtype=np.float32)
    frozen = {"recipe": "frozen", "weights": "file w.pth", "preprocessing": {"crop": 112}}
    add_encoding(path, "third", array, frozen | {"backbone": "resnet50"})
    add_encoding(path, "unknown", array, frozen | {"backbone": "nobody's"})
    (note,) = plan_evaluation(path, encoding="good,third").notes
    assert "holds no untrained encoder (resnet50) to compare good,third with" in note
    assert note.endswith(f"`lymphofeat compare COHORT --cache {path}` makes it.")
    (note,) = plan_evaluation(path, encoding="good,unknown").notes
    assert note.endswith("makes it where the packages that build nobody's are installed.")


def test_heads_that_take_images_only_leave_clinical_values_to_logistic_regression(cache: Cache) -> None:
    plan = plan_evaluation(cache.path, encoding="good", heads=["additive"])
    spaces = {p.name: p.space for p in plan.controls}
    assert spaces["images only"].head_types == ("additive",)
    assert spaces["clinical only"].head_types == ("logistic",)
    assert (
        "For clinical only, logistic is searched: none of the heads additive takes these inputs alone."
        in plan.notes
    )


def test_a_search_with_nothing_to_choose_from_has_no_optimism(cache: Cache, tmp_path: Path) -> None:
    """One trial: every search takes the same head, so what is selected and what is nested are the same predictions."""
    # With the indicators, some patients are ordered otherwise on one scale than by their probabilities.
    plan = plan_evaluation(
        cache.path, encoding="good", heads=["logistic"], n_trials=1, missing_indicators=True
    )
    found = carry_out(plan, tmp_path)
    assert len({json.dumps(fold.members, sort_keys=True) for fold in found.main.folds_of_runs}) == 1
    table = found.assessment.tables["optimism"].set_index("metric")
    assert table[["optimism", "optimism_low", "optimism_high"]].abs().to_numpy().max() < 1e-9
    raw = roc_auc_score(found.main.y, found.main.probabilities[:, 0])
    assert table.loc["auc", "tuned"] == pytest.approx(roc_auc_score(found.main.y, found.main.scores[:, 0]))
    assert table.loc["auc", "tuned"] != pytest.approx(raw)  # or the scales would not matter here


def test_evaluation_holds_all_pipelines_and_goes_on_with_what_it_has(cache: Cache, tmp_path: Path) -> None:
    plan = plan_evaluation(cache.path, encoding="good", heads=["logistic"], n_trials=2, permute=1)
    found = carry_out(plan, tmp_path)
    assert [n.name for n in (found.main, *found.others)] == [p.name for p in (plan.main, *plan.controls)]
    assert found.others[2].encoding == "resnet18-random0"
    for other in found.others[:3]:
        np.testing.assert_array_equal(other.y, found.main.y)
        for a, b in zip(found.main.folds_of_runs, other.folds_of_runs, strict=True):
            np.testing.assert_array_equal(a.rows, b.rows)
    assert not np.array_equal(found.others[3].y, found.main.y)
    assert found.selected.n_trials == 2
    assert found.selected.ids == found.main.ids
    assert found.permutation is not None
    row = found.assessment.tables["permutation"].iloc[0]
    assert (row["shuffles"], row["p"]) == (1, found.permutation.p_value)
    assert any(note.startswith("Permutation test of the whole pipeline") for note in found.assessment.notes)
    optimism = found.assessment.tables["optimism"].set_index("metric").loc["balanced_accuracy"]
    best = found.selected.selected.scores["balanced_accuracy"]
    assert optimism["tuned"] == pytest.approx(best)
    assert optimism["optimism"] == pytest.approx(best - optimism["nested"])
    before = (tmp_path / "folds.jsonl").read_bytes()
    again = carry_out(plan, tmp_path)
    np.testing.assert_array_equal(again.main.probabilities, found.main.probabilities)
    assert (tmp_path / "folds.jsonl").read_bytes() == before
