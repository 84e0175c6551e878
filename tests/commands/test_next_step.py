"""After every command, a line says which comes next; following the lines leads from a cohort to predictions."""

import shlex
from pathlib import Path

import pytest

from lymphofeat.cache import open_cache
from lymphofeat.commands.next_step import step_after

from ..helpers.caches import frozen_cache
from ..helpers.commands import Run, runner
from ..helpers.tiny import tiny_cohort, write_table

# What makes a step quick here.
QUICK = {
    "extract": [
        "--frozen",
        "--backbone",
        "small-cnn",
        "--weights",
        "none",
        "--seed",
        "0",
        "--crop",
        "64",
        "--folds",
        "3",
    ],
    "tune": ["--trials", "2", "--heads", "logistic"],
    "evaluate": ["--trials", "2", "--heads", "logistic"],
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


def follow(run: Run, line: str) -> tuple[str, str]:
    """Run the command of a line; the line it ends with, and all that it said."""
    command = line.removeprefix("Next: ").partition(":")[0].split(" ", 1)
    name, *arguments = shlex.split(command[1])
    ran = run(name, *arguments, *QUICK.get(name, []))
    assert ran.code == 0, ran.err
    lines = ran.out.rstrip().splitlines()
    seen = [line.removeprefix("See: ").partition(":")[0] for line in lines if line.startswith("See: ")]
    for command in seen:
        shown = run(*shlex.split(command)[1:])
        assert shown.code == 0, shown.err
        assert shown.out.startswith("Wrote report.html: ")
    assert bool(seen) == (name == "evaluate")
    return lines[-1], ran.out


def test_the_lines_lead_from_a_cohort_to_predictions(run: Run, tmp_path: Path) -> None:
    tiny_cohort(tmp_path / "my cohort", n=24, images=3, side=80)
    (tmp_path / "new" / "A").mkdir(parents=True)
    (tmp_path / "my cohort/trainset/P0/000000.jpg").rename(tmp_path / "new" / "A" / "0.jpg")
    write_table(tmp_path / "t.csv", ["ID,GENDER,DOB,LYMPH_COUNT", "A,F,3/14/1940,12.5"])
    write_table(tmp_path / "my cohort" / "lymphofeat.toml", ["[images]", "smallest = 64"])
    line, steps = "Next: lymphofeat check 'my cohort': begin", []
    while line.startswith("Next: "):
        steps.append(line.split()[2].rstrip(":"))
        line, _ = follow(run, line.replace("FOLDER", "new").replace("TABLE", "t.csv"))
        if steps[-1] == "predict":
            break
    assert steps == ["check", "extract", "tune", "evaluate", "submit", "export", "predict"]
    assert (tmp_path / "predictions.csv").is_file()
    assert line.startswith("Next: lymphofeat info model")


def test_a_cohort_too_small_for_five_folds_gets_as_many_as_there_can_be(run: Run, tmp_path: Path) -> None:
    tiny_cohort(tmp_path / "data", n=12, images=2)
    frozen = QUICK["extract"][: QUICK["extract"].index("--folds")]
    refused = run("extract", *frozen)
    assert (
        "5 folds need at least 5 malignant persons, and the cohort has 4; ask for 4 folds at most (--folds 4)"
        in (" ".join(refused.err.split()))
    )
    checked = run("check").out
    assert "4 at most, since each needs persons of both classes: `extract --folds 4`" in " ".join(
        checked.split()
    )
    line = checked.rstrip().splitlines()[-1]
    assert line == "Next: lymphofeat extract --folds 4: computes the features of every image"
    ran = run(*shlex.split(line.removeprefix("Next: ").partition(":")[0])[1:], *frozen)
    assert ran.code == 0, ran.err
    assert set(open_cache("cache/features.h5").folds[:, 0]) == {-1, 0, 1, 2, 3}


def test_check_says_when_a_report_shows_it_and_it_is_true(run: Run, tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "c", n=12, images=3, side=80)
    write_table(root / "lymphofeat.toml", ["[images]", "smallest = 64"])
    said = run("check", root).out
    assert "`lymphofeat report` shows this on one page, once `lymphofeat extract` has made a cache." in said
    assert run("extract", root, *QUICK["extract"]).code == 0
    shown = run("report")
    assert shown.code == 0, shown.err
    assert "check" not in shown.out


def test_lines_that_show_results_on_a_page_are_true_twice(run: Run, tmp_path: Path) -> None:
    frozen_cache(tmp_path / "c.h5", n=24, n_folds=3)
    assert run("tune", "--cache", "c.h5", "--study", "s.db", "--trials", "2", "--heads", "logistic").code == 0
    for command in (
        ["compare", "c.h5", "--pipelines", "clinical"],
        ["tune", "--show", "--study", "s.db"],
    ) * 2:
        ran = run(*command)
        (line,) = (
            line for line in ran.out.splitlines() if line.startswith("See: lymphofeat report --cache c.h5")
        )
        shown = run(*shlex.split(line.removeprefix("See: lymphofeat ").partition(":")[0]))
        assert shown.code == 0, shown.err
    assert (tmp_path / "report.html").is_file()


def test_a_line_names_the_files_of_the_command_before_it() -> None:
    given = {"cache": Path("my cache.h5"), "study": "b", "show": False}
    assert step_after("tune", given).startswith("lymphofeat evaluate --cache 'my cache.h5' --study b: ")
    assert step_after("extract", {"cache": Path("cache/features.h5")}).startswith("lymphofeat tune: ")
    assert step_after("compare", {"source": Path("x.h5"), "cache": Path("y.h5")}).startswith(
        "lymphofeat tune --cache x.h5: "
    )
    assert step_after("recipes", {}) == step_after("tune", {"show": True}) == ""


def test_quiet_commands_and_failed_ones_say_nothing_of_it(run: Run, tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "c", n=12)
    assert run("check", root, "-q").out == ""
    (root / "trainset/P3/000000.jpg").write_bytes(b"")
    ran = run("check", root)
    assert ran.code == 2
    assert "Next:" not in ran.out + ran.err
