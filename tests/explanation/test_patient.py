"""Explaining a patient of a study: by a blind model, the one whose probability the study holds."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lymphofeat import cli
from lymphofeat.cache import open_cache
from lymphofeat.errors import InputError, StudyError
from lymphofeat.explanation import explain
from lymphofeat.final.submit import submit
from lymphofeat.studies import tune

from ..helpers.caches import frozen_cache, tuned_cache


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("explain")
    cache = frozen_cache(folder / "c.h5")
    tune(cache, folder / "studies" / "s.db", trials=5, heads=["logistic"], inputs=["both", "image"])
    return cache, folder / "studies" / "s.db"


def test_a_labelled_patient_has_the_probability_of_the_study(made: tuple[Path, Path]) -> None:
    cache = open_cache(made[0])
    for row in (0, 17):
        found = explain(*made, str(cache.patients["id"].iloc[row]))
        best = found.trial
        assert found.fold == cache.folds[row, 0]
        assert found.n_trained_on == int((best.folds[:, 0] != found.fold).sum())
        assert found.probability == pytest.approx(best.scores.probabilities[row, 0], abs=1e-9)
        assert (found.probability >= found.threshold) == best.decisions[row, 0]
        assert found.label == cache.labels[row]
        assert found.parts.base + found.parts.image + found.parts.clinical == pytest.approx(found.parts.logit)


def test_every_image_has_its_own_name_and_share(made: tuple[Path, Path]) -> None:
    cache = open_cache(made[0])
    row = int(cache.patients["n_images"].argmax())
    found = explain(*made, str(cache.patients["id"].iloc[row]))
    lengths = cache.patients["n_images"].to_numpy()
    first = lengths[:row].sum()
    assert sorted(found.images["image"]) == sorted(cache.tables.names[first : first + lengths[row]])
    assert found.images["contribution"].is_monotonic_decreasing
    if found.method == "exact":
        assert found.images["contribution"].sum() == pytest.approx(found.parts.image, abs=1e-6)


def test_a_test_patient_has_the_probability_that_is_submitted(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    summary = submit(*made, tmp_path / "out.csv")
    found = explain(*made, summary.ids[0])
    assert found.fold is None
    assert found.label == -1
    assert found.n_trained_on == 40
    assert (found.probability, found.threshold) == pytest.approx(
        (summary.probabilities[0], summary.threshold)
    )


def test_encoders_trained_per_fold_explain_by_the_blind_one_and_by_their_mean(tmp_path: Path) -> None:
    path, study = tuned_cache(tmp_path / "c.h5", pairs=True), tmp_path / "s.db"
    tune(path, study, trials=3, heads=["logistic"], inputs=["image"])
    cache = open_cache(path)
    labelled = explain(path, study, str(cache.patients["id"].iloc[4]))
    assert labelled.n_models == 1
    assert labelled.probability == pytest.approx(labelled.trial.scores.probabilities[4, 0], abs=1e-9)
    summary = submit(path, study, tmp_path / "out.csv")
    test = explain(path, study, summary.ids[1])
    assert test.n_models == 4
    assert test.probability == pytest.approx(summary.probabilities[1])


def test_what_cannot_be_explained_is_said(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no patient 'P999'; IDs are such as P"):
        explain(*made, "P999")
    other = frozen_cache(tmp_path / "other.h5", seed=8)
    with pytest.raises(StudyError, match="was made with another"):
        explain(other, made[1], "P001")


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["lymphofeat", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_command_prints_both_sides_and_writes_all_images(
    made: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cache = open_cache(made[0])
    row = int(cache.patients["n_images"].argmax())
    patient, out = str(cache.patients["id"].iloc[row]), tmp_path / "images.csv"
    command = ("explain", patient, "--cache", made[0], "--study", made[1], "--top", 2, "--out", out)
    code, said, err = run(monkeypatch, capsys, *command)
    assert code == 0, err
    assert f"Patient {patient}: probability of malignant 0." in said
    assert "without fold" in said
    assert "towards malignant" in said
    assert max(map(len, said.splitlines())) <= 80
    table = pd.read_csv(out)
    assert len(table) == cache.patients["n_images"].iloc[row]
    positive = table[table["contribution"] > 0]["image"]
    assert all(name in said for name in positive.head(2))
    assert not any(f" {name} " in said for name in positive.iloc[2:])
    assert np.isfinite(table["contribution"]).all()
    before = out.read_bytes()
    code, _, err = run(monkeypatch, capsys, *command)
    assert code == 2
    assert "exists already; give --force" in err
    assert out.read_bytes() == before


def test_the_command_refuses_what_is_not_there(
    made: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "images.csv"
    code, said, err = run(
        monkeypatch, capsys, "explain", "P999", "--cache", made[0], "--study", made[1], "--out", out
    )
    assert (code, said) == (2, "")
    assert "holds no patient 'P999'" in err
    assert not out.exists()
