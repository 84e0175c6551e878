"""`--dtype auto`: the faster format where bfloat16 is possible, and nothing is computed twice."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lymphofeat.cache import arithmetic, extract, open_cache
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cache.finetune import extract_finetuned
from lymphofeat.cache.trainings import encoders_folder
from lymphofeat.cohort.model import Cohort

from ..helpers import finetuned
from ..helpers.extracted import NAME, SETTINGS, features, has_bfloat16, interrupted
from ..helpers.progress import Heard

BFLOAT16 = f"{NAME}-bfloat16"


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch):
    """Let one format win on a machine that has both."""

    def decide(dtype: str) -> None:
        has_bfloat16(monkeypatch, possible=True)
        seconds = {name: 0.01 if name == dtype else 0.02 for name in ("float32", "bfloat16")}
        for module in ("extract", "family_dtype"):
            monkeypatch.setattr(f"lymphofeat.cache.{module}.seconds_per_image", lambda *_: seconds)

    return decide


def never(*_: object) -> None:
    raise AssertionError("timed, although nothing is to be chosen")


def test_auto_is_the_default_and_float32_where_there_is_nothing_to_choose(
    cohort, tmp_path, monkeypatch
) -> None:
    assert ExtractSettings().dtype == SETTINGS.dtype == "auto"
    has_bfloat16(monkeypatch, possible=False)
    monkeypatch.setattr(extract, "seconds_per_image", never)
    heard = Heard()
    summary = extract_frozen(cohort, tmp_path / "a.h5", SETTINGS, progress=heard)
    assert summary.encoding == NAME
    assert heard.notes == []
    extract_frozen(cohort, tmp_path / "b.h5", replace(SETTINGS, dtype="float32"))
    np.testing.assert_array_equal(features(tmp_path / "a.h5"), features(tmp_path / "b.h5"))


@pytest.mark.parametrize(("dtype", "name"), [("float32", NAME), ("bfloat16", BFLOAT16)])
def test_the_faster_is_taken_recorded_and_said(cohort, tmp_path, faster, dtype: str, name: str) -> None:
    faster(dtype)
    heard = Heard()
    assert extract_frozen(cohort, tmp_path / "c.h5", SETTINGS, progress=heard).encoding == name
    assert open_cache(tmp_path / "c.h5").encodings[name].attrs["dtype"] == dtype
    assert (
        f"ms in float32 and {10.0 if dtype == 'bfloat16' else 20.0} ms in bfloat16 here, so {dtype}"
        in heard.notes[0]
    )


def test_this_machine_is_timed(cohort: Cohort, tmp_path: Path, monkeypatch) -> None:
    has_bfloat16(monkeypatch, possible=True)
    heard = Heard()
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS, progress=heard)
    assert heard.notes[0].startswith("An image takes ")


@pytest.mark.parametrize("possible", [True, False])
def test_an_encoding_in_the_other_format_is_not_computed_again(
    cohort, tmp_path, faster, monkeypatch, possible
) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, replace(SETTINGS, dtype="bfloat16", emulate_bfloat16=True))
    faster("float32")
    has_bfloat16(monkeypatch, possible=possible)
    monkeypatch.setattr(extract, "seconds_per_image", never)
    summary = extract_frozen(cohort, path, SETTINGS)
    assert (summary.encoding, summary.n_before) == (BFLOAT16, summary.n_images)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_was_begun_goes_on_in_its_format(cohort, tmp_path, faster, monkeypatch, dtype: str) -> None:
    path = tmp_path / "c.h5"
    begun = replace(SETTINGS, dtype=dtype, emulate_bfloat16=True)
    interrupted(cohort, path, monkeypatch, settings=begun)
    faster("float32" if dtype == "bfloat16" else "bfloat16")
    summary = extract_frozen(cohort, path, SETTINGS)
    assert summary.n_before > 0
    assert summary.encoding == (NAME if dtype == "float32" else BFLOAT16)
    extract_frozen(cohort, tmp_path / "whole.h5", begun)
    np.testing.assert_array_equal(
        features(path, summary.encoding), features(tmp_path / "whole.h5", summary.encoding)
    )


def test_force_chooses_anew(cohort: Cohort, tmp_path: Path, faster) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", replace(SETTINGS, dtype="float32"))
    faster("bfloat16")
    assert extract_frozen(cohort, tmp_path / "c.h5", SETTINGS, force=True).encoding == BFLOAT16


@pytest.mark.parametrize("possible", [True, False])
def test_without_the_instructions_a_partial_file_of_another_machine_is_not_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, *, possible: bool
) -> None:
    has_bfloat16(monkeypatch, possible=possible)
    chosen = arithmetic.chosen_dtype([], ["bfloat16"], torch.device("cpu"), never, Heard())
    assert chosen == ("bfloat16" if arithmetic.has_fast_bfloat16(torch.device("cpu")) else "float32")
    assert chosen == ("bfloat16" if possible else "float32")


@pytest.mark.parametrize("finished", [True, False])
def test_encoders_keep_the_format_that_the_first_was_trained_in(
    cohort, tmp_path, faster, *, finished: bool
) -> None:
    path, before = (
        tmp_path / "c.h5",
        replace(finetuned.SETTINGS, extract=replace(finetuned.BASE, dtype="float32")),
    )
    if finished:
        extract_finetuned(cohort, path, before)
    else:
        with pytest.raises(KeyboardInterrupt):
            extract_finetuned(cohort, path, before, progress=finetuned.Heard(encoders_folder(path)))
    faster("bfloat16")
    summary = extract_finetuned(cohort, path, finetuned.SETTINGS)
    assert summary.encoder_family == finetuned.ENCODER_FAMILY
    assert summary.n_before == (3 if finished else 0)


def test_encoders_are_trained_in_the_faster_format(cohort: Cohort, tmp_path: Path, faster) -> None:
    faster("bfloat16")
    summary = extract_finetuned(cohort, tmp_path / "c.h5", finetuned.SETTINGS)
    assert summary.encoder_family == f"{finetuned.ENCODER_FAMILY}-bfloat16"
