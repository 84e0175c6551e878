"""Two commands on one cache, study or output: the second is refused or waits, and the first ends as if alone.

The second begins while the first is at work, with its first or a later sign of progress; locks of two openings of a
file exclude one another also within a process. `tests/storage/test_locks.py` has locks of two processes.
"""

import shutil
from pathlib import Path

import pytest

from lymphofeat.commands.common import COHORT_VARIABLE
from lymphofeat.report.progress import Lines

from ..helpers.commands import Ran, Run, runner
from .inputs.whole import make_whole
from .stages import STAGES, Stage

_EXTRACT, _GROWS, _, _FINETUNE, _TUNE, _, _EVALUATE, _, _SUBMIT, *_ = STAGES
_EXPORT = next(stage for stage in STAGES if stage.makes == "m2")
_IMPORT = next(stage for stage in STAGES if stage.command[0] == "import")
_OTHER_SEED = ("extract", "data", "--frozen", "--backbone", "small-cnn", "--weights", "none", "--seed", "5", "--crop",
               "64", "--folds", "3")  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv(COHORT_VARIABLE, raising=False)
    return runner(monkeypatch, capsys)


def both(run: Run, first: tuple[str, ...], second: tuple[str, ...], sign: int) -> tuple[Ran, Ran]:
    """Run the second command at the so many-th sign of progress of the first."""
    signs: list[str] = []
    found: list[Ran] = []

    def at_sign(name: str) -> None:
        signs.append(name)
        if len(signs) == sign:
            found.append(run(*second))

    with pytest.MonkeyPatch.context() as patch:
        for name in ("start", "advance", "note"):
            patch.setattr(Lines, name, lambda *_, name=name: at_sign(name))
        ran = run(*first)
    assert found, "the second never began"
    return ran, found[0]


@pytest.mark.parametrize(
    ("stage", "second", "sign"),
    [
        (_EXTRACT, _EXTRACT.command, 2),
        (_EXTRACT, (*_OTHER_SEED, "--cache", "new.h5"), 2),
        (_GROWS, ("clean", "--cache", "c.h5", "--yes"), 2),
        (_FINETUNE, _FINETUNE.command, 3),
        (_TUNE, _TUNE.command, 2),
        (_EVALUATE, _EVALUATE.command, 4),
        (_EXPORT, _EXPORT.command, 1),
        (_IMPORT, _IMPORT.command, 2),
    ],
    ids=[
        "the same encoding",
        "another encoding",
        "clean",
        "training",
        "tune",
        "evaluate",
        "export",
        "import",
    ],
)
def test_the_second_is_refused_with_a_sentence(
    stage: Stage,
    second: tuple[str, ...],
    sign: int,
    whole: Path,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    for folder in (alone, shared):
        shutil.copytree(whole, folder, copy_function=shutil.copy)
    monkeypatch.chdir(alone)
    assert run(*stage.command).code == 0
    monkeypatch.chdir(shared)
    first, refused = both(run, stage.command, second, sign)
    assert first.code == 0, first.err
    if refused.code:  # else it was done before the first came to what they share
        assert refused.code == 2, refused.err
        assert "by another process" in refused.err or "exists already" in refused.err, refused.err
        assert "wait for it" in refused.err or "--force" in refused.err
        assert stage.read(Path(stage.makes)) == stage.read(alone / stage.makes)
    assert run("info", "c.h5").code == 0


def test_two_submissions_are_two_lines(
    whole: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(whole, tmp_path / "w", copy_function=shutil.copy)
    monkeypatch.chdir(folder)
    first, second = both(run, _SUBMIT.command, (*_SUBMIT.command, "--out", "other.csv"), 1)
    assert (first.code, second.code) == (0, 0), (first.err, second.err)
    assert Path("submission.csv").read_text() == Path("other.csv").read_text()
    log = Path("submissions.csv").read_text()
    assert log.count("\n") == 3
    assert log.count(",other.csv,") == log.count(",submission.csv,") == 1


def test_of_two_submissions_of_one_name_the_later_is_refused(
    whole: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(whole, tmp_path / "w", copy_function=shutil.copy)
    monkeypatch.chdir(folder)
    first, second = both(run, _SUBMIT.command, _SUBMIT.command, 1)
    assert sorted((first.code, second.code)) == [0, 2]
    assert "submission.csv exists already" in first.err + second.err
    assert Path("submissions.csv").read_text().count("\n") == 2
