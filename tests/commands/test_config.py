"""`--config run.toml`: a file's options hold as if they were typed."""

import json
import shlex
from pathlib import Path

import pytest

from ..helpers.caches import frozen_cache
from ..helpers.commands import Run, runner


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in this process, in an empty working folder."""
    monkeypatch.chdir(tmp_path)

    return runner(monkeypatch, capsys)


TUNE = """
[tune]
cache = "c.h5"
trials = 3
heads = ["lda", "logistic"]
class-weights = "1,2"
no_clinical = true
prune = false

[extract]
finetune = true
"""


def test_a_run_is_the_typed_one_and_what_is_typed_goes_first(run: Run, tmp_path: Path) -> None:
    frozen_cache(tmp_path / "c.h5")
    Path("run.toml").write_text(TUNE)
    typed = ["--cache", "c.h5", "--trials", "3", "--heads", "lda,logistic", "--class-weights", "1,2"]
    asked = run("tune", *typed, "--no-clinical", "--no-prune", "--study", "typed")
    from_file = run("tune", "--config", "run.toml", "--study", "typed")
    assert from_file.code == 0, from_file.err
    assert from_file.out == asked.out
    assert "3 finished trials" in from_file.out
    more = run("tune", "--trials", "4", "--config", "run.toml", "--study", "typed")
    assert "4 finished trials" in more.out


def test_arguments_pairs_and_paths_may_stand_there_too(run: Run, tmp_path: Path) -> None:
    Path("run.toml").write_text('[simulate]\nout = "here"\npatients = 6\nimages = [1, 2]\noverlap = 0.5\n')
    ran = run("simulate", "--config", "run.toml")
    assert ran.code == 0, ran.err
    assert all(1 <= len(list(p.iterdir())) <= 2 for p in Path("here/trainset").iterdir() if p.is_dir())
    other = run("simulate", "there", "--config", "run.toml")
    assert other.code == 0, other.err
    assert Path("there").is_dir()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[tune]\ntrails = 3", "run.toml: [tune] has no option 'trails' (did you mean 'trials'?)"),
        ("[tune]\ntrials = 0", "run.toml: [tune] trials: 0 is not in the range x>=1"),
        ('[tune]\ntrials = "many"', "run.toml: [tune] trials: 'many' is not a valid integer"),
        ('[tune]\nmetric = "auk"', "run.toml: [tune] metric: 'auk' is not one of"),
        ('[tune]\nprune = "no"', "run.toml: [tune] prune is 'no'; give true or false"),
        ("[tune]\ncache = true", "run.toml: [tune] cache is True; give a text or a number"),
        ('[tune]\ncache = ""', "run.toml: [tune] cache: the path is empty"),
        ("[tune]\nclass-weights = 1\nclass_weights = 2", "names 'class_weights' twice"),
        ("[tuna]\ntrials = 3", "run.toml: [tuna] is no command (did you mean 'tune'?)"),
        ("trials = 3", "run.toml: 'trials' stands in no section; put it under one such as [tune]"),
        ("tune = 3", "run.toml: 'tune' is a section"),
        ("[tune\n", "run.toml is not TOML"),
        ('[tune]\nconfig = "run.toml"', "has no option 'config'"),
    ],
)
def test_what_cannot_be_used_gets_a_sentence_with_file_and_key(run: Run, text: str, sentence: str) -> None:
    Path("run.toml").write_text(text)
    ran = run("tune", "--config", "run.toml")
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err.replace("\n", " ")
    assert sorted(p.name for p in Path().iterdir()) == ["run.toml"]


def test_a_file_that_is_not_there_is_named(run: Run) -> None:
    ran = run("heads", "--config", "none.toml")
    assert ran.code == 2
    assert "none.toml cannot be read" in ran.err


def test_an_option_from_a_file_is_one_that_was_given(run: Run, tmp_path: Path) -> None:
    """`extract` refuses options that change nothing, wherever they stand."""
    (tmp_path / "data").mkdir()
    Path("run.toml").write_text('[extract]\nweights = "none"\n')
    ran = run("extract", "--config", "run.toml")
    assert ran.code == 2
    assert "--weights" in ran.err


def test_an_evaluation_says_by_which_command_it_was_made(run: Run, tmp_path: Path) -> None:
    frozen_cache(tmp_path / "c.h5", n=24, n_folds=3)
    arguments = ["--cache", "c.h5", "--trials", "2", "--heads", "logistic", "--out", "my evaluation"]
    assert run("evaluate", *arguments).code == 0
    made = json.loads((tmp_path / "my evaluation" / "evaluate.json").read_text())["made"]
    assert made["command"] == f"lymphofeat evaluate {shlex.join(arguments)}"
    assert {"lymphofeat", "at", "python", "numpy", "optuna"} <= set(made)
    page = (tmp_path / "my evaluation" / "evaluate.md").read_text()
    assert f"by `{made['command']}`, lymphofeat {made['lymphofeat']}" in page
