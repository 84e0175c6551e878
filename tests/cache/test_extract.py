"""`extract` of a frozen encoder: what the summary says and the file holds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cohort.model import Cohort
from lymphofeat.errors import InputError

from ..helpers.extracted import EMULATED, NAME, SETTINGS, features, has_bfloat16
from ..helpers.progress import Heard


def test_the_summary_and_the_file_agree(cohort: Cohort, tmp_path: Path) -> None:
    summary = extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    cache = open_cache(tmp_path / "c.h5")
    assert (summary.n_images, summary.n_before, summary.dim) == (len(cohort.images), 0, 128)
    assert summary.untrained
    assert summary.rate > 0
    assert summary.encoding == NAME
    attrs = cache.encodings[NAME].attrs
    assert attrs["preprocessing"]["crop"] == 40
    assert attrs["weights"] == "untrained, random from seed 0"
    assert cache.tables.names == [p.name for p in cohort.images]
    assert cache.encodings[NAME].blind_to is None


def test_again_is_nothing_to_do(cohort: Cohort, tmp_path: Path) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    before = (tmp_path / "c.h5").read_bytes()
    summary = extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    assert summary.n_before == summary.n_images
    assert (tmp_path / "c.h5").read_bytes() == before


def test_a_second_encoding_joins_the_first(cohort: Cohort, tmp_path: Path) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    first = features(tmp_path / "c.h5")
    summary = extract_frozen(cohort, tmp_path / "c.h5", replace(EMULATED, seed=1))
    assert 0 < summary.bfloat16_error < 0.02
    cache = open_cache(tmp_path / "c.h5")
    assert cache.default_encoder_family == "small-cnn-random1-crop40-bfloat16"
    np.testing.assert_array_equal(features(tmp_path / "c.h5"), first)


def test_bfloat16_features_are_near_the_float32_ones(cohort: Cohort, tmp_path: Path) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    extract_frozen(cohort, tmp_path / "c.h5", EMULATED)
    exact, rounded = features(tmp_path / "c.h5"), features(tmp_path / "c.h5", f"{NAME}-bfloat16")
    assert 0 < np.linalg.norm(exact - rounded) < 0.02 * np.linalg.norm(exact)


def test_bfloat16_is_float32_where_the_machine_has_none(cohort, tmp_path, monkeypatch) -> None:
    path = tmp_path / "c.h5"
    has_bfloat16(monkeypatch, possible=False)
    heard = Heard()
    assert extract_frozen(cohort, path, replace(SETTINGS, dtype="bfloat16"), progress=heard).encoding == NAME
    assert "no bfloat16 instructions" in heard.notes[0]
    assert "--emulate-bfloat16 insists" in heard.notes[0]
    assert open_cache(path).encodings[NAME].attrs["dtype"] == "float32"
    again = extract_frozen(cohort, path, replace(SETTINGS, dtype="bfloat16"))
    assert again.n_before == again.n_images
    insisted = extract_frozen(cohort, path, EMULATED)
    assert insisted.encoding == f"{NAME}-bfloat16"
    assert insisted.slow_bfloat16
    assert open_cache(path).encodings[insisted.encoding].attrs["dtype"] == "bfloat16"
    there = extract_frozen(cohort, path, replace(SETTINGS, dtype="bfloat16"))  # as of a machine that has it
    assert (there.encoding, there.n_before) == (insisted.encoding, there.n_images)


def test_bfloat16_is_bfloat16_where_the_machine_has_it(cohort, tmp_path, monkeypatch) -> None:
    has_bfloat16(monkeypatch, possible=True)
    summary = extract_frozen(cohort, tmp_path / "c.h5", replace(SETTINGS, dtype="bfloat16"))
    assert summary.encoding == f"{NAME}-bfloat16"
    assert not summary.slow_bfloat16


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"dtype": "float16"}, "use one of auto, float32, bfloat16"), ({"crop": 8}, "crop is 8; it must be at least 32"),
     ({"batch_size": 0}, "batch_size is 0"), ({"crop": 64}, "smaller than --crop 64"),
     ({"n_folds": 9}, "9 folds need at least 9 reactive persons")],
)  # fmt: skip
def test_impossible_settings_get_a_sentence(cohort, tmp_path, changes, message) -> None:
    with pytest.raises(InputError, match=message):
        extract_frozen(cohort, tmp_path / "c.h5", replace(SETTINGS, **changes))
