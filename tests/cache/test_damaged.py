"""Damaged data files and partial files, and what a kill at the very end leaves."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cache.layout import DATA_GROUP, data_folder
from lymphofeat.cohort.model import Cohort
from lymphofeat.errors import CacheError

from ..helpers.extracted import NAME, SETTINGS, features, interrupted, partial_of


def _data_file(cache: Path) -> Path:
    (path,) = data_folder(cache).glob("*.h5")
    return path


def _overwrite(path: Path, at: int, n: int) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + n] = b"\xa5" * n
    path.write_bytes(content)


@pytest.mark.parametrize("at", [600, 800, 1000, 2000, "cut"])
def test_a_data_file_that_hdf5_cannot_read_gets_a_sentence(
    cohort: Cohort, tmp_path: Path, at: int | str
) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    expected, data = features(path), _data_file(path)
    if isinstance(at, int):
        _overwrite(data, at, 64)
    else:
        data.write_bytes(data.read_bytes()[:3000])
    try:
        found = features(path)
    except CacheError as error:
        assert str(data.name) in str(error) or "damaged" in str(error)  # noqa: PT017 - or it is not read at all
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("at", range(500, 8000, 1500))
def test_a_partial_file_that_hdf5_cannot_read_gets_a_sentence(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    path = tmp_path / "c.h5"
    interrupted(cohort, path, monkeypatch)
    _overwrite(partial_of(path), at, 64)
    try:
        extract_frozen(cohort, path, SETTINGS)
    except CacheError:
        return
    extract_frozen(cohort, tmp_path / "whole.h5", SETTINGS)
    np.testing.assert_array_equal(features(path), features(tmp_path / "whole.h5"))


def test_a_damaged_digest_of_an_image_is_not_carried_into_the_data_file(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.h5"
    interrupted(cohort, path, monkeypatch)
    with h5py.File(partial_of(path), "r") as file:
        at = file[DATA_GROUP]["image"].id.get_offset()
    _overwrite(partial_of(path), at + 16 * 3, 1)
    extract_frozen(cohort, path, SETTINGS)
    with h5py.File(_data_file(path), "r") as file:
        np.testing.assert_array_equal(file[DATA_GROUP]["image"][:], open_cache(path).tables.keys)


def test_the_first_name_of_a_data_file_goes_when_a_kill_left_it(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    os.link(_data_file(path), partial_of(path))
    extract_frozen(cohort, path, SETTINGS)
    assert not partial_of(path).exists()
    assert open_cache(path).encodings[NAME].features.shape[0] == len(cohort.images)
