"""`extract --adapt`: what the encoder may see, what the encoding says of it, and what decides it."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from lymphofeat.cache import open_cache
from lymphofeat.cache.adapt import adapt_settings_from, extract_adapted
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cache.finetune import extract_finetuned, settings_from
from lymphofeat.cache.trainings import encoders_folder
from lymphofeat.cohort.model import Cohort
from lymphofeat.encoder.backbones import backbone_named, untrained
from lymphofeat.encoder.pixels import read_block
from lymphofeat.errors import CacheError, InputError, StaleCacheError, WeightsError
from lymphofeat.progress import Silent
from lymphofeat.training.recipe_file import change_recipe, find_recipe
from lymphofeat.training.trained import load_trained

from ..helpers.adapted import NAME, RECIPE, SETTINGS, adapted, features, with_labels
from ..helpers.finetuned import BASE, ENCODER_FAMILY, tiny
from ..helpers.finetuned import SETTINGS as FINETUNE

FROZEN = replace(BASE, backbone="small-cnn", crop=32)


@pytest.fixture
def cache(cohort: Cohort, tmp_path: Path) -> Path:
    path = tmp_path / "c.h5"
    extract_adapted(cohort, path, SETTINGS)
    return path


def rewrite(path: Path, name: str, *, recipe: object = None, blind_to: str | None = None) -> None:
    """Change what a cache says of an encoding."""
    with h5py.File(path, "r+") as file:
        group = file[f"encodings/{name}"]
        spec = json.loads(group.attrs["spec"])
        if recipe is not None:
            spec["about"]["recipe"] = recipe
        if blind_to is not None:
            spec["blind_to"] = group.attrs["blind_to"] = blind_to
        group.attrs["spec"] = json.dumps(spec, sort_keys=True)


def test_the_encoding_is_blind_to_every_fold_and_says_what_made_it(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    summary = extract_adapted(cohort, path, SETTINGS)
    cache, encoding = open_cache(path), adapted(path)
    assert summary.encoding == NAME == cache.default_encoder_family
    assert encoding.blind_to is None
    assert encoding.end_to_end is None
    assert encoding.attrs["recipe"] == RECIPE.to_dict()
    assert encoding.attrs["learnt_parts"] == "labelled part"
    assert cache.blind_encoding(NAME, {0, 1, 2}, repeat=1).name == NAME
    assert (
        (encoding.made["learnt_from"], encoding.made["validated_on"]) == (12, 0) == (summary.learnt_from, 0)
    )
    assert [record["epoch"] for record in summary.history] == [1, 2]
    assert {"loss", "invariance", "variance", "covariance"} < set(summary.history[0])
    assert encoding.made["epoch"] == 2


def test_no_label_nor_clinical_value_nor_fold_decides_anything(
    cohort: Cohort, cache: Path, tmp_path: Path
) -> None:
    """Labels permuted, flipped, all gone; other clinical values; other folds: the same bits."""
    labels = [p.label for p in cohort.patients if p.split == "train"]
    permuted = [labels[i] for i in np.random.default_rng(3).permutation(len(labels))]
    older = replace(cohort, patients=tuple(replace(p, age=20.0, count=99.0) for p in cohort.patients))
    others = {
        "permuted": with_labels(cohort, permuted),
        "flipped": with_labels(cohort, [1 - label for label in labels]),
        "none": with_labels(cohort, [-1] * len(labels)),
        "older": older,
    }
    assert permuted != labels
    for name, other in others.items():
        path = tmp_path / name / "c.h5"
        extract_adapted(other, path, SETTINGS)
        np.testing.assert_array_equal(features(path), features(cache), err_msg=name)
        assert adapted(path).spec.identity == adapted(cache).spec.identity
    refolded = replace(SETTINGS, extract=replace(BASE, n_folds=2, fold_seed=5))
    extract_adapted(cohort, tmp_path / "folds" / "c.h5", refolded)
    np.testing.assert_array_equal(features(tmp_path / "folds" / "c.h5"), features(cache))


def test_a_cohort_without_any_label_is_encoded_too(cohort: Cohort, tmp_path: Path) -> None:
    path, blind = tmp_path / "c.h5", with_labels(cohort, [-1] * 12)
    extract_frozen(blind, path, FROZEN)
    extract_adapted(blind, path, SETTINGS)
    cache = open_cache(path)
    assert not len(cache.labelled)
    assert (cache.folds == -1).all()
    assert features(path).any(axis=1).all()
    with pytest.raises(InputError, match="no labelled patient to train on"):
        cache.splits(NAME)


def test_images_of_the_test_part_are_learnt_from_only_when_asked(
    cohort: Cohort, cache: Path, tmp_path: Path
) -> None:
    whole = replace(SETTINGS, with_test=True)
    extract_adapted(cohort, cache, whole)
    name = f"{NAME}-with-test"
    with_test = np.array(adapted(cache, name).features)
    assert adapted(cache, name).attrs["learnt_parts"] == "labelled part and test part"
    assert adapted(cache, name).made["learnt_from"] == 15
    before = features(cache)
    assert not np.array_equal(with_test, before)

    path = cohort.patients[13].images[0]  # of the test part
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    other = tmp_path / "other" / "c.h5"
    extract_adapted(cohort, other, SETTINGS)
    changed = np.flatnonzero((features(other) != before).any(axis=1))
    assert changed.tolist() == [sum(len(p.images) for p in cohort.patients[:13])]
    extract_adapted(cohort, other, whole)
    assert (np.array(adapted(other, name).features) != with_test).any(axis=1).mean() > 0.9


def test_a_cohort_of_a_test_part_only_needs_its_images(cohort: Cohort, tmp_path: Path) -> None:
    test = replace(cohort, patients=cohort.patients[12:])
    with pytest.raises(InputError, match=r"no labelled part.*--with-test"):
        extract_adapted(test, tmp_path / "c.h5", SETTINGS)
    assert not (tmp_path / "c.h5").exists()
    assert extract_adapted(test, tmp_path / "c.h5", replace(SETTINGS, with_test=True)).learnt_from == 3


def test_features_are_those_of_the_kept_network_whose_batch_norm_follows_the_cohort(
    cohort: Cohort, cache: Path
) -> None:
    trained = load_trained(encoders_folder(cache) / adapted(cache).made["encoder"])
    assert trained.about["blind_to"] == "all"
    row = 0
    for patient in cohort.patients:
        pixels = read_block(patient.images, 32)
        with torch.no_grad():
            expected = trained.network.backbone(trained.preprocessing.normalise(pixels, torch.float32))
        stop = row + len(patient.images)
        np.testing.assert_allclose(features(cache)[row:stop], expected, rtol=1e-3, atol=1e-4)
        row = stop
    before = untrained(backbone_named("small-cnn"), 0).state_dict()
    after = trained.network.backbone.state_dict()
    assert all(not torch.equal(before[key], after[key]) for key in before)


def test_an_adapted_network_is_refused_as_start_weights_for_what_it_is(cohort: Cohort, cache: Path) -> None:
    """Not as one that saw labels."""
    weights = encoders_folder(cache) / f"{NAME}.safetensors"
    with pytest.raises(WeightsError, match="was adapted to the images of a cohort"):
        extract_frozen(cohort, cache, replace(FROZEN, weights=str(weights)))


def test_seed_and_images_decide(cohort: Cohort, cache: Path, tmp_path: Path) -> None:
    seeded = replace(SETTINGS, name=NAME, extract=replace(BASE, seed=1))
    with pytest.raises(StaleCacheError, match="seed: 0, now 1"):
        extract_adapted(cohort, cache, seeded)
    path = cohort.patients[2].images[1]
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    before = features(cache)
    extract_adapted(cohort, cache, SETTINGS)  # the encoder stays, and encodes the new image
    row = sum(len(p.images) for p in cohort.patients[:2]) + 1
    assert np.flatnonzero((features(cache) != before).any(axis=1)).tolist() == [row]
    cache.unlink()
    with pytest.raises(StaleCacheError, match="the images that the encoder learnt from changed"):
        extract_adapted(cohort, cache, SETTINGS)


def test_again_is_nothing_to_do(cohort: Cohort, cache: Path) -> None:
    before = cache.read_bytes()
    assert extract_adapted(cohort, cache, SETTINGS).was_there
    assert cache.read_bytes() == before


def test_corrected_labels_leave_encoding_and_encoder_as_they_are(
    cohort: Cohort, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same cache, with another encoding, and in a new cache beside the kept network."""
    before, corrected = features(cache), with_labels(cohort, [1, 1] + [0, 1] * 5)
    extract_frozen(corrected, cache, FROZEN)
    np.testing.assert_array_equal(features(cache), before)
    monkeypatch.setattr(
        "lymphofeat.cache.member_training.adapt_encoder", lambda *_, **__: pytest.fail("trained again")
    )
    assert extract_adapted(corrected, cache, SETTINGS).was_there
    cache.unlink()
    extract_adapted(corrected, cache, SETTINGS)
    np.testing.assert_array_equal(features(cache), before)


def test_a_cache_that_hides_labels_is_refused(cache: Path) -> None:
    """An encoding may say that it saw no labels if its recipe takes none, and only then."""
    good = RECIPE.to_dict()
    forged = [
        tiny().to_dict(),
        {**good, "loss": {**good["loss"], "kind": "bce"}},
        {**good, "loss": {}},
        {**good, "loss": "vicreg"},
        {"name": "adapt"},
    ]
    for recipe in forged:
        rewrite(cache, NAME, recipe=recipe)
        with pytest.raises(CacheError, match="a recipe that takes labels, and says that it saw none"):
            open_cache(cache)
    rewrite(cache, NAME, recipe=good)
    assert adapted(cache).blind_to is None


def test_a_fine_tuned_encoding_that_claims_to_be_blind_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, FINETUNE)
    rewrite(path, f"{ENCODER_FAMILY}-fold0", blind_to="all")
    with pytest.raises(CacheError, match="a recipe that takes labels, and says that it saw none"):
        open_cache(path)


def test_upper_layers_alone_adapt_on_stored_activations(cohort: Cohort, tmp_path: Path) -> None:
    changes = {
        "network": {"backbone": "resnet18"},
        "training": {"train_from": "layer4", "variants": 2, "epochs": 1},
    }
    recipe = change_recipe(RECIPE, changes, "test")
    summary = extract_adapted(cohort, tmp_path / "c.h5", replace(SETTINGS, recipe=recipe))
    assert summary.encoding == "adapt-resnet18-random0-crop32-layer4-epochs1"
    name = f"{summary.encoding}.safetensors"
    state = load_trained(encoders_folder(tmp_path / "c.h5") / name).network.backbone.state_dict()
    before = untrained(backbone_named("resnet18"), 0).state_dict()
    moved = {key.split(".")[0] for key in before if not torch.equal(before[key], state[key])}
    assert moved == {"layer4"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: settings_from(recipe="adapt"), "adapt takes no labels.*give --adapt"),
        (lambda: adapt_settings_from(recipe="pooled"), "pooled takes labels.*leave out --adapt"),
        (lambda: adapt_settings_from(nested=True), "--nested is for encoders that learn from labels"),
        (lambda: adapt_settings_from(train_from="fc"), "nothing of the encoder to train"),
        (lambda: adapt_settings_from(recipe="poled"), "did you mean 'pooled'"),
    ],
)
def test_options_that_cannot_be_used_get_a_sentence(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_the_other_kind_of_recipe_is_refused_before_a_file_is_read(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes labels"):
        extract_adapted(cohort, tmp_path / "c.h5", replace(SETTINGS, recipe=tiny()))
    with pytest.raises(InputError, match="takes no labels"):
        extract_finetuned(cohort, tmp_path / "c.h5", replace(FINETUNE, recipe=RECIPE))
    assert not list(tmp_path.glob("*.h5"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clinical": {"use": "branch"}}, r"\[clinical\] use, \[loss\] class_weights and label_smoothing"),
        ({"loss": {"class_weights": True}}, "it takes no labels"),
        ({"network": {"hidden": []}}, "must name the widths of the expander"),
        (
            {
                "augment": dict.fromkeys(("brightness", "contrast", "saturation", "hue", "stain", "shift"), 0)
                | {"flip": False, "rotate": "none", "grey": True}
            },
            r"\[augment\] must change images",
        ),
    ],
)
def test_recipes_that_contradict_themselves(changes: dict[str, dict[str, object]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        change_recipe(find_recipe("adapt"), changes, "test")


def test_the_run_says_how_long_and_how_it_goes(cohort: Cohort, tmp_path: Path) -> None:
    class Heard(Silent):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    heard = Heard()
    extract_adapted(cohort, tmp_path / "c.h5", SETTINGS, progress=heard)
    assert "Training 1 encoder for 2 epochs takes about" in heard.notes[0]
    assert len(heard.notes) == 3
    for part in (f"{NAME}, epoch 2: loss ", "invariance ", "variance ", "covariance ", " left"):
        assert part in heard.notes[2]
