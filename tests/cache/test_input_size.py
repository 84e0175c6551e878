"""`--input-size`: the crop scaled, as an encoding of its own, where a network needs it or a user asks; in words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torchvision.transforms import v2

from lymphofeat.cache import open_cache
from lymphofeat.cache.control_experiments import missing_controls
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cache.finetune import check_trainable, recipe_of, settings_from
from lymphofeat.cohort.model import Cohort
from lymphofeat.encoder.backbones import BACKBONES, untrained
from lymphofeat.encoder.preparation import IMAGENET_MEAN, IMAGENET_STD, preparation_text
from lymphofeat.errors import InputError
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

from ..helpers.commands import runner
from ..helpers.extracted import NAME, SETTINGS, features

SCALED = replace(SETTINGS, input_size=60)


def usual(network: torch.nn.Module, images: list[Path], crop: int, size: int) -> np.ndarray:
    """What the authors of blood encoders do: torchvision's resizing of PIL images."""
    transform = v2.Compose([
        v2.CenterCrop(crop), v2.Resize((size, size)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(list(IMAGENET_MEAN), list(IMAGENET_STD)),
    ])  # fmt: skip
    with torch.no_grad():
        return np.concatenate(
            [network(transform(Image.open(f).convert("RGB"))[None]).numpy() for f in images]
        )


@pytest.mark.parametrize("size", [60, 32])
def test_the_crop_is_scaled_as_torchvision_scales_it(cohort: Cohort, tmp_path: Path, size: int) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", replace(SETTINGS, input_size=size))
    expected = usual(untrained(BACKBONES["small-cnn"], 0).eval(), cohort.images, 40, size)
    found = features(tmp_path / "c.h5", f"small-cnn-random0-crop40-input{size}")
    assert np.linalg.norm(found - expected) < 0.01 * np.linalg.norm(
        expected
    )  # which rounds to whole grey levels


def test_two_scales_are_two_encodings_and_the_names_of_before_stay(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    extract_frozen(cohort, path, SCALED)
    same = extract_frozen(cohort, path, replace(SETTINGS, input_size=40))
    assert (same.encoding, same.n_before) == (NAME, same.n_images)
    cache = open_cache(path)
    assert sorted(cache.encodings) == [NAME, f"{NAME}-input60"]
    assert "input_size" not in cache.encodings[NAME].attrs["preprocessing"]
    assert cache.encodings[f"{NAME}-input60"].attrs["preprocessing"]["input_size"] == 60
    assert ExtractSettings().input_size is None


def test_a_scaled_encoding_wants_its_own_untrained_double(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    torch.save(untrained(BACKBONES["small-cnn"], 5).state_dict(), tmp_path / "w.pth")
    extract_frozen(cohort, path, replace(SCALED, weights=str(tmp_path / "w.pth")))
    wanted = [c for c in missing_controls(open_cache(path), SETTINGS) if isinstance(c, ExtractSettings)]
    assert [(c.backbone, c.crop, c.input_size, c.weights) for c in wanted] == [("small-cnn", 40, 60, "none")]
    extract_frozen(cohort, path, wanted[0])
    assert not [c for c in missing_controls(open_cache(path), SETTINGS) if isinstance(c, ExtractSettings)]


def test_a_network_for_224_px_gets_them_and_info_says_so(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    network = timm.create_model("vit_small_patch14_dinov2", num_classes=0, img_size=224).eval()
    named = {f"backbone.{key}": value for key, value in network.state_dict().items()}
    torch.save({"teacher": named | {"backbone.mask_token": torch.zeros(1, 384)}}, tmp_path / "Bloom.pth")
    few = replace(cohort, patients=tuple(replace(p, images=p.images[:1]) for p in cohort.patients))
    settings = replace(SETTINGS, backbone="vit_small_patch14_dinov2", weights=str(tmp_path / "Bloom.pth"))
    summary = extract_frozen(few, tmp_path / "c.h5", settings)
    assert summary.encoding == "vit_small_patch14_dinov2-Bloom-crop40-input224"
    expected = usual(network, few.images[:3], 40, 224)
    found = features(tmp_path / "c.h5", summary.encoding)[:3]
    assert np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)
    shown = runner(monkeypatch, capsys)("info", tmp_path / "c.h5")
    assert "images as centre crop of 40 px, scaled to 224 px, ImageNet mean and deviation" in shown.out
    with pytest.raises(InputError, match="takes images of 224 px only; leave --input-size out"):
        extract_frozen(few, tmp_path / "d.h5", replace(settings, input_size=112))


def refused(**options: object) -> str:
    settings = settings_from(weights="none", seed=0, **options)  # type: ignore[arg-type]
    try:
        check_trainable(recipe_of(settings.recipe, label_free=False), settings.extract)
    except InputError as error:
        return str(error)
    return ""


def test_training_does_not_scale_and_says_so_before_any_work() -> None:
    vit = "vit_small_patch14_dinov2"
    assert "takes images of 224 px, and training takes the centre crop of 112 px" in refused(backbone=vit)
    assert "give --frozen, or --crop 224" in refused(backbone=vit)
    assert refused(backbone=vit, crop=224) == ""
    assert "--input-size scales images for the frozen encoder" in refused(input_size=224)


def test_the_command_takes_it(tmp_path: Path, monkeypatch, capsys) -> None:
    run = runner(monkeypatch, capsys)
    folder = simulate_cohort(tmp_path / "data", SimulationSettings(patients=24, images_range=(1, 2)))
    given = ("extract", folder, "--backbone", "small-cnn", "--weights", "none", "--seed", "0", "--crop", "40",
             "--folds", "2", "--cache", tmp_path / "c.h5", "--input-size", "60")  # fmt: skip
    refused = run(*given, "--finetune")
    assert refused.code == 2
    assert "give --frozen, or leave --input-size out" in refused.err
    done = run(*given, "--frozen")
    assert done.code == 0, done.err
    assert f"{NAME}-input60" in done.out


def test_words() -> None:
    recorded = {"crop": 112, "input_size": 224, "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
    assert (
        preparation_text(recorded) == "centre crop of 112 px, scaled to 224 px, ImageNet mean and deviation"
    )
    assert preparation_text({"crop": 64}) == "centre crop of 64 px"
    lite = {"crop": 112, "mean": [127 / 255] * 3, "std": [128 / 255] * 3, "grey": True, "bits": 12}
    assert preparation_text(lite) == (
        "centre crop of 112 px, without colour, 12 of 16 bits used, mean 0.498 and deviation 0.502"
    )
