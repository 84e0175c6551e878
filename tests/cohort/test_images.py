"""One look into an image file: the facts against NumPy, and any bytes without a traceback."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lymphofeat.cohort.images import inspect

from ..helpers.tiny import tiny_cohort


def test_facts_equal_those_of_the_decoded_array(tmp_path: Path) -> None:
    tiny_cohort(tmp_path, n=4, images=1)
    path = tmp_path / "trainset/P1/000000.jpg"
    facts = inspect(path)
    with Image.open(path) as image:
        pixels = np.asarray(image, dtype=np.float64)
    assert (facts.width, facts.height, facts.mode, facts.failure) == (128, 128, "RGB", "")
    assert facts.size == path.stat().st_size
    np.testing.assert_allclose(facts.mean, pixels.mean(axis=(0, 1)))
    np.testing.assert_allclose(facts.deviation, pixels.std(axis=(0, 1)))


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", "png"), ("RGBA", "png"), ("P", "png"), ("1", "bmp"), ("CMYK", "tif")]
)
def test_other_modes_are_measured_as_rgb(mode: str, suffix: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).convert(mode).save(path)
    facts = inspect(path)
    with Image.open(path) as image:
        rgb = np.asarray(image.convert("RGB"), dtype=np.float64)
    assert facts.mode == mode
    np.testing.assert_allclose(facts.mean, rgb.mean(axis=(0, 1)))


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((16, 16), 0x8042, dtype=np.uint16)).save(path)
    facts = inspect(path)
    assert facts.mode == "I;16"
    assert facts.mean == pytest.approx((0x8042 / 256,) * 3)


def test_a_slide_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "slide.png"
    Image.new("1", (10_000, 6_000)).save(path)
    assert inspect(path).failure == "is 10000 × 6000 pixels, too large for a cell"


@pytest.fixture(scope="module")
def encoded() -> dict[str, bytes]:
    """A small image in each format."""
    pixels = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8))
    files = {}
    for kind in ("JPEG", "PNG", "TIFF", "BMP"):
        buffer = io.BytesIO()
        pixels.save(buffer, kind)
        files[kind] = buffer.getvalue()
    return files


@given(st.sampled_from(["JPEG", "PNG", "TIFF", "BMP"]), st.data())
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bytes_fail_with_words_or_decode(
    encoded: dict[str, bytes], tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    content = bytearray(encoded[kind])
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, min(len(content), 400) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.img"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's doubts about metadata
        facts = inspect(path)
    assert facts.size == path.stat().st_size
    assert facts.failure or (facts.width > 0 and facts.mode and np.isfinite(facts.deviation).all())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_every_cut_is_found(kind: str, encoded: dict[str, bytes], tmp_path: Path) -> None:
    content = encoded[kind]
    path = tmp_path / "a.img"
    for keep in range(0, len(content) - 40, 7):
        path.write_bytes(content[:keep])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert inspect(path).failure, keep
