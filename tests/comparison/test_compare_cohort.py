"""What a comparison of a cohort wants beside the cache: control experiments and encoders of the recipes named."""

from pathlib import Path

import numpy as np
import pytest

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cache.adapt import AdaptSettings
from lymphofeat.cache.extract import ExtractSettings
from lymphofeat.cache.finetune import FinetuneSettings
from lymphofeat.comparison import compare as compare_module
from lymphofeat.comparison.compare import compare, compare_cohort
from lymphofeat.errors import InputError, StaleCacheError
from lymphofeat.training.recipe_file import find_recipe

from ..helpers.caches import features, patients
from ..helpers.compared import FROZEN, add_encoding
from ..helpers.simulated import noise_cohort


def test_missing_controls_are_said_to_be_missing(tmp_path: Path) -> None:
    table = patients()
    save_cache(tmp_path / "c.h5", table, {"good": features(table)}, n_folds=4)
    add_encoding(tmp_path / "c.h5", "good", features(table), FROZEN)
    left_out = compare(tmp_path / "c.h5", tmp_path / "r.jsonl").left_out
    assert [s.split(";")[0].split("the control experiment ")[1] for s in left_out] == [
        "random encoder resnet18",
        "colour",
    ]


SETTINGS = ExtractSettings(crop=32, n_folds=3, n_repeats=1, device="cpu")


def test_a_cohort_gets_its_controls_first(tmp_path: Path) -> None:
    cohort, cache = noise_cohort(tmp_path / "data"), tmp_path / "c.h5"
    found = compare_cohort(cohort, cache, tmp_path / "r.jsonl", settings=SETTINGS)
    assert {m.pipeline.encoder for m in found.measured} == {"", "colour", "random"}
    assert found.left_out == ()
    assert len(found.patients.y) == 12
    with pytest.raises(StaleCacheError, match="made from another cohort"):
        compare_cohort(
            noise_cohort(tmp_path / "other", side=52), cache, tmp_path / "r.jsonl", settings=SETTINGS
        )


def test_recipes_that_are_named_are_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[object] = []

    def train(
        _: object, cache: Path, settings: FinetuneSettings, *, executor: object, progress: object
    ) -> None:
        trained.append(settings.recipe)
        n_images, rng = open_cache(cache).tables.n_images, np.random.default_rng(0)
        for k in range(settings.extract.n_folds):
            array = rng.normal(size=(n_images, 4)).astype(np.float32)
            about = {
                "recipe": {"name": settings.recipe},
                "backbone": "resnet18",
                "preprocessing": {"crop": 32},
            }
            add_encoding(
                cache, f"t-fold{k}", array, about, encoder_family="t", blind_to=[k], end_to_end=rng.random(15)
            )

    monkeypatch.setattr(compare_module, "extract_finetuned", train)
    cohort, cache = noise_cohort(tmp_path / "data"), tmp_path / "c.h5"
    compare_cohort(cohort, cache, tmp_path / "r.jsonl", settings=SETTINGS)
    for _ in range(2):
        found = compare_cohort(cohort, cache, tmp_path / "r.jsonl", settings=SETTINGS, pipelines=["pooled"])
        assert trained == ["pooled"]
        assert {m.pipeline.head for m in found.measured if m.pipeline.encoder == "fine-tuned"} == {
            *("end-to-end", "image", "both", "average")
        }
    with pytest.raises(InputError, match="did you mean 'pooled'"):
        compare_cohort(cohort, cache, tmp_path / "r.jsonl", settings=SETTINGS, pipelines=["scratch", "poled"])
    with pytest.raises(InputError, match="'half' divides the cohort into 2 folds"):
        compare_cohort(cohort, cache, tmp_path / "r.jsonl", settings=SETTINGS, pipelines=["scratch", "half"])
    assert trained == ["pooled"]


def test_a_recipe_without_labels_is_adapted_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort, cache, asked = noise_cohort(tmp_path / "data"), tmp_path / "c.h5", []

    def adapt(_: object, path: Path, settings: AdaptSettings, *, executor: object, progress: object) -> None:
        asked.append((settings.recipe, settings.with_test))
        array = np.random.default_rng(0).normal(size=(open_cache(path).tables.n_images, 4))
        about = {
            "recipe": find_recipe("adapt").to_dict(),
            "backbone": "resnet18",
            "preprocessing": {"crop": 32},
        }
        add_encoding(path, "adapt-x", array.astype(np.float32), about)

    monkeypatch.setattr(compare_module, "extract_adapted", adapt)
    compare_cohort(cohort, cache, tmp_path / "r.jsonl", settings=SETTINGS)
    with pytest.raises(InputError, match="extract COHORT --adapt --recipe adapt"):
        compare(cache, tmp_path / "r.jsonl", pipelines=["adapt"])
    for _ in range(2):
        found = compare_cohort(cohort, cache, tmp_path / "r.jsonl", settings=SETTINGS, pipelines=["adapt"])
        assert asked == [("adapt", False)]
        named = {m.pipeline.head for m in found.measured if m.pipeline.recipe == "adapt"}
        assert named == {"image", "both", "average"}
