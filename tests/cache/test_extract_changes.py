"""`extract` on a cache of another state of the cohort: refused, corrected, or replaced by force."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from lymphofeat.cache import changes, extract, open_cache, tables
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cache.tables import make_folds
from lymphofeat.cohort.model import Cohort
from lymphofeat.errors import StaleCacheError

from ..helpers.extracted import (
    NAME,
    SETTINGS,
    interrupted,
    with_patient,
)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"fold_seed": 1, "seed": 5}, r"folds were made with another seed \(0, now 1\)"),
     ({"n_folds": 4}, r"folds were made with another number of folds \(3, now 4\)"),
     ({"n_repeats": 4}, r"folds were made with another number of repeats \(2, now 4\)")],
)  # fmt: skip
def test_other_folds_are_refused(cohort: Cohort, tmp_path: Path, changes: dict, reason: str) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    with pytest.raises(StaleCacheError, match=reason):
        extract_frozen(cohort, tmp_path / "c.h5", replace(SETTINGS, **changes))


def test_a_corrected_date_of_birth_that_joins_two_records_is_named(cohort: Cohort, tmp_path: Path) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    folds = open_cache(tmp_path / "c.h5").folds
    other = next(i for i in range(4, 12) if (folds[i] != folds[3]).any())
    twin = with_patient(cohort, other, birth=cohort.patients[3].birth, sex=cohort.patients[3].sex)
    with pytest.raises(StaleCacheError, match=f"patients P3 and P{other} may be one person, .*--force"):
        extract_frozen(twin, tmp_path / "c.h5", SETTINGS)
    alone = with_patient(cohort, 5, birth=date(1931, 4, 5))
    summary = extract_frozen(alone, tmp_path / "c.h5", SETTINGS)  # nobody's folds change
    assert summary.n_before == summary.n_images
    assert open_cache(tmp_path / "c.h5").patients["birth"].iloc[5] == "1931-04-05"


def test_folds_drawn_by_another_version_stay_in_use(cohort, tmp_path, monkeypatch) -> None:
    """As when scikit-learn, or the rule for who may be one person, changes."""
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    before = open_cache(path)
    monkeypatch.setattr(
        extract, "make_folds", lambda *args: make_folds(*args[:3], seed=99)[:, ::-1].astype(np.int8)
    )
    assert not np.array_equal(extract.make_folds(before.tables.patients, 3, 2, 0), before.folds)
    extract_frozen(with_patient(cohort, 1, count=99.5), path, SETTINGS)
    extract_frozen(cohort, path, replace(SETTINGS, seed=1))
    cache = open_cache(path)
    assert len(cache.encodings) == 2
    np.testing.assert_array_equal(cache.folds, before.folds)


def test_folds_that_part_one_person_do_not_stay(cohort, tmp_path, monkeypatch) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    folds = open_cache(path).folds[:, 0]
    other = next(i for i in range(1, 12) if folds[i] != folds[0])

    def persons(table: pd.DataFrame) -> np.ndarray:
        number = np.arange(len(table))
        number[other] = 0
        return number

    monkeypatch.setattr(changes, "persons", persons)
    monkeypatch.setattr(tables, "persons", persons)
    with pytest.raises(StaleCacheError, match=f"patients P0 and P{other} may be one person"):
        extract_frozen(cohort, path, SETTINGS)


def test_another_reference_date_of_ages_is_not_mixed_in(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    assert open_cache(path).tables.reference == "2020-01-01"
    later = replace(cohort, reference=date(2024, 6, 1))
    with pytest.raises(
        StaleCacheError, match="ages counted to 2020-01-01, and here they are counted to 2024-06-01"
    ):
        extract_frozen(later, path, replace(SETTINGS, seed=1))
    extract_frozen(later, path, replace(SETTINGS, seed=1), force=True)
    cache = open_cache(path)
    assert cache.tables.reference == "2024-06-01"
    assert len(cache.encodings) == 2


def test_a_cache_without_a_reference_date_opens_and_is_given_one(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    with h5py.File(path, "r+") as file:
        del file.attrs["age_reference"]
    assert open_cache(path).tables.reference == ""
    summary = extract_frozen(cohort, path, SETTINGS)
    assert summary.n_before == summary.n_images
    assert open_cache(path).tables.reference == "2020-01-01"


def test_force_draws_folds_anew_and_keeps_what_saw_no_label(cohort: Cohort, tmp_path: Path) -> None:
    path, other = tmp_path / "c.h5", replace(SETTINGS, seed=1)
    extract_frozen(cohort, path, SETTINGS)
    before = open_cache(path)
    extract_frozen(cohort, path, replace(other, fold_seed=5), force=True)
    cache = open_cache(path)
    assert cache.encodings[NAME].digest == before.encodings[NAME].digest
    assert cache.default_encoder_family == "small-cnn-random1-crop40"
    assert cache.fold_seed == 5


def test_another_torch_or_device_makes_nothing_stale(cohort, tmp_path, monkeypatch) -> None:
    path = tmp_path / "c.h5"
    interrupted(cohort, path, monkeypatch)
    before = str(torch.__version__)
    monkeypatch.setattr("torch.__version__", "9.9.9")
    summary = extract_frozen(cohort, path, SETTINGS)
    assert summary.n_before == 15
    encoding = open_cache(path).encodings[NAME]
    assert encoding.attrs["torch"] == before
    assert [(about["torch"], n) for about, n in encoding.origins()] == [
        (before, 15),
        ("9.9.9", summary.n_images - 15),
    ]
    with h5py.File(path, "r+") as file:  # as an accelerator would have made it
        attrs = file[f"encodings/{NAME}"].attrs
        attrs["spec"] = attrs["spec"].replace('"device": "cpu"', '"device": "cuda"')
    assert open_cache(path).encodings[NAME].attrs["device"] == "cuda"
    summary = extract_frozen(cohort, path, SETTINGS)
    assert summary.n_before == summary.n_images


def test_corrected_clinical_values_reach_the_cache_without_encoding_again(cohort, tmp_path) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    old = open_cache(path)
    summary = extract_frozen(with_patient(cohort, 1, count=99.5), path, SETTINGS)
    new = open_cache(path)
    assert summary.n_before == summary.n_images
    assert new.patients["lymphocyte_count"].iloc[1] == 99.5
    assert new.fingerprint != old.fingerprint  # a study of the old values will notice
    assert new.encodings[NAME].digest == old.encodings[NAME].digest
