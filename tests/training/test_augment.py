"""Augmented batches against the same done image by image with torchvision."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from lymphofeat.encoder.pixels import Preprocessing
from lymphofeat.errors import InputError
from lymphofeat.training.augment import N_DRAWS, Augmenter, AugmentSpec, augment_faults

CROP = 32
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PREPROCESSING = Preprocessing(CROP, MEAN, STD)
EVERYTHING = AugmentSpec(
    flip=True, rotate="right", shift=3, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, stain=0.05
)


def stored(spec: AugmentSpec, n: int = 40, seed: int = 0) -> torch.Tensor:
    side = spec.margin(CROP)
    return torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8, generator=seeded(seed))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def usual(pixels: torch.Tensor) -> torch.Tensor:
    """torchvision's normalisation of (H, W, 3) uint8."""
    scaled = F.to_dtype(pixels.permute(2, 0, 1), torch.float32, scale=True)
    return F.normalize(scaled, list(MEAN), list(STD))


def placements(pixels: torch.Tensor, spec: AugmentSpec) -> dict[tuple[int, int, int], torch.Tensor]:
    """Every crop of one stored image that the spec allows, by (element, dy, dx): torchvision's crop, flip, rotate."""
    image, found = pixels.permute(2, 0, 1), {}
    reach, at = range(-spec.shift, spec.shift + 1), (pixels.shape[0] - CROP) // 2
    for number, (mirrored, turns) in enumerate(Augmenter(spec, PREPROCESSING).elements):
        for dy in reach:
            for dx in reach:
                crop = F.crop(image, at + dy, at + dx, CROP, CROP)
                crop = F.horizontal_flip(crop) if mirrored else crop
                found[number, dy, dx] = usual(F.rotate(crop, 90 * turns).permute(1, 2, 0))
    return found


@pytest.mark.parametrize(
    ("changes", "count"),
    [({}, 1), ({"flip": True}, 4), ({"rotate": "right"}, 4), ({"flip": True, "rotate": "right"}, 8),
     ({"flip": True, "rotate": "right", "shift": 1}, 72)],
)  # fmt: skip
def test_each_version_is_one_of_torchvisions_and_all_occur_equally(changes, count) -> None:
    spec = AugmentSpec(**changes)
    one = stored(spec, 1)
    options = placements(one[0], spec)
    assert len(options) == count
    n = 60 * count
    found = Augmenter(spec, PREPROCESSING).augment(one.expand(n, -1, -1, -1), seeded(1))
    every = torch.stack(list(options.values()))
    corner = (slice(None), slice(None), slice(8), slice(8))  # enough to tell which it is
    nearest = torch.cdist(found[corner].flatten(1), every[corner].flatten(1)).argmin(dim=1)
    torch.testing.assert_close(found, every[nearest], atol=1e-5, rtol=0)
    times = np.bincount(nearest, minlength=count)
    assert ((times - 60) ** 2 / 60).sum() < count + 5 * np.sqrt(2 * count)  # χ², five deviations


def test_flip_alone_mirrors_both_ways() -> None:
    spec = AugmentSpec(flip=True)
    pixels = stored(spec, 1)[0]
    expected = [pixels, pixels.flip(1), pixels.flip(0), pixels.flip(0, 1)]
    for number, option in enumerate(expected):
        torch.testing.assert_close(placements(pixels, spec)[number, 0, 0], usual(option))


def test_images_of_a_batch_are_augmented_each_by_itself() -> None:
    pixels, augmenter = stored(EVERYTHING), Augmenter(EVERYTHING, PREPROCESSING)
    draws = torch.rand(len(pixels), N_DRAWS, generator=seeded(3))
    together = augmenter.apply(pixels, draws)
    for i in (0, 15, 16, 39):
        torch.testing.assert_close(augmenter.apply(pixels[i : i + 1], draws[i : i + 1])[0], together[i])


@pytest.mark.parametrize("flip", [False, True])
def test_any_angle_is_torchvisions_rotation(flip: bool) -> None:  # noqa: FBT001
    spec = AugmentSpec(rotate="any", flip=flip, shift=2)
    side = spec.margin(CROP)
    # smooth pictures: where a pixel falls between others, both interpolate
    coarse = torch.rand(12, 3, 6, 6, generator=seeded(0))
    pixels = (
        (F.resize(coarse, [side, side]).clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    )
    augmenter = Augmenter(spec, PREPROCESSING)
    draws = torch.rand(len(pixels), N_DRAWS, generator=seeded(1))
    found = augmenter.apply(pixels, draws)
    for image, row, result in zip(pixels, draws.tolist(), found, strict=True):
        mirrored, _ = augmenter.elements[int(row[0] * len(augmenter.elements))]
        dy, dx = (int(draw * 5) - 2 for draw in row[2:4])
        moved = (
            torch.roll(image, (-dy, -dx), (0, 1)).permute(2, 0, 1).float()
        )  # what rolls in is cut off below
        moved = F.horizontal_flip(moved) if mirrored else moved
        turned = F.rotate(moved, 360 * row[1], interpolation=v2.InterpolationMode.BILINEAR)
        expected = F.normalize(F.center_crop(turned, [CROP, CROP]) / 255, list(MEAN), list(STD))
        torch.testing.assert_close(result, expected, atol=0.02, rtol=0)


def test_colour_is_torchvisions_on_the_same_factors() -> None:
    spec = AugmentSpec(brightness=0.3, contrast=0.2, saturation=0.4)
    pixels = 80 + stored(spec, 20) // 4  # far from black and white: torchvision clips after each step
    draws = torch.rand(20, N_DRAWS, generator=seeded(5))
    found = Augmenter(spec, PREPROCESSING).apply(pixels, draws)
    for image, row, result in zip(pixels, (2 * draws - 1).tolist(), found, strict=True):
        x = image.permute(2, 0, 1) / 255
        x = F.adjust_brightness(x, 1 + 0.3 * row[4])
        x = F.adjust_contrast(x, 1 + 0.2 * row[5])
        x = F.adjust_saturation(x, 1 + 0.4 * row[6])
        torch.testing.assert_close(result, F.normalize(x, list(MEAN), list(STD)), atol=5e-3, rtol=0)


def test_nothing_to_do_is_the_plain_image() -> None:
    pixels = stored(AugmentSpec())
    augmenter = Augmenter(AugmentSpec(), PREPROCESSING)
    plain = augmenter.plain(pixels)
    torch.testing.assert_close(augmenter.augment(pixels, seeded(0)), plain, atol=1e-5, rtol=0)
    torch.testing.assert_close(plain, torch.stack([usual(p) for p in pixels]), atol=1e-5, rtol=0)


def test_draws_in_the_middle_of_their_ranges_do_nothing() -> None:
    pixels = stored(EVERYTHING).clamp(min=1)  # of black there is no logarithm
    augmenter = Augmenter(EVERYTHING, PREPROCESSING)
    draws = torch.full((len(pixels), N_DRAWS), 0.5)
    draws[:, 0] = 0
    torch.testing.assert_close(augmenter.apply(pixels, draws), augmenter.plain(pixels), atol=2e-4, rtol=0)


@pytest.mark.parametrize(
    "changes", [{}, {"grey": True}, {"normalise_stain": True}, {"grey": True, "normalise_stain": True}]
)
def test_plain_is_what_inference_sees(changes) -> None:
    spec = replace(EVERYTHING, **changes)
    augmenter, pixels = Augmenter(spec, PREPROCESSING), stored(spec)
    at = (pixels.shape[1] - CROP) // 2
    centre = pixels[:, at : at + CROP, at : at + CROP].contiguous()
    plain = augmenter.plain(pixels)
    assert torch.equal(plain, augmenter.inference.normalise(centre, torch.float32))
    assert torch.equal(plain, augmenter.plain(centre))
    if not changes:
        assert torch.equal(plain, PREPROCESSING.normalise(centre, torch.float32))
    else:
        assert not torch.allclose(plain, PREPROCESSING.normalise(centre, torch.float32), atol=0.1)


def test_no_colour_is_left_where_it_is_taken_away() -> None:
    spec = replace(EVERYTHING, grey=True)
    augmenter, pixels = Augmenter(spec, PREPROCESSING), stored(spec)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    for images in (augmenter.augment(pixels, seeded(0)), augmenter.plain(pixels)):
        rgb = images * std + mean
        assert float((rgb - rgb.mean(dim=1, keepdim=True)).abs().max()) < 1e-5


@pytest.mark.parametrize(
    "spec", [AugmentSpec(), EVERYTHING, replace(EVERYTHING, rotate="any"), replace(EVERYTHING, grey=True)]
)
def test_the_result_is_channels_last_and_repeatable_and_leaves_the_global_generator_alone(spec) -> None:
    pixels, augmenter = stored(spec), Augmenter(spec, PREPROCESSING)
    before = torch.get_rng_state()
    first, second = (augmenter.augment(pixels, seeded(7)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, second)
    for images in (first, augmenter.plain(pixels)):
        assert images.shape == (40, 3, CROP, CROP)
        assert images.dtype == torch.float32
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert not images.requires_grad
    if spec != AugmentSpec():
        assert not torch.allclose(first, augmenter.augment(pixels, seeded(8)), atol=0.1)


def test_switching_one_kind_on_leaves_the_others_as_they_were() -> None:
    places = AugmentSpec(flip=True, rotate="right", shift=3)
    pixels = stored(places)
    still = Augmenter(places, PREPROCESSING).augment(pixels, seeded(0))
    coloured = Augmenter(replace(places, brightness=1e-4, stain=1e-4), PREPROCESSING).augment(
        pixels, seeded(0)
    )
    torch.testing.assert_close(still, coloured, atol=0.02, rtol=0)


def test_autocast_around_it_does_not_reach_it() -> None:
    pixels, augmenter = stored(EVERYTHING), Augmenter(EVERYTHING, PREPROCESSING)
    with torch.autocast("cpu", torch.bfloat16):
        inside = augmenter.augment(pixels, seeded(0))
    assert torch.equal(inside, augmenter.augment(pixels, seeded(0)))


@given(
    crop=st.integers(32, 240),
    shift=st.integers(0, 64),
    rotate=st.sampled_from(["none", "right", "any"]),
)
def test_the_margin_keeps_the_centre_and_holds_every_turned_crop(crop: int, shift: int, rotate: str) -> None:
    side = AugmentSpec(rotate=rotate, shift=shift).margin(crop)
    assert (side - crop) % 2 == 0
    reach = (crop - 1) / 2 * (
        np.sqrt(2) if rotate == "any" else 1
    ) + shift  # of a corner pixel from the centre
    assert reach <= (side - 1) / 2 + 1e-9 or rotate == "any"
    assert reach <= side / 2


@pytest.mark.parametrize("shape", [(2, 32, 32, 3), (2, 39, 39, 3), (2, 38, 40, 3), (2, 3, 38, 38)])
def test_pixels_of_another_shape_are_refused(shape) -> None:
    augmenter = Augmenter(AugmentSpec(shift=3), PREPROCESSING)
    with pytest.raises(ValueError, match=r"should be \(B, 38, 38, 3\) uint8"):
        augmenter.augment(torch.zeros(shape, dtype=torch.uint8), seeded(0))
    with pytest.raises(ValueError, match="uint8"):
        augmenter.augment(torch.zeros(2, 38, 38, 3), seeded(0))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"rotate": "left"}, "rotate is 'left'; it must be one of none, right, any"),
     ({"flip": 1}, "flip is 1; it must be true or false"),
     ({"shift": 1.5}, "shift is 1.5; it must be a whole number from 0 to 64"),
     ({"shift": -1}, "shift is -1"), ({"shift": True}, "shift is True"),
     ({"hue": 0.6}, "hue is 0.6; it must be a number from 0 to 0.5"),
     ({"brightness": float("nan")}, "brightness is nan"), ({"contrast": "0.1"}, "contrast is '0.1'"),
     ({"stain": 1}, "stain is 1; it must be a number from 0 to 0.5"), ({"grey": None}, "grey is None")],
)  # fmt: skip
def test_values_out_of_range_get_a_sentence(changes, words: str) -> None:
    with pytest.raises(InputError) as caught:
        AugmentSpec(**changes)
    assert words in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    faults = augment_faults({"rotate": "left", "hue": 3, "flip": "no", "unknown": 1})
    assert [fault.split()[0] for fault in faults] == ["flip", "rotate", "hue"]
