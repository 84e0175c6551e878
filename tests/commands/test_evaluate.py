"""`lymphofeat evaluate` as users type it."""

import json
from pathlib import Path

import pytest

from ..helpers.caches import tuned_cache
from ..helpers.commands import Run, runner
from ..helpers.compared import compared_cache

QUICK = ("--cache", "c.h5", "--encoding", "good", "--heads", "logistic", "--trials", "2")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in this process, in an empty working folder that holds a cache."""
    monkeypatch.chdir(tmp_path)
    compared_cache(tmp_path / "c.h5", n_folds=3)

    return runner(monkeypatch, capsys)


def test_the_plan_the_answer_and_the_files(run: Run, tmp_path: Path) -> None:
    ran = run("evaluate", *QUICK, "--out", "out", "--json", "all.json")
    assert ran.code == 0, ran.err
    plan, answer, *_ = ran.out.splitlines()
    assert plan.startswith(
        "15 searches of 2 trials inside outer folds (1 run × 3 folds of each pipeline: image + clin"
    )
    assert "Images add" in answer
    assert "to the clinical values" in answer
    assert "to those of an untrained encoder" in ran.out.replace("\n", " ")
    assert "the scores to quote" in ran.out
    assert "its optimism is" in ran.out
    record = _but_when(tmp_path / "all.json")
    assert record == _but_when(tmp_path / "out" / "evaluate.json")
    assert (tmp_path / "out" / "evaluate.md").is_file()
    assert (tmp_path / "studies" / "study-nested" / "folds.jsonl").is_file()
    refused = run("evaluate", *QUICK, "--json", "all.json")
    assert (refused.code, refused.out) == (2, "")
    assert "all.json exists already; give --force" in refused.err
    assert "Confusion matrix" not in ran.out
    again = run("evaluate", *QUICK, "--json", "all.json", "--force", "--tables")
    assert again.code == 0
    assert "Confusion matrix" in again.out
    assert "Wrongly decided patients" in again.out
    assert _but_when(tmp_path / "all.json") == record
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "evaluate.json").write_text("{}")
    refused = run("evaluate", *QUICK, "--out", "o")
    assert (refused.code, refused.out) == (2, "")
    assert "evaluate.json exists already" in refused.err


def _but_when(path: Path) -> dict[str, object]:
    """A record without the time that it was made at."""
    record: dict[str, object] = json.loads(path.read_text())
    assert record.pop("made")
    return record


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--heads", "logistics"], "did you mean 'logistic'"),
        (["--encoding", "goood"], "did you mean 'good'"),
        (["--encoding", "good", "--repeats", "3"], "holds 2 repeats of the folds"),
        (["--encoding", "pooled+clinical-good", "--permute", "2"], "saw none"),
        (["--permute", "-1"], "-1 is not in the range"),
        (["--cache", "none.h5"], "none.h5"),
        (["--cache", "t.h5"], "extract --finetune --nested"),
    ],
)
def test_bad_input_gets_a_sentence_and_nothing_is_written(
    run: Run, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    tuned_cache(tmp_path / "t.h5", pairs=False)
    ran = run("evaluate", "--cache", "c.h5", "--out", "out", *arguments)
    assert ran.code == 2
    assert sentence in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "studies").exists()
    assert not (tmp_path / "out").exists()
