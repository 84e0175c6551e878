"""`lymphofeat tune` as users type it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lymphofeat.cache import save_cache
from lymphofeat.studies.space import Space

from ..helpers.caches import features, frozen_cache, patients
from ..helpers.commands import Run, runner


def without_step(text: str) -> str:
    """What `tune` says of its study, without the line on the next command, or on the report that shows it."""
    return text[: max(text.rfind("\nNext: "), text.rfind("\nSee: ")) + 1]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in this process, in an empty working folder that holds a cache."""
    monkeypatch.chdir(tmp_path)
    frozen_cache(tmp_path / "c.h5")

    return runner(monkeypatch, capsys)


def test_a_restricted_search_and_its_report_again_without_the_cache(run: Run, tmp_path: Path) -> None:
    tuned = run(
        "tune", "--cache", "c.h5", "--trials", "5", "--heads", "lda, logistic", "--inputs", "image,both",
        "--class-weights", "1,2", "--sampler", "random", "--metric", "average_precision", "--no-prune",
    )  # fmt: skip
    assert tuned.code == 0, tuned.err
    assert "5 finished trials" in tuned.out
    assert "a reactive patient weighs 1 and a malignant one 2" in tuned.out
    assert "not tried" in tuned.out  # clinical values alone
    (tmp_path / "c.h5").unlink()
    assert run("tune", "--show").out == without_step(tuned.out)
    assert run("info", "studies/study.db").out == without_step(tuned.out)


def test_without_clinical_values_no_head_sees_them(run: Run) -> None:
    assert run("tune", "--cache", "c.h5", "--trials", "3", "--heads", "logistic", "--no-clinical").code == 0
    shown = run("tune", "--show").out
    assert "Best head" in shown
    assert "age, sex, count" not in shown


def test_failed_trials_and_head_types_left_out_are_counted_and_shown(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = patients(12, 2)
    table["label"] = np.where(table["split"] == "train", (np.arange(14) % 4 == 0).astype(int), -1)
    save_cache(tmp_path / "few.h5", table, {"frozen": features(table)}, n_folds=3)
    tried = ["tune", "--cache", "few.h5", "--heads", "lda,logistic", "--trials", "12"]
    left_out = run(*tried, "--study", "few")
    assert left_out.code == 0, left_out.err
    assert "The heads 'lda' are left out" in left_out.err
    monkeypatch.setattr(Space, "unfit", lambda *_: {})
    failed = run(*tried, "--study", "failed")
    assert failed.code == 0, failed.err
    for name, tuned, sentence in (
        ("few", left_out, "The heads 'lda' are left out: in some folds they cannot be fitted."),
        ("failed", failed, "of 12 trials failed: lda: One class has a single training patient"),
    ):
        assert sentence in " ".join(tuned.out.split())
        assert (
            without_step(run("tune", "--show", "--study", name).out)
            == without_step(tuned.out)
            == run("info", f"studies/{name}.db").out
        )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--show"], "There is no study"),
        (["--class-weights", "2"], "takes two numbers such as 1,2"),
        (["--class-weights", "1,-2"], "two numbers above 0"),
        (["--heads", "logistics"], "did you mean 'logistic'"),
        (["--inputs", "cells"], "no input 'cells'"),
        (["--no-clinical", "--inputs", "both"], "give one of them"),
        (["--jobs", "0"], "0 is not in the range"),
        (["--sampler", "cmaes"], "'cmaes' is not one of"),
    ],
)
def test_bad_arguments_get_a_sentence_and_nothing_is_written(
    run: Run, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    ran = run("tune", "--cache", "c.h5", *arguments)
    assert ran.code == 2
    assert sentence in ran.err
    assert not list(tmp_path.glob("studies/*.db"))


def test_the_trials_are_a_table_that_is_never_written_over(run: Run, tmp_path: Path) -> None:
    tried = ["tune", "--cache", "c.h5", "--heads", "lda,logistic", "--trials", "4"]
    ran = run(*tried, "--trials-csv", "trials.csv")
    assert ran.code == 0, ran.err
    table = pd.read_csv(tmp_path / "trials.csv")
    assert list(table["number"]) == [0, 1, 2, 3]
    assert {"value", "state", "head_type", "params_logistic.C"} <= set(table.columns)
    refused = run("tune", "--show", "--trials-csv", "trials.csv")
    assert refused.code == 2
    assert "trials.csv exists already; give --force" in refused.err
    again = run("tune", "--show", "--trials-csv", "trials.csv", "--force", "--csv-for", "excel")
    assert again.code == 0, again.err
    excel = pd.read_csv(tmp_path / "trials.csv", sep=";", decimal=",", encoding="utf-8-sig")
    assert np.allclose(excel["value"], table["value"])
    assert list(excel.columns) == list(table.columns)
