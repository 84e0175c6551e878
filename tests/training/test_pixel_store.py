from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lymphofeat.cohort.fingerprint import image_digests
from lymphofeat.encoder.pixels import read_block, read_crop
from lymphofeat.errors import InputError
from lymphofeat.training.pixel_store import open_pixels

from ..helpers.simulated import noise_cohort


def picture(path: Path, height: int, width: int) -> np.ndarray:
    pixels = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@given(height=st.integers(32, 70), width=st.integers(32, 70), margin=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_the_centre_of_what_is_stored_is_the_crop_that_inference_sees(
    tmp_path_factory, height: int, width: int, margin: int
) -> None:
    folder = tmp_path_factory.mktemp("store")
    picture(folder / "a.png", height, width)
    store = open_pixels([folder / "a.png"], ["0a"], folder, 32 + 2 * margin, crop=32, workers=1)
    centre = store.pixels[0, margin : margin + 32, margin : margin + 32]
    np.testing.assert_array_equal(centre, read_crop(folder / "a.png", 32))
    np.testing.assert_array_equal(store.centre([0], 32), read_block([folder / "a.png"], 32))


def test_a_small_image_is_continued_by_its_mirror_image(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "a.png", 40, 60)
    store = open_pixels([tmp_path / "a.png"], ["0a"], tmp_path, 50, crop=32)
    np.testing.assert_array_equal(store.pixels[0, 5:45], pixels[:, 5:55])
    np.testing.assert_array_equal(store.pixels[0, :5], pixels[5:0:-1, 5:55])
    np.testing.assert_array_equal(store.pixels[0, 45:], pixels[-2:-7:-1, 5:55])


def test_all_images_in_order_however_many_workers(tmp_path: Path) -> None:
    cohort = noise_cohort(tmp_path / "cohort", n_train=20)
    digests = image_digests(cohort.images)
    stores = [open_pixels(cohort.images, digests, tmp_path / str(n), 40, workers=n) for n in (1, 3)]
    expected = np.stack([read_crop(path, 40) for path in cohort.images])
    for store in stores:
        np.testing.assert_array_equal(store.pixels, expected)
        assert len(store) == len(cohort.images)
        assert store.side == 40
    rows = [70, 0, 33, 33]
    np.testing.assert_array_equal(stores[0].read(rows).numpy(), expected[rows])


def test_changed_images_make_another_file(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png", 32, 32 + ord(name) % 2)
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    names = [
        open_pixels(f, d, tmp_path, 32).rows for f, d in ((files, ["0", "1"]), (files[::-1], ["1", "0"]))
    ]
    np.testing.assert_array_equal(names[0].array[0], names[1].array[1])
    assert len(list(tmp_path.glob("pixels-32-*.u8"))) == 2


def test_unusable_images_get_a_sentence_and_the_rest_is_kept(tmp_path: Path) -> None:
    cohort = noise_cohort(tmp_path / "cohort", n_train=20)
    digests, bad = image_digests(cohort.images), cohort.images[70]
    good = bad.read_bytes()
    bad.write_bytes(good[:100])
    with pytest.raises(InputError, match=f"{bad.name} cannot be decoded"):
        open_pixels(cohort.images, digests, tmp_path, 40, workers=1)
    assert list(tmp_path.glob("*.u8")) == []
    bad.write_bytes(good)
    for path in cohort.images[:64]:  # two blocks of 32 are there; their files are not needed again
        path.unlink()
    store = open_pixels(cohort.images, digests, tmp_path, 40)
    np.testing.assert_array_equal(store.pixels[64:], [read_crop(path, 40) for path in cohort.images[64:]])
    assert store.pixels[:64].any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize(("crop", "least"), [(48, 48), (None, 45)])
def test_too_small_an_image_is_refused(tmp_path: Path, crop: int | None, least: int) -> None:
    picture(tmp_path / "a.png", 40, 90)
    with pytest.raises(InputError, match=rf"a\.png is 90 × 40 pixels, smaller than --crop {least}"):
        open_pixels([tmp_path / "a.png"], ["0a"], tmp_path, 88, crop=crop)


def test_arguments_that_do_not_fit_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 digests for 0 images"):
        open_pixels([], ["0a"], tmp_path, 32)
    with pytest.raises(InputError, match="no images"):
        open_pixels([], [], tmp_path, 32)
