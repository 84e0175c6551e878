"""Explaining a patient of a study: by a blind model, the one whose probability the study holds."""

import io
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from lymphofeat import cli
from lymphofeat.cache import open_cache
from lymphofeat.errors import InputError, StudyError
from lymphofeat.explanation import Explanation, explain
from lymphofeat.final.submit import submit
from lymphofeat.report.explain import render_explanation
from lymphofeat.studies import load_study, tune
from lymphofeat.studies.describe import describe_heads

from ..helpers.caches import frozen_cache, tuned_cache


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("explain")
    cache = frozen_cache(folder / "c.h5")
    tune(cache, folder / "studies" / "s.db", n_trials=5, heads=["logistic"], inputs=["both", "image"])
    return cache, folder / "studies" / "s.db"


def test_a_labelled_patient_has_the_probability_of_the_study(made: tuple[Path, Path]) -> None:
    cache = open_cache(made[0])
    chosen = load_study(made[1]).selected
    assert len(chosen.members) > 1
    for row in (0, 17):
        found = explain(*made, str(cache.patients["id"].iloc[row]))
        assert [(t.number, w) for t, w in found.members] == [(t.number, w) for t, w in chosen.members]
        assert found.fold == cache.folds[row, 0]
        assert found.n_trained_on == int((cache.folds[cache.labels >= 0, 0] != found.fold).sum())
        assert found.probability == pytest.approx(chosen.probabilities[row, 0], abs=1e-9)
        thresholds = [weight * trial.thresholds_of_patients[row, 0] for trial, weight in chosen.members]
        assert found.threshold == pytest.approx(sum(thresholds))
        assert (found.probability >= found.threshold) == chosen.decisions[row, 0]
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
    if set(found.methods) == {"exact"}:
        assert found.images["contribution"].sum() == pytest.approx(found.parts.image, abs=1e-6)


def test_a_test_patient_has_the_probability_that_is_submitted(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    summary = submit(*made, tmp_path / "out.csv")
    found = explain(*made, summary.ids[0])
    assert found.fold is None
    assert found.label == -1
    assert found.n_trained_on == 40
    assert [trial.number for trial, _ in found.members] == [t.number for t, _ in summary.model.members]
    assert len(found.members) > 1
    assert found.probability == pytest.approx(summary.probabilities[0], abs=1e-9)
    assert found.threshold == summary.threshold
    assert found.reason == summary.model.reason


def test_encoders_trained_per_fold_explain_by_the_blind_one_and_by_their_mean(tmp_path: Path) -> None:
    path, study = tuned_cache(tmp_path / "c.h5", pairs=True), tmp_path / "s.db"
    tune(path, study, n_trials=3, heads=["logistic"], inputs=["image"])
    cache = open_cache(path)
    labelled = explain(path, study, str(cache.patients["id"].iloc[4]))
    assert labelled.n_models == 1
    chosen = load_study(study).selected
    assert len(chosen.members) == 3
    assert labelled.probability == pytest.approx(chosen.probabilities[4, 0], abs=1e-9)
    summary = submit(path, study, tmp_path / "out.csv")
    test = explain(path, study, summary.ids[1])
    assert test.n_models == 4
    assert test.probability == pytest.approx(summary.probabilities[1], abs=1e-9)
    assert sum(test.methods.values()) == 3 * 4
    one = [explain(path, study, summary.ids[1], trial=trial.number) for trial, _ in chosen.members]
    assert_mean(test, one, [1 / 3] * 3)


def assert_mean(found: Explanation, each: list[Explanation], weights: list[float]) -> None:
    """Everything that is a number is the weighted mean of the single heads' explanations."""

    def mean(values: list[float] | list[np.ndarray]) -> object:
        return pytest.approx(sum(w * v for w, v in zip(weights, values, strict=True)), abs=1e-9)

    assert found.probability == mean([one.probability for one in each])
    for name in ("logit", "base", "image", "clinical"):
        assert getattr(found.parts, name) == mean([getattr(one.parts, name) for one in each])
    tables = [one.images.set_index("image").sort_index() for one in each]
    images = found.images.set_index("image").sort_index()
    assert images["contribution"].to_numpy() == mean([table["contribution"].to_numpy() for table in tables])
    methods: Counter[str] = Counter()
    for one in each:
        methods.update(one.methods)
    assert found.methods == methods


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Heads of every kind: sums over images, attention, left-out images, and such that see no image."""
    folder = tmp_path_factory.mktemp("mixed")
    cache = frozen_cache(folder / "c.h5", n=30)
    heads = ["logistic", "xgboost", "attention"]
    tune(cache, folder / "s.db", n_trials=7, heads=heads, prune=False)
    return cache, folder / "s.db"


@pytest.mark.parametrize("row", [3, -1], ids=["labelled", "test"])
def test_several_heads_are_explained_by_the_weighted_mean_of_each(mixed: tuple[Path, Path], row: int) -> None:
    patients = open_cache(mixed[0]).patients
    many = patients[
        (patients["n_images"] > 2) & (patients["label"] >= 0 if row >= 0 else patients["label"] < 0)
    ]
    patient = str(many["id"].iloc[0])
    alone: dict[int, Explanation] = {}
    for options in ({}, {"select": "average_balanced_accuracy"}, {"ensemble": 5}):
        found = explain(*mixed, patient, **options)
        weights = [weight for _, weight in found.members]
        assert sum(weights) == pytest.approx(1)
        for trial, _ in found.members:
            if trial.number not in alone:
                alone[trial.number] = explain(*mixed, patient, trial=trial.number)
        each = [alone[trial.number] for trial, _ in found.members]
        assert [one.members[0][0].number for one in each] == [trial.number for trial, _ in found.members]
        assert_mean(found, each, weights)
        attending = [(w, one.images) for w, one in zip(weights, each, strict=True) if one.n_attending]
        assert found.n_attending == len(attending)
        if not options:  # all heads of the study
            assert set(found.methods) == {"exact", "attention", "leave-one-out", "none"}
            assert attending
        if attending:
            shares = [w * t.set_index("image")["attention"].sort_index() for w, t in attending]
            expected = sum(shares) / sum(w for w, _ in attending)
            own = found.images.set_index("image")["attention"].sort_index()
            assert own.to_numpy() == pytest.approx(np.asarray(expected))
            assert own.sum() == pytest.approx(1)
        else:
            assert found.images["attention"].isna().all()


def test_the_screen_names_the_heads_and_how_each_was_asked(mixed: tuple[Path, Path]) -> None:
    patients = open_cache(mixed[0]).patients
    patient = str(patients["id"].iloc[int(patients["n_images"].argmax())])
    found = explain(*mixed, patient)
    out = io.StringIO()
    render_explanation(found, Console(file=out, width=80))
    said = " ".join(out.getvalue().split())
    assert max(map(len, out.getvalue().splitlines())) <= 80
    assert found.reason in said
    heads = [trial for trial, _ in found.members]
    assert f"Mean of {len(heads)} heads: {describe_heads(heads)}; each fitted on" in said
    n = found.methods
    assert (
        f"Each image's share is a mean over the {len(heads)} heads: {n['exact']} whose log-odds are" in said
    )
    assert f"{n['none']} that see no image and add 0" in said
    assert f"the attention of the {found.n_attending} that have it" in said
    own = f"{np.log(found.probability / (1 - found.probability)):+.2f}".replace("-", "−")
    assert f"the log-odds of the mean probability are {own} and differ" in said
    assert "Mean log-odds " in said
    single, alone = io.StringIO(), explain(*mixed, patient, trial=heads[0].number)
    render_explanation(alone, Console(file=single, width=80))
    assert f"Head (trial {heads[0].number}): " in single.getvalue()
    assert "ean log-odds" not in single.getvalue()


def test_what_cannot_be_explained_is_said(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no patient 'P999'; IDs are such as P"):
        explain(*made, "P999")
    other = frozen_cache(tmp_path / "other.h5", seed=8)
    with pytest.raises(StudyError, match="was scored on another cohort than"):
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


def test_the_command_takes_another_rule_or_a_single_head(
    made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (
        "explain",
        str(open_cache(made[0]).patients["id"].iloc[0]),
        "--cache",
        made[0],
        "--study",
        made[1],
    )
    code, said, err = run(monkeypatch, capsys, *command, "--trial", 1)
    assert code == 0, err
    assert "Selected model: trial 1, by --trial 1." in said
    assert "Head (trial 1): " in said
    code, said, _ = run(monkeypatch, capsys, *command, "--select", "log_loss")
    assert "(--select log_loss)" in " ".join(said.split())
    code, said, err = run(monkeypatch, capsys, *command, "--trial", 1, "--ensemble", 2)
    assert (code, said) == (2, "")
    assert "exclude one another" in err


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
