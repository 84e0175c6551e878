"""Files of format 1 are read as they are, and become format 2 by the first command that writes."""

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cache.finetune import extract_finetuned
from lymphofeat.cache.pack import pack
from lymphofeat.cache.writer import CacheWriter
from lymphofeat.cohort.model import Cohort
from lymphofeat.errors import CacheError, StaleCacheError

from ..helpers.extracted import NAME, SETTINGS, features, interrupted, partial_of
from ..helpers.finetuned import ENCODER_FAMILY, SEEING, change, tiny
from ..helpers.finetuned import SETTINGS as FINETUNED
from ..helpers.format_1 import rewrite_partial, write_format_1

OLD = Path(__file__).parents[1] / "data" / "before_rooms" / "features.h5"


def test_a_file_of_an_earlier_version_is_read_and_converted(tmp_path: Path) -> None:
    path = Path(shutil.copy(OLD, tmp_path / "c.h5"))
    before = open_cache(path)
    assert before.format == 1
    kept = np.array(before.encodings["colour"].features)
    older = before.tables.patients.assign(age=before.tables.patients["age"] + 1)
    with CacheWriter(path, replace(before.tables, patients=older)) as writer:
        writer.correct_values()
    after = open_cache(path)
    assert after.format == 2
    np.testing.assert_array_equal(after.encodings["colour"].features, kept)
    assert list(after.tables.digests) == list(before.tables.digests)
    np.testing.assert_array_equal(after.folds, before.folds)


@pytest.fixture
def old(cohort: Cohort, tmp_path: Path) -> Path:
    """A cache of format 1 with frozen and fine-tuned encodings, the trained encoders beside it."""
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    extract_finetuned(cohort, path, FINETUNED)
    extract_finetuned(cohort, path, replace(FINETUNED, recipe=tiny("pooled+clinical")))
    write_format_1(tmp_path / "one.h5", path)
    path.unlink()
    shutil.rmtree(tmp_path / "c-encodings")
    return (tmp_path / "one.h5").rename(path)


def test_it_is_read_and_converted_with_the_same_bits(cohort: Cohort, old: Path) -> None:
    before = open_cache(old)
    assert before.format == 1
    kept = {name: (np.array(e.features), e.digest, e.end_to_end) for name, e in before.encodings.items()}
    summary = extract_frozen(cohort, old, SETTINGS)
    assert summary.n_before == summary.n_images
    assert open_cache(old).format == 1  # nothing was to be written
    extract_frozen(cohort, old, replace(SETTINGS, seed=1))
    after = open_cache(old)
    assert after.format == 2
    assert after.fingerprint == before.fingerprint
    assert list(after.tables.names) == list(before.tables.names)
    for name, (rows, digest, own) in kept.items():
        np.testing.assert_array_equal(after.encodings[name].features, rows)
        assert after.encodings[name].digest == digest
        if own is not None:
            np.testing.assert_array_equal(after.encodings[name].end_to_end, own)
    with h5py.File(old) as file:
        assert isinstance(file[f"encodings/{NAME}"].get("features", getlink=True), h5py.ExternalLink)


def test_it_grows(cohort: Cohort, old: Path, tmp_path: Path) -> None:
    people = cohort.patients
    grown = replace(
        cohort, patients=(*people[1:], replace(people[0], id="P99"))
    )  # another place, another name
    summary = extract_frozen(grown, old, SETTINGS)
    assert summary.n_before == summary.n_images
    assert len(open_cache(old).splits(ENCODER_FAMILY)) == 3
    fresh = tmp_path / "fresh.h5"
    extract_frozen(grown, fresh, SETTINGS)
    np.testing.assert_array_equal(features(old), features(fresh))


def test_values_that_were_corrected_before_or_after(cohort: Cohort, old: Path) -> None:
    """Format 1 knows them by one digest only; it decides until they are kept by patient."""
    extract_frozen(change(cohort, 1, count=99.5), old, SETTINGS)
    with pytest.raises(StaleCacheError, match="P1 that were corrected since"):
        open_cache(old).splits(SEEING)
    extract_frozen(cohort, old, SETTINGS)
    assert len(open_cache(old).splits(SEEING)) == 3


def test_values_that_were_corrected_under_format_1(cohort: Cohort, old: Path, tmp_path: Path) -> None:
    extract_frozen(change(cohort, 1, count=99.5), old, SETTINGS)
    stale = write_format_1(tmp_path / "stale.h5", old)
    with pytest.raises(StaleCacheError, match="clinical values that were corrected since"):
        open_cache(stale).splits(SEEING)
    extract_frozen(change(cohort, 1, count=99.5), stale, replace(SETTINGS, seed=1))
    with pytest.raises(StaleCacheError, match="clinical values that were corrected since"):
        open_cache(stale).splits(SEEING)
    extract_frozen(cohort, stale, SETTINGS)
    assert len(open_cache(stale).splits(SEEING)) == 3


def test_it_is_packed_as_it_is(old: Path, tmp_path: Path) -> None:
    packed = pack(old, tmp_path / "packed.h5")
    assert {n: e.digest for n, e in packed.encodings.items()} == {
        n: e.digest for n, e in open_cache(old).encodings.items()
    }


def test_features_that_changed_are_not_carried_over(cohort: Cohort, old: Path) -> None:
    with h5py.File(old, "r+") as file:
        file[f"encodings/{NAME}/features"][3, 2] += 1
    with pytest.raises(
        CacheError, match=f"damaged HDF5 file .the features of {NAME} are not as they were written"
    ):
        extract_frozen(cohort, old, replace(SETTINGS, seed=1))
    assert open_cache(old).format == 1


@pytest.mark.parametrize("checks", [True, False])
def test_a_partial_file_goes_on(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, checks: bool
) -> None:
    path, whole = tmp_path / "c.h5", tmp_path / "whole.h5"
    extract_frozen(cohort, whole, SETTINGS)
    interrupted(cohort, path, monkeypatch, after=4)
    rewrite_partial(partial_of(path), open_cache(whole).tables, checks=checks)
    with h5py.File(partial_of(path), "r+") as file:
        group = file[f"encodings/{NAME}"]
        group["features"][8] = 0
        group["features"][12, 5] = np.nan
    summary = extract_frozen(cohort, path, SETTINGS)
    assert summary.n_before == 10
    np.testing.assert_array_equal(features(path), features(whole))
