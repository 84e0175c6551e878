"""Control experiments beside the encoders: colours against the plain formula, untrained doubles, the same default."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lymphofeat.cache import open_cache
from lymphofeat.cache.control_experiments import MORPHOLOGY_BACKGROUND, add_controls, missing_controls
from lymphofeat.cache.encoder_family import encoder_family_name
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cache.morphology import extract_morphology
from lymphofeat.cache.roles import is_colour, is_morphology, is_slide_only, is_untrained
from lymphofeat.cohort.read import read_cohort
from lymphofeat.comparison.pipelines import pipelines_of
from lymphofeat.encoder.backbones import BACKBONES
from lymphofeat.encoder.channel_statistics import ColourStatistics
from lymphofeat.errors import StaleCacheError
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort
from lymphofeat.training.recipe_file import list_recipes

from ..helpers.simulated import noise_cohort

SETTINGS = ExtractSettings(crop=32, n_folds=3, n_repeats=2, weights="none", seed=3, device="cpu")


def test_colours_of_a_cohort_equal_the_plain_formula(tmp_path: Path) -> None:
    cohort = noise_cohort(tmp_path / "data")
    add_controls(cohort, tmp_path / "c.h5", SETTINGS)
    cache = open_cache(tmp_path / "c.h5")
    assert cache.encoder_families == ["colour", "resnet18-random0-crop32"]
    expected = []
    for path in cohort.images:
        centre = np.asarray(Image.open(path), dtype=np.float64)[8:40, 8:40].reshape(-1, 3)
        expected.append(np.concatenate([(centre.mean(axis=0) + 0.5) / 256, centre.std(axis=0) / 256]))
    np.testing.assert_allclose(cache.encodings["colour"].features, expected, rtol=1e-5)
    assert cache.encodings["colour"].made["seconds"] > 0
    assert [e.name for e in cache.encodings.values() if is_colour(e)] == ["colour"]
    assert [e.name for e in cache.encodings.values() if is_untrained(e)] == ["resnet18-random0-crop32"]


def test_a_black_and_a_white_image_have_a_colour() -> None:
    pixels = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    pixels[1] = 255
    np.testing.assert_allclose(
        ColourStatistics(4)(pixels), [[1 / 512] * 3 + [0] * 3, [511 / 512] * 3 + [0] * 3]
    )


def test_controls_join_a_cache_on_its_folds_and_leave_its_default(tmp_path: Path) -> None:
    cohort, path = noise_cohort(tmp_path / "data"), tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    before = open_cache(path)
    add_controls(cohort, path, ExtractSettings(device="cpu", crop=32))
    cache = open_cache(path)
    assert cache.encoder_families == ["colour", "resnet18-random3-crop32"]  # an untrained encoder was there
    np.testing.assert_array_equal(cache.folds, before.folds)
    assert cache.default_encoder_family == before.default_encoder_family
    stamp = path.stat().st_mtime_ns
    assert not missing_controls(cache, SETTINGS)
    add_controls(cohort, path)
    assert path.stat().st_mtime_ns == stamp


def test_measured_cells_want_the_slide_around_them(tmp_path: Path) -> None:
    spec = SimulationSettings(patients=8, seed=5, size=96, images_range=(2, 2))
    cohort, path = read_cohort(simulate_cohort(tmp_path / "data", spec)), tmp_path / "c.h5"
    settings = ExtractSettings(device="cpu", backbone="small-cnn", crop=32, n_folds=2)
    extract_morphology(cohort, path, settings=replace(settings, crop=96))
    assert MORPHOLOGY_BACKGROUND in missing_controls(open_cache(path), settings)
    add_controls(cohort, path, settings)
    cache = open_cache(path)
    families = ["colour", "morphology-background-crop96", "morphology-crop96", "small-cnn-random0-crop32"]
    assert cache.encoder_families == families
    assert not missing_controls(cache, settings)
    slide, cells = (cache.encodings[name] for name in families[1:3])
    assert is_slide_only(slide)
    assert is_morphology(cells)
    assert not is_slide_only(cells)
    assert not any(is_colour(e) or is_untrained(e) for e in (slide, cells))
    assert cache.default_encoder_family == cells.encoder_family
    kinds = {p.encoder_family: p.encoder for p in pipelines_of(cache)}
    assert [kinds[name] for name in families] == ["colour", "background", "frozen", "random"]


def test_networks_of_optional_packages_want_their_untrained_double(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, path = noise_cohort(tmp_path / "data"), tmp_path / "c.h5"
    settings = replace(SETTINGS, backbone="efficientnet-lite0", weights="imagenet", seed=None)
    extract_frozen(cohort, path, settings)
    wanted = [c for c in missing_controls(open_cache(path), SETTINGS) if isinstance(c, ExtractSettings)]
    assert [(c.backbone, c.crop, c.weights) for c in wanted] == [("efficientnet-lite0", 32, "none")]
    with monkeypatch.context() as patch:
        patch.setattr("lymphofeat.encoder.optional_backbones.installed", lambda _: False)
        instead = missing_controls(open_cache(path), replace(SETTINGS, backbone="small-cnn"))
    assert [c.backbone for c in instead if isinstance(c, ExtractSettings)] == ["small-cnn"]
    add_controls(cohort, path, SETTINGS)
    found = [e.name for e in open_cache(path).encodings.values() if is_untrained(e)]
    assert found == ["efficientnet-lite0-random0-crop32"]


def test_another_cohort_is_refused(tmp_path: Path) -> None:
    extract_frozen(noise_cohort(tmp_path / "data"), tmp_path / "c.h5", SETTINGS)
    other = noise_cohort(tmp_path / "other", side=52)
    with pytest.raises(StaleCacheError, match="another cohort: 0 of its "):
        add_controls(other, tmp_path / "c.h5", SETTINGS)


def test_what_a_recipe_trains_is_not_named_like_a_frozen_encoding() -> None:
    frozen = {f"{backbone}-{label}" for backbone in BACKBONES for label in ("random0", "imagenet")}
    trained = {
        encoder_family_name(recipe, label) for recipe in list_recipes() for label in ("random0", "imagenet")
    }
    assert not frozen & trained
