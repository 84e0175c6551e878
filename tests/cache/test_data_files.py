"""The data files of a cache: packed, renamed, killed beside, damaged or lost."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from lymphofeat.cache import open_cache
from lymphofeat.cache.data_file import slots_of
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cache.finetune import extract_finetuned
from lymphofeat.cache.pack import pack
from lymphofeat.cohort.model import Cohort
from lymphofeat.errors import CacheError, StaleCacheError
from lymphofeat.studies import tune
from lymphofeat.verification.verify import verify

from ..helpers.commands import runner
from ..helpers.extracted import (
    NAME,
    SETTINGS,
    features,
    partial_of,
    some,
)
from ..helpers.finetuned import SETTINGS as FINETUNED


def test_a_packed_cache_is_the_same_and_grows(cohort: Cohort, tmp_path: Path) -> None:
    path, packed = tmp_path / "c.h5", tmp_path / "sent" / "packed.h5"
    first = some(cohort, list(range(11)))
    extract_frozen(first, path, SETTINGS)
    extract_finetuned(first, path, FINETUNED)
    pack(path, packed)
    one, other = open_cache(path), open_cache(packed)
    assert [p.name for p in packed.parent.iterdir()] == ["packed.h5"]
    for name, encoding in one.encodings.items():
        np.testing.assert_array_equal(encoding.features, other.encodings[name].features)
        assert encoding.digest == other.encodings[name].digest
        assert encoding.origins() == other.encodings[name].origins()
    summary = extract_frozen(cohort, packed, SETTINGS)
    assert summary.n_before == len(first.images)
    extract_frozen(cohort, tmp_path / "once.h5", SETTINGS)
    np.testing.assert_array_equal(features(packed), features(tmp_path / "once.h5"))


def test_a_cache_that_was_renamed_keeps_its_data_files(cohort: Cohort, tmp_path: Path) -> None:
    path, old = tmp_path / "c.h5", tmp_path / "kept.h5"
    extract_frozen(cohort, path, SETTINGS)
    before = features(path)
    path.rename(old)
    for now in (some(cohort, list(range(11))), cohort):
        extract_frozen(now, path, replace(SETTINGS, seed=1))
    np.testing.assert_array_equal(features(old), before)
    assert len(list((tmp_path / "c-encodings").iterdir())) == 2
    summary = extract_frozen(
        cohort, old, replace(SETTINGS, seed=2)
    )  # with a folder of its own for what is new
    assert summary.n_before == 0
    np.testing.assert_array_equal(features(old), before)


def test_a_kill_after_the_index_leaves_nothing_unfinished(
    cohort: Cohort, tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / "c.h5"

    def killed(cache: Path) -> None:
        if cache.exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lymphofeat.cache.writer.remove_unlinked", killed)
        with pytest.raises(KeyboardInterrupt):
            extract_frozen(cohort, path, SETTINGS)
    assert path.exists()
    assert partial_of(path).exists()
    summary = extract_frozen(cohort, path, SETTINGS)
    assert summary.n_before == summary.n_images
    assert not partial_of(path).exists()


def test_a_damaged_origin_is_unknown_and_no_other_one(cohort: Cohort, tmp_path: Path) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    (data,) = (tmp_path / "c-encodings").iterdir()
    with h5py.File(data) as file:
        slots = file["encoding/origins"][:]
    (about,) = slots_of(slots)
    assert about["device"] == "cpu"
    text = bytes(slots[0])
    for bit in range(8 * len(text)):
        damaged = bytearray(text)
        damaged[bit // 8] ^= 1 << bit % 8
        assert slots_of(np.array([bytes(damaged)], "S512")) in ([{}], [])


def test_a_lost_data_file_sets_its_encoding_aside_and_no_other(
    cohort: Cohort, tmp_path: Path, monkeypatch, capsys
) -> None:
    path, run, other = tmp_path / "c.h5", runner(monkeypatch, capsys), "small-cnn-random1-crop40"
    extract_frozen(cohort, path, SETTINGS)
    (first,) = (tmp_path / "c-encodings").iterdir()
    extract_frozen(cohort, path, replace(SETTINGS, seed=1))
    kept = first.rename(tmp_path / "elsewhere")
    cache = open_cache(path)
    assert list(cache.encodings) == [other]
    with pytest.raises(
        StaleCacheError, match=rf"features of {NAME} should be in .*which is not there; .*put the folder"
    ):
        cache.split(NAME, {0})
    assert "which is not there" in " ".join(run("info", path).out.split())
    (fault,) = verify(path).faults
    assert str(fault).startswith(
        f"{first}: is not there, and should hold the features of {NAME}; put it back"
    )
    with pytest.raises(CacheError, match="cannot be packed"):
        pack(path, tmp_path / "packed.h5")
    extract_frozen(cohort, path, replace(SETTINGS, seed=2))  # the link stays
    kept.rename(first)
    assert sorted(open_cache(path).encodings) == [NAME, other, "small-cnn-random2-crop40"]
    before = features(path)
    first.unlink()
    assert extract_frozen(cohort, path, SETTINGS).n_before == 0  # as the sentence says
    np.testing.assert_array_equal(features(path), before)


def test_a_cache_without_any_data_file_says_so_and_is_made_again(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    folds = open_cache(path).folds
    for data in (tmp_path / "c-encodings").iterdir():
        data.unlink()
    with pytest.raises(StaleCacheError, match="which is not there"):
        tune(path, tmp_path / "s.db", n_trials=1, heads=["logistic"])
    extract_frozen(cohort, path, SETTINGS)
    np.testing.assert_array_equal(open_cache(path).folds, folds)
    assert list(open_cache(path).encodings) == [NAME]
