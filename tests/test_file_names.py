"""File names that are not UTF-8, as a ZIP from Windows leaves them: images are read under them, IDs must be text."""

import os
import sys
from pathlib import Path

import pandas as pd
import pytest

from lymphofeat.bundle import export_bundle, predict_folder
from lymphofeat.bundle.patients import Reading, read_patients
from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cohort.check import check_cohort
from lymphofeat.cohort.read import read_cohort
from lymphofeat.encoder.pixels import read_crop
from lymphofeat.errors import InputError, printable

from .helpers.commands import runner
from .helpers.tiny import tiny_cohort

NAME = os.fsdecode(b"Aufnahme_\xe4.jpg")
SHOWN = r"Aufnahme_\xe4.jpg"
SETTINGS = ExtractSettings(
    backbone="small-cnn", weights="none", seed=0, crop=64, n_folds=3, n_repeats=1, device="cpu"
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """A cohort whose first image of each labelled patient has such a name."""
    root = tiny_cohort(tmp_path / "data", 12, images=2, side=80)
    (root / "lymphofeat.toml").write_text("[images]\nsmallest = 64\n")
    for path in list((root / "trainset").glob("*/000000.jpg")):
        path.rename(path.with_name(NAME))
    return root


def test_images_under_such_names_are_read_and_told_of_in_text(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_cohort(cohort).problems == ()
    cache = tmp_path / "c.h5"
    extract_frozen(read_cohort(cohort), cache, SETTINGS)
    names = open_cache(cache).tables.names
    assert names[:2] == ["000001.jpg", SHOWN]
    assert extract_frozen(read_cohort(cohort), cache, SETTINGS).rate == 0  # the same cohort, known again
    run = runner(monkeypatch, capsys)
    assert (
        run("tune", "--cache", cache, "--study", tmp_path / "s.db", "--trials", 1, "--heads", "late").code
        == 0
    )
    explained = run("explain", "P0", "--cache", cache, "--study", tmp_path / "s.db")
    assert explained.code == 0, explained.err
    assert SHOWN in explained.out
    export_bundle(cache, tmp_path / "s.db", tmp_path / "model")
    (cohort / "trainset/trainset_true.csv").unlink()
    predict_folder(tmp_path / "model", cohort / "trainset", tmp_path / "p.csv")
    assert len(pd.read_csv(tmp_path / "p.csv")) == 9


def test_a_damaged_image_under_such_a_name_is_a_sentence(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = cohort / "trainset" / "P3" / NAME
    bad.write_bytes(b"no image")
    (problem,) = check_cohort(cohort).errors
    problem.sentence(cohort).encode()
    assert f"trainset/P3/{SHOWN}: is not an image" in problem.sentence(cohort)
    with pytest.raises(InputError, match=r"Aufnahme_\\xe4\.jpg cannot be decoded") as error:
        read_crop(bad, 64)
    str(error.value).encode()
    run = runner(monkeypatch, capsys)
    checked = run("check", cohort)
    assert checked.code == 2
    assert SHOWN in checked.out
    arguments = ("--frozen", "--weights", "none", "--seed", 0, "--crop", 64, "--folds", 3)
    extracted = run("extract", cohort, "--cache", tmp_path / "c.h5", *arguments)
    assert extracted.code == 2
    assert SHOWN in extracted.err


def test_a_patients_folder_must_be_named_by_text(cohort: Path) -> None:
    """One sentence, and none more for the row that finds its folder all the same."""
    (cohort / "trainset/P3").rename(cohort / "trainset" / os.fsdecode(b"M\xfcller"))
    for table in ("clinical_annotation.csv", "trainset/trainset_true.csv"):
        text = (cohort / table).read_text()
        (cohort / table).write_text(text.replace("P3,", "Müller,"))
    (problem,) = check_cohort(cohort).problems
    assert problem.severity == "error"
    assert r"trainset/M\xfcller: has a name that is not UTF-8" in problem.sentence(cohort)
    with pytest.raises(InputError, match="convmv"):
        read_cohort(cohort)
    (cohort / "trainset/trainset_true.csv").unlink()
    with pytest.raises(InputError, match="has a name that is not UTF-8"):
        read_patients(cohort / "trainset", None, Reading(), images=True)


def test_printable() -> None:
    assert printable(NAME) == SHOWN
    assert printable("größer") == "größer"
