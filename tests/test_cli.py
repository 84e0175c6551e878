"""The commands as users type them: exit codes, sentences, and what is on the disk afterwards."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from lymphofeat import cli
from lymphofeat.commands.common import COHORT_VARIABLE

from .cohort.bad_inputs.bad_input import BadInput
from .cohort.bad_inputs.every import BAD_INPUTS
from .helpers.commands import Ran, Run, runner
from .helpers.tiny import tiny_cohort

EXTRACT = ["extract", "--frozen", "--weights", "none", "--seed", "0", "--crop", "64", "--folds", "3"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in this process, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(COHORT_VARIABLE, raising=False)

    return runner(monkeypatch, capsys)


def listing(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.name.endswith(".lock")}


def test_the_three_commands_without_arguments(run: Run, tmp_path: Path, monkeypatch) -> None:
    """`extract`, `tune`, `submit` in a checkout, the cohort in data/ or where the variable says."""
    tiny_cohort(tmp_path / "elsewhere", n=12)
    monkeypatch.setenv(COHORT_VARIABLE, str(tmp_path / "elsewhere"))
    extracted = run(*EXTRACT)
    assert extracted.code == 0, extracted.err
    assert "random projections" in extracted.out
    assert (tmp_path / "cache" / "features.h5").exists()
    tuned = run("tune", "--trials", "4")
    assert tuned.code == 0, tuned.err
    assert "4 finished trials" in tuned.out
    submitted = run("submit", "--probabilities")
    assert submitted.code == 0, submitted.err
    with (tmp_path / "submission.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["Id", "Predicted"]
    assert [row[0] for row in rows[1:]] == ["P9", "P10", "P11"]
    assert {row[1] for row in rows[1:]} <= {"0", "1"}
    assert (tmp_path / "submission-probabilities.csv").exists()
    info = run("info")
    assert "resnet18-random0-crop64" in info.out
    assert "4 finished trials" in run("info", "studies/study.db").out


def test_submit_keeps_an_existing_file(run: Run, tmp_path: Path) -> None:
    tiny_cohort(tmp_path / "data", n=12)
    run(*EXTRACT)
    run("tune", "--trials", "2", "-q")
    (tmp_path / "submission.csv").write_text("mine")
    refused = run("submit")
    assert refused.code == 2
    assert "submission.csv exists already; give --force" in refused.err
    assert (tmp_path / "submission.csv").read_text() == "mine"
    assert run("submit", "--force").code == 0
    assert (tmp_path / "submission.csv").read_text().startswith("Id,Predicted")


NO_FOLDER = next(
    bad for bad in BAD_INPUTS if bad.name == "no cohort"
)  # the commands see it before the reader does


@pytest.mark.parametrize("bad", [b for b in BAD_INPUTS if b is not NO_FOLDER], ids=lambda bad: bad.name)
def test_check_answers_bad_input_with_a_sentence(run: Run, tmp_path: Path, bad: BadInput) -> None:
    folder = tiny_cohort(tmp_path / "data", n=12)
    bad.mutate(folder)
    before = listing(tmp_path)
    checked = run("check")
    said = " ".join((checked.out + checked.err).replace(f"{folder}/", "").replace("data/", "").split())
    assert bad.expected in said
    assert bad.remedy in said
    assert checked.code == (2 if bad.severity == "error" else 0)
    kept = set() if bad.severity == "error" else {"studies", "studies/check.json"}
    assert listing(tmp_path) == before | kept


@pytest.mark.parametrize("bad", [b for b in BAD_INPUTS if b.severity == "error"], ids=lambda bad: bad.name)
def test_extract_stops_on_bad_input_without_a_cache(run: Run, tmp_path: Path, bad: BadInput) -> None:
    """What `check` calls an error stops `extract` as well, which need not have decoded all images first."""
    folder = tiny_cohort(tmp_path / "data", n=12)
    bad.mutate(folder)
    stopped = run(*EXTRACT, "--crop", "112")
    assert stopped.code == 2, stopped.err
    assert stopped.err.startswith("Error: ")
    assert "Traceback" not in stopped.err
    assert not (tmp_path / "cache" / "features.h5").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["check"], "data: no such folder; put the cohort there"),
        (["extract", "nosuch"], "nosuch: no such folder"),
        (["tune"], "cache/features.h5: no such cache; make it with `lymphofeat extract"),
        (["submit"], "There is no study studies/study.db; run `lymphofeat tune` first"),
        (["info"], "no such cache"),
        (["info", "studies/none.db"], "studies/none.db"),
        (["tune", "--trials", "0"], "0 is not in the range"),
        (["extract", "--device", "tpu"], "'tpu' is not one of"),
        (["check", "-v", "-q"], "exclude each other"),
        (["nosuch"], "No such command 'nosuch'"),
    ],
)
def test_wrong_arguments(run: Run, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert sentence in ran.err
    assert "Traceback" not in ran.err
    assert listing(tmp_path) <= {"cache", "studies"}


def test_simulate_refuses_a_folder_in_use(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("…")
    refused = run("simulate", "mine", "--patients", "8")
    assert refused.code == 2
    assert "exists already and is not an empty folder" in refused.err
    assert listing(tmp_path) == {"mine", "mine/thesis.txt"}


@pytest.mark.parametrize("name", sorted(cli.commands.commands))
def test_every_command_has_help_with_an_example_and_v_and_q(run: Run, name: str) -> None:
    shown = run(name, "--help")
    assert shown.code == 0
    assert f"Example: lymphofeat {name}" in shown.out
    assert "--quiet" in shown.out
    assert "--verbose" in shown.out


def test_quiet_prints_nothing(run: Run, tmp_path: Path) -> None:
    tiny_cohort(tmp_path / "data", n=12)
    for command in (["check"], EXTRACT, ["tune", "--trials", "2"], ["submit"], ["info"]):
        ran = run(*command, "-q")
        assert ran == Ran(0, "", "")


def test_a_checkout_runs_without_installing(tmp_path: Path) -> None:
    root = Path(cli.__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, str(root / "cli.py"), "check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("Error: data: no such folder")


def test_interrupted_is_exit_code_one(run: Run, tmp_path: Path, monkeypatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "data").mkdir()
    monkeypatch.setattr("lymphofeat.cohort.check.check_cohort", interrupt)
    assert run("check") == Ran(1, "", "\nInterrupted; no file is half-written. Run the command again.\n")


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    heavy = ("torch", "sklearn", "pandas", "optuna", "numpy", "pydantic", "rich")
    code = f"import sys, lymphofeat.cli; print([m for m in {heavy} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
