"""`extract --finetune`: what an encoder family is, what its encoders may see, and what a run says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cache.finetune import extract_finetuned, settings_from
from lymphofeat.cache.trainings import encoders_folder
from lymphofeat.cohort.model import Cohort
from lymphofeat.encoder.backbones import backbone_named, untrained
from lymphofeat.encoder.pixels import read_block
from lymphofeat.errors import InputError, LeakageError
from lymphofeat.progress import Silent
from lymphofeat.training.recipe import Recipe
from lymphofeat.training.recipe_file import change_recipe, find_recipe
from lymphofeat.training.trained import load_trained

from ..helpers.finetuned import BASE, ENCODER_FAMILY, SETTINGS, contents, leftovers, tiny
from ..helpers.simulated import noise_cohort


def test_a_family_is_one_encoding_per_fold_and_says_what_made_it(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "out" / "c.h5"
    summary = extract_finetuned(cohort, path, SETTINGS)
    cache = open_cache(path)
    assert summary.encoder_family == ENCODER_FAMILY == cache.default_encoder_family
    assert sorted(summary.best) == sorted(cache.encodings) == [f"{ENCODER_FAMILY}-fold{k}" for k in range(3)]
    for k in range(3):
        encoding = cache.encodings[f"{ENCODER_FAMILY}-fold{k}"]
        assert encoding.blind_to == {k}
        assert cache.blind_encoding(ENCODER_FAMILY, {k}).name == encoding.name
        assert encoding.attrs["recipe"] == tiny().to_dict()
        assert encoding.attrs["preprocessing"]["crop"] == 32
        made = encoding.made
        assert made["learnt_from"] + made["validated_on"] == 8
        assert len(made["history"]) == 2
        assert summary.best[encoding.name] == made["history"][made["epoch"] - 1]
        assert made["seconds"] > 0
        assert encoding.end_to_end is not None
        assert ((encoding.end_to_end > 0) & (encoding.end_to_end < 1)).all()
    assert len({e.digest for e in cache.encodings.values()}) == 3
    assert leftovers(tmp_path) == []


def test_features_and_probabilities_are_those_of_the_kept_network(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    recipe = tiny("pooled+clinical")
    extract_finetuned(cohort, path, replace(SETTINGS, recipe=recipe))
    cache = open_cache(path)
    for name, encoding in cache.encodings.items():
        trained = load_trained(encoders_folder(path) / encoding.made["encoder"])
        assert trained.about["name"] == name
        assert trained.about["blind_to"] == sorted(encoding.blind_to)
        network = trained.network
        with torch.no_grad():
            for p, patient in enumerate(cohort.patients):
                pixels = read_block(patient.images, 32)
                features = network.backbone(trained.preprocessing.normalise(pixels, torch.float32))
                np.testing.assert_allclose(cache.bags(name)[p], features, rtol=1e-3, atol=1e-4)
                row = [patient.birth.month, patient.birth.year, patient.age, patient.count]
                own = network.head.predict(features.mean(0)[None], torch.tensor([row], dtype=torch.float32))
                assert encoding.end_to_end[p] == pytest.approx(float(own), abs=1e-4)


def test_the_nested_family_is_blind_at_depth_two(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, replace(SETTINGS, nested=True))
    cache = open_cache(path)
    assert len(cache.encodings) == 6
    assert cache.blind_encoding(ENCODER_FAMILY, {0, 2}).name == f"{ENCODER_FAMILY}-folds0+2"
    assert cache.blind_encoding(ENCODER_FAMILY, {1}).name == f"{ENCODER_FAMILY}-fold1"
    with pytest.raises(LeakageError, match="folds 0, 1, 2 of repeat 0"):
        cache.blind_encoding(ENCODER_FAMILY, {0, 1, 2})
    with pytest.raises(LeakageError, match="fold 0 of repeat 1"):
        cache.blind_encoding(ENCODER_FAMILY, {0}, repeat=1)


def test_nested_encoders_join_those_already_there(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, SETTINGS)
    before = contents(path)
    summary = extract_finetuned(cohort, path, replace(SETTINGS, nested=True))
    assert summary.n_before == 3
    after = contents(path)
    assert len(after) == 6
    for name, (features, _) in before.items():
        np.testing.assert_array_equal(after[name][0], features)


@pytest.mark.parametrize("name", ["scratch", "moe", "default"])
def test_other_recipes_join_the_cache(cohort: Cohort, tmp_path: Path, name: str) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, replace(BASE, backbone="small-cnn", crop=32))
    extract_finetuned(cohort, path, replace(SETTINGS, recipe=tiny(name)))
    cache = open_cache(path)
    assert len(cache.encoder_families) == 2
    assert cache.default_encoder_family.startswith(name)


@pytest.mark.parametrize("train_from", ["layer4", "fc"])
def test_upper_layers_alone_train_on_stored_activations(
    cohort: Cohort, tmp_path: Path, train_from: str
) -> None:
    path = tmp_path / "c.h5"
    recipe = change_recipe(
        find_recipe("pooled"),
        {"training": {"crop": 32, "epochs": 1, "inner_folds": 2, "train_from": train_from, "variants": 2}},
        "test",
    )
    base = replace(BASE, n_folds=2)
    start = extract_frozen(cohort, path, replace(base, crop=32)).encoding
    summary = extract_finetuned(cohort, path, replace(SETTINGS, recipe=recipe, extract=base))
    assert summary.encoder_family == f"pooled-random0-crop32-{train_from}-epochs1"
    cache = open_cache(path)
    for k in range(2):
        name = f"{summary.encoder_family}-fold{k}"
        state = load_trained(encoders_folder(path) / f"{name}.safetensors").network.backbone.state_dict()
        before = untrained(backbone_named("resnet18"), 0).state_dict()
        moved = {key.split(".")[0] for key in before if not torch.equal(before[key], state[key])}
        assert moved == ({"layer4"} if train_from == "layer4" else set())
        same = np.allclose(cache.encodings[name].features, cache.encodings[start].features, atol=1e-5)
        assert same == (train_from == "fc")


def test_again_is_nothing_to_do(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, SETTINGS)
    before = path.read_bytes()
    assert extract_finetuned(cohort, path, SETTINGS).n_before == 3
    assert path.read_bytes() == before


def test_the_run_says_how_long_and_how_it_goes(cohort: Cohort, tmp_path: Path) -> None:
    class Heard(Silent):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    heard = Heard()
    extract_finetuned(cohort, tmp_path / "c.h5", SETTINGS, progress=heard)
    assert "Training 3 encoders for 2 epochs each takes about" in heard.notes[0]
    assert "--frozen" in heard.notes[0]
    epochs = sorted(heard.notes[1:])
    assert len(epochs) == 6
    for part in (f"{ENCODER_FAMILY}-fold0, epoch 2: loss ", "validation balanced accuracy ", "AUC ", " left"):
        assert part in epochs[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "poled"}, "did you mean 'pooled'"),
        ({"recipe": "scratch", "train_from": "layer4"}, "recipe scratch with these options cannot be used"),
        ({"backbone": "resnet19"}, r"\[network\] backbone.*'resnet19'"),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
    ],
)
def test_options_that_cannot_be_used_get_a_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings_from(**options)  # type: ignore[arg-type]


def test_options_reach_the_recipe_and_its_control() -> None:
    settings = settings_from(recipe="half", epochs=3, crop=64, weights="none", seed=4, nested=False)
    assert isinstance(settings.recipe, Recipe)
    assert settings.recipe.training.epochs == 3
    assert settings.extract.n_folds == 2
    assert (settings.extract.crop, settings.extract.backbone) == (64, "resnet18")
    scratch = settings_from(recipe="scratch")
    assert (scratch.extract.weights, scratch.extract.seed) == ("none", 0)
    assert settings_from(recipe="half", n_folds=4).extract.n_folds == 4


def test_too_few_patients_get_a_sentence(tmp_path: Path) -> None:
    few = noise_cohort(tmp_path / "few", n_train=4)
    with pytest.raises(InputError, match=r"fewer than 2 persons left.*--folds"):
        extract_finetuned(few, tmp_path / "c.h5", replace(SETTINGS, extract=replace(BASE, n_folds=2)))
    assert not (tmp_path / "c.h5").exists()
