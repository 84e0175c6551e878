from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from lymphofeat.encoder.pixels import Preprocessing, read_block, read_crop
from lymphofeat.errors import InputError


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(height=st.integers(32, 60), width=st.integers(32, 60))
@settings(max_examples=20, deadline=None)
def test_the_crop_is_torchvisions_centre_crop(tmp_path_factory, height: int, width: int) -> None:
    path = tmp_path_factory.mktemp("crop") / "a.png"
    pixels = picture(height, width)
    Image.fromarray(pixels).save(path)
    expected = v2.functional.center_crop(torch.from_numpy(pixels).permute(2, 0, 1), [32, 32]).permute(1, 2, 0)
    # torchvision rounds half to even, so an odd margin may fall one pixel to the other side
    found = read_crop(path, 32)
    if (height - 32) % 2 == 0 and (width - 32) % 2 == 0:
        np.testing.assert_array_equal(found, expected.numpy())
    top, left = (height - 32) // 2, (width - 32) // 2
    np.testing.assert_array_equal(found, pixels[top : top + 32, left : left + 32])


def test_normalisation_is_torchvisions(tmp_path: Path) -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    pixels = torch.from_numpy(picture(40, 40))[None]
    found = Preprocessing(40, mean, std).normalise(pixels, torch.float32)
    scaled = v2.functional.to_dtype(pixels.permute(0, 3, 1, 2), torch.float32, scale=True)
    torch.testing.assert_close(
        found, v2.functional.normalize(scaled, list(mean), list(std)), atol=1e-5, rtol=1e-5
    )
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(picture(32, 32)).convert(mode)
    path = tmp_path / "a.tiff"
    image.save(path)
    np.testing.assert_array_equal(read_crop(path, 32), np.asarray(image.convert("RGB")))


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    grey = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 64
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_crop(tmp_path / "a.png", 32)[:, :, 1], (grey >> 8).astype(np.uint8))


def test_too_small_an_image_is_named(tmp_path: Path) -> None:
    Image.fromarray(picture(31, 40)).save(tmp_path / "small.png")
    with pytest.raises(InputError, match=r"small\.png is 40 × 31 pixels, smaller than --crop 32"):
        read_crop(tmp_path / "small.png", 32)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_a_damaged_image_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.jpg"
    if content is None:  # truncated in the middle of the pixel data
        Image.fromarray(picture(64, 64)).save(path)
        content = path.read_bytes()[:800]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.jpg cannot be decoded .*lymphofeat check"):
        read_block([path], 32)
