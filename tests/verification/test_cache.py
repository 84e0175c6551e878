"""A cache against itself, its images, and what its encoders compute."""

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from lymphofeat.cache import open_cache
from lymphofeat.cache.pack import pack
from lymphofeat.cache.passes import extract
from lymphofeat.cache.writer import CacheWriter
from lymphofeat.progress import Silent
from lymphofeat.verification.encodings import verify_encoding
from lymphofeat.verification.findings import Findings, Verification
from lymphofeat.verification.recompute import Recomputation
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


def lines(found: Verification) -> str:
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
        assert f"{name}: features of 16 images in " in lines(found)
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
    """As if the features had been wrong before any digest was made of them."""
    cache = open_cache(folder / "c.h5")
    encoding = next(e for name, e in cache.encodings.items() if "morphology" not in name)
    features = np.array(encoding.features)
    features[5] *= 1.01
    with CacheWriter(cache.path, cache.tables, force=True) as writer:
        partial = writer.begin(encoding.spec, anew=True)
        for unit in partial.pending:
            partial.write(unit, features[partial.rows(unit)])
        writer.finish(partial, made=encoding.made)
    found = verify(folder / "c.h5", sample=99, cohort=folder / "cohort")
    [fault] = found.faults
    assert "image 5 (" in fault.what
    assert "has other features than its encoder computes now" in fault.what


def flipped(path: Path, at: int, bit: int) -> None:
    """Flip a bit of a file in a new file of its name, since the one there may be mapped."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.unlink()
    path.write_bytes(content)


def parts_of(path: Path) -> dict[str, tuple[int, int]]:
    """Where the parts of a data file lie: name → offset, bytes."""
    with h5py.File(path, "r") as file:
        group = file["encoding"]
        return {
            name: (group[name].id.get_offset(), int(group[name].id.get_storage_size()))
            for name in ("features", "quality", "origin", "checks", "origins", "image")
            if name in group
        }


def test_any_byte_of_the_rows_their_checksums_and_their_images(folder: Path) -> None:
    rng, path = np.random.default_rng(0), folder / "c.h5"
    for name, encoding in open_cache(path).encodings.items():
        place, whole = encoding.place, encoding.place.read_bytes()
        parts = parts_of(place)
        assert ("quality" in parts) == ("morphology" in name)
        for part, (start, size) in parts.items():
            for at in rng.integers(0, size, 5 if part == "features" else 3):
                flipped(place, start + int(at), int(rng.integers(8)))
                findings = Findings(Silent())
                cache = open_cache(path)
                bad = verify_encoding(cache, cache.encodings[name], findings)
                assert [fault.path for fault in findings.faults] == [place], (part, at)
                assert bool(bad) == (part in ("features", "quality", "origin", "checks")), (part, at)
                place.unlink()
                place.write_bytes(whole)


def test_a_data_file_that_is_not_linked_is_told(folder: Path) -> None:
    place = next(iter(open_cache(folder / "c.h5").encodings.values())).place
    shutil.copy(place, place.with_name("left.0123456789ab.h5"))
    found = verify(folder / "c.h5")
    assert found.sound
    assert "not part of a cache (left.0123456789ab.h5); the next `lymphofeat extract`" in lines(found)


def test_any_byte_of_a_data_file_and_of_the_index(folder: Path) -> None:
    """HDF5's own structures among them; a file that cannot be opened is a fault as well."""
    rng, path = np.random.default_rng(1), folder / "c.h5"
    places = [path, *(encoding.place for encoding in open_cache(path).encodings.values())]
    for place in places:
        whole = place.read_bytes()
        for at in rng.integers(0, len(whole), 25).tolist():
            flipped(place, at, int(rng.integers(8)))
            assert not verify(path, cohort=folder / "none").sound, (place, at)
            place.unlink()
            place.write_bytes(whole)
        for size in (0, 100, len(whole) // 2, len(whole) - 1):
            place.unlink()
            place.write_bytes(whole[:size])
            assert not verify(path, cohort=folder / "none").sound, (place, size)
        place.unlink()
        assert place == path or not verify(path).sound
        place.write_bytes(whole)
    assert verify(path).sound


def test_bad_blocks_are_computed_again_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, computed = folder / "c.h5", []
    before = open_cache(path)
    expected = {name: (np.array(e.features), e.digest) for name, e in before.encodings.items()}
    for encoding in before.encodings.values():
        flipped(encoding.place, parts_of(encoding.place)["features"][0] + 3, 4)
    call = Recomputation.__call__

    def counting(self: Recomputation, images: list[Path], progress: object) -> object:
        computed.append(len(images))
        return call(self, images, progress)

    monkeypatch.setattr(Recomputation, "__call__", counting)
    assert len(verify(path).faults) == 2
    assert computed == []
    found = verify(path, repair=True, cohort=folder / "cohort", sample=3)
    assert found.sound, lines(found)
    assert len(found.repaired) == 2
    assert all("the former features bit by bit" in line for line in found.repaired)
    assert sorted(computed[:2]) == [4, 16]  # a block each: of 4 images, and of 64
    after = open_cache(path)
    assert after.default_encoder_family == before.default_encoder_family
    for name, encoding in after.encodings.items():
        np.testing.assert_array_equal(encoding.features, expected[name][0])
        assert encoding.digest == expected[name][1]
        assert encoding.place != before.encodings[name].place
        assert encoding.made == before.encodings[name].made
        assert not before.encodings[name].place.exists()
    assert verify(path).sound
    assert not list(folder.glob("*.partial"))


def test_what_cannot_be_repaired_stays_as_it_is(folder: Path) -> None:
    path = folder / "c.h5"
    encoding = next(iter(open_cache(path).encodings.values()))
    flipped(encoding.place, parts_of(encoding.place)["features"][0] + 3, 4)
    shutil.rmtree(folder / "cohort")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".lock")}
    found = verify(path, repair=True, cohort=folder / "cohort")
    assert len(found.faults) == 1
    assert f"{encoding.name} was not repaired: " in lines(found)
    assert "name the cohort with --cohort FOLDER" in lines(found)
    assert {
        p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".lock")
    } == before


def test_a_packed_cache_and_one_that_grows(folder: Path) -> None:
    packed = pack(folder / "c.h5", folder / "packed.h5").path
    found = verify(packed)
    assert found.sound, lines(found)
    assert "tables and descriptions, as written" in lines(found)
    for at in np.random.default_rng(0).integers(0, packed.stat().st_size, 10).tolist():
        flipped(packed, at, 3)
        assert not verify(packed).sound, at
        flipped(packed, at, 3)
    cache = open_cache(folder / "c.h5")
    known = next(e for name, e in cache.encodings.items() if "morphology" not in name)
    spec = replace(known.spec, name="growing", encoder_family="growing")
    with CacheWriter(cache.path, cache.tables) as writer:
        partial = writer.begin(spec)
        first, second, *_ = partial.pending
        for unit in (first, second):
            rows = partial.rows(unit)
            partial.write(unit, np.ones((len(rows), spec.dim), np.float32))
        partial.flush()
        partial.close()
        path = partial.path
    flipped(path, parts_of(path)["features"][0], 0)
    found = verify(folder / "c.h5")
    assert found.sound
    assert (
        "c.h5.growing.partial: 1 of 4 blocks are there, as written; 1 more did not reach the disk"
        in lines(found)
    )
