"""SIGTERM from a scheduler: the command ends within 10 s, says what is kept, and its exit code is 143."""

import inspect
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lymphofeat import cli
from lymphofeat.commands.common import COHORT_VARIABLE
from lymphofeat.commands.termination import sigterm_ends
from lymphofeat.report.progress import Lines

from ..helpers.commands import Ran, Run, runner
from ..helpers.compared import compared_cache
from ..helpers.studies import trials_of
from ..helpers.tiny import tiny_cohort
from ..test_messages import RESUMING, needed
from .processes import ROOT, begin, children_of, end

GOES_ON = "\nEnded by SIGTERM; finished work is kept, and the same command continues from here.\n"
BEGINS_ANEW = "\nEnded by SIGTERM; no file is half-written. Run the command again.\n"
EXTRACT = ("extract", "--frozen", "--weights", "none", "--seed", "0", "--crop", "64", "--folds", "3")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGTERM")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in this process, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(COHORT_VARIABLE, raising=False)
    return runner(monkeypatch, capsys)


def term(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("name", sorted(cli.commands.commands))
def test_every_command_ends_with_its_sentence(run: Run, name: str) -> None:
    class Ending:
        def __enter__(self) -> None:
            term()

        def __exit__(self, *_: object) -> None: ...

    before = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lymphofeat.commands.common.Output.at_work", lambda _: Ending())
        ended = run(name, *needed(name))
    assert ended == Ran(143, "", GOES_ON if name in RESUMING else BEGINS_ANEW)
    assert signal.getsignal(signal.SIGTERM) == before
    assert run("heads", "-q").code == 0  # the next command of this process knows nothing of it


def ended_at_work(run: Run, *arguments: str, sign: int) -> Ran:
    """A command to which SIGTERM comes with its so many-th sign of progress, from whichever thread."""
    signs = []

    def counted(*_: object) -> None:
        signs.append(None)
        if len(signs) == sign:
            term()

    with pytest.MonkeyPatch.context() as patch:
        for name in ("start", "advance", "note"):
            patch.setattr(Lines, name, counted)
        return run(*arguments)


def visible(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def test_what_is_said_is_true(run: Run, tmp_path: Path) -> None:
    """Each command is ended at work; those that go on do, the others leave nothing and can be given again."""
    tiny_cohort(tmp_path / "data", n=12)
    clinical = ("--clinical", "data/testset/testset_data.csv")
    for command in (
        ("check",),
        EXTRACT,
        ("tune", "--heads", "logistic", "--inputs", "image", "--trials", "3"),
        ("export", "model"),
        ("predict", "model", "data/testset", *clinical),
        ("submit",),
    ):
        before = visible(tmp_path)
        ended = ended_at_work(run, *command, sign=1 if command[0] in ("export", "submit") else 2)
        assert (ended.code, ended.err) == (143, GOES_ON if command[0] in RESUMING else BEGINS_ANEW), command
        if command[0] not in RESUMING:
            assert visible(tmp_path) == before
        again = run(*command)
        assert again.code == 0, (command, again.err)


def test_a_call_that_hears_no_signal_is_ended_in_time() -> None:
    """The main thread is inside one long call of a library; a thread keeps the time."""
    assert inspect.signature(sigterm_ends).parameters["patience"].default < 10
    code = """
import hashlib
from lymphofeat.commands.termination import at_stop, sigterm_ends
with sigterm_ends(patience=0.3), at_stop("run the command again."):
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)  # until it is inside the call
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (143, "\nEnded by SIGTERM; run the command again.\n")


def test_who_lets_sigterm_be_ignored_is_obeyed() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with sigterm_ends():
            term()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


# Tells a file of the so many-th sign of progress, from whichever thread.
TELLS = """
from pathlib import Path
from lymphofeat.report.progress import Lines
signs = []
def counted(told):
    def tells(*arguments):
        signs.append(None)
        if len(signs) == {sign}:
            Path({at_work!r}).touch()
        return told(*arguments)
    return tells
for name in ("start", "advance", "note"):
    setattr(Lines, name, counted(getattr(Lines, name)))
"""


def terminated_twice(folder: Path, *arguments: object, signs: tuple[int, int], group: bool = False) -> None:
    """End a command at work, twice, each time with one of its signs of progress; then let it be done."""
    for sign in signs:
        at_work = folder / f"at-work-{sign}"
        process = begin(folder, *arguments, code=TELLS.format(sign=sign, at_work=str(at_work)))
        until = time.monotonic() + 250
        while process.poll() is None and not at_work.exists() and time.monotonic() < until:
            time.sleep(0.005)
        done = end(process, group=group)
        assert at_work.exists(), done
        assert "Traceback" not in done.err
        assert (done.code, done.err.endswith(GOES_ON)) == (143, True), done
        assert done.seconds < 10
        assert children_of(process.pid) == []
        at_work.unlink()
    end_of(begin(folder, *arguments))


@pytest.mark.slow
@pytest.mark.parametrize("group", [False, True], ids=["the process", "its group"])
def test_tune_in_two_processes_goes_on_to_the_same_study(tmp_path: Path, *, group: bool) -> None:
    compared_cache(tmp_path / "c.h5", n_folds=3)
    search = ("tune", "--cache", "c.h5", "--encoding", "good", "--heads", "svm", "--trials", 40, "--jobs", 2)
    end_of(begin(tmp_path, *search, "--study", "whole"))
    terminated_twice(tmp_path, *search, "--study", "broken", signs=(2, 9), group=group)
    assert trials_of(tmp_path / "studies/whole.db") == trials_of(tmp_path / "studies/broken.db")


def end_of(process: "subprocess.Popen[str]") -> None:
    """Wait until a command is done."""
    _, err = process.communicate(timeout=250)
    assert process.returncode == 0, err


@pytest.mark.slow
def test_trainings_side_by_side_end_in_time(tmp_path: Path) -> None:
    tiny_cohort(tmp_path / "data", n=16, images=12)
    finetune = ("extract", "--finetune", "--recipe", "pooled-small-cnn", "--weights", "none", "--crop", 64,
                "--folds", 3, "--epochs", 30, "--seed", 0)  # fmt: skip
    terminated_twice(tmp_path, *finetune, signs=(2, 9))


@pytest.mark.slow
def test_searches_inside_folds_end_in_time(tmp_path: Path) -> None:
    compared_cache(tmp_path / "c.h5", n_folds=3)
    search = ("--encoding", "good", "--heads", "logistic,svm", "--trials", 8, "--jobs", 2)
    terminated_twice(tmp_path, "evaluate", "--cache", "c.h5", *search, signs=(2, 9))
