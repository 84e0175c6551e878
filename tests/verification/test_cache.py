"""A cache against itself, its images, and what its encoders compute."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from lymphofeat.cache import open_cache
from lymphofeat.cache.passes import extract
from lymphofeat.verification.verify import verify

from ..helpers.caches import frozen_cache
from ..helpers.tiny import tiny_cohort


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cohort and a cache of it: an untrained network, and measured cells."""
    folder = tmp_path_factory.mktemp("made")
    tiny_cohort(folder / "cohort", n=8, images=2)
    network = {"backbone": "small-cnn", "weights": "none", "seed": 3}
    extract(folder / "cohort", folder / "c.h5", frozen=True, crop=32, batch_size=4, n_folds=3, **network)
    extract(folder / "cohort", folder / "c.h5", crop=96, n_folds=3)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "made"))


def lines(found: object) -> str:
    return "\n".join([*found.checked, *found.unchecked, *(fault.sentence for fault in found.faults)])


def test_a_whole_cache_has_no_fault(made: Path) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    found = verify(made / "c.h5", sample=5)
    assert found.faults == ()
    assert found.unchecked == ()
    names = list(open_cache(made / "c.h5").encodings)
    assert len(names) == 2
    for name in names:
        assert f"{name}: 5 images computed again, equal" in lines(found)
        assert f"{name}: features of 16 images, as written" in lines(found)
    assert f"16 of 16 images in {made / 'cohort'}" in lines(found)
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


def test_an_image_that_was_changed_is_named(folder: Path) -> None:
    images = sorted((folder / "cohort").rglob("*.jpg"))
    shutil.copy(
        images[0], images[3]
    )  # which the cache knows, of another patient: not these bytes, and no unknown ones
    content = bytearray(images[1].read_bytes())
    content[-20] ^= 1
    images[1].write_bytes(content)
    images[2].unlink()
    found = verify(folder / "c.h5", cohort=folder / "cohort", sample=99)
    assert [fault.path for fault in found.faults] == [images[1]]
    assert "restore the file, or run `lymphofeat extract`" in found.faults[0].way_out
    assert "3 images of the cache are not in" in lines(found)
    assert "13 images computed again" in lines(found)


def test_where_the_images_are_not_it_is_said(folder: Path, made: Path) -> None:
    shutil.rmtree(folder / "cohort")
    found = verify(folder / "c.h5", cohort=folder / "cohort", sample=2)
    assert found.sound
    assert f"{folder / 'cohort'} is not there; name their cohort with --cohort FOLDER" in lines(found)
    assert "No image was computed again" in lines(found)
    imported = verify(frozen_cache(folder / "imported.h5", n=12, n_test=2), sample=2)
    assert imported.sound
    assert "the cache does not know them" in lines(imported)


def test_features_of_other_weights_are_found_by_the_sample(folder: Path) -> None:
    """As if the features had been wrong before their digest was made."""
    from lymphofeat.cache.partial import features_digest

    with h5py.File(folder / "c.h5", "r+") as file:
        group = next(g for name, g in file["encodings"].items() if "morphology" not in name)
        values = group["features"][:]
        values[5] *= 1.01
        group["features"][:] = values
        group.attrs["digest"] = features_digest(values)
    found = verify(folder / "c.h5", sample=99)
    [fault] = found.faults
    assert "image 5 (" in fault.what
    assert "000001.jpg) has other features than its encoder computes now" in fault.what


def test_any_byte_of_the_features(folder: Path) -> None:
    rng, path = np.random.default_rng(0), folder / "c.h5"
    with h5py.File(path, "r") as file:
        places = {name: (g["features"].id.get_offset(), g["features"].nbytes if hasattr(g["features"], "nbytes")
                         else g["features"].size * 4) for name, g in file["encodings"].items()}  # fmt: skip
    whole = path.read_bytes()
    for name, (start, size) in places.items():
        for at in start + rng.integers(0, size, 20):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << int(rng.integers(8))]) + whole[at + 1 :])
            assert f"the features of {name} are not as they were written" in lines(verify(path)), at
