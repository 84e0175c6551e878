"""A clock that is set back, within a run and between runs: nothing is refused, no time is negative."""

import re
import shutil
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from lymphofeat.commands.common import COHORT_VARIABLE

from ..helpers.commands import runner
from .inputs.whole import make_whole
from .stages import STAGES

_NEGATIVE = re.compile(r"(?<![\w.)\]])[-−]\s?\d[\d.,]*\s?(ms|s|min|h|seconds|minutes|hours|days)\b")


class Back(datetime):
    """Each look at the clock shows a time an hour before the last one."""

    looks = 0

    @classmethod
    def now(cls, tz=None):  # type: ignore[no-untyped-def]
        Back.looks += 1
        return datetime(2026, 1, 1, tzinfo=tz) - timedelta(hours=Back.looks)


@pytest.fixture
def set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock back in all modules that are loaded, and `time.time` with it."""
    for name, module in list(sys.modules.items()):
        ours = name.startswith(("lymphofeat.", "optuna."))
        if ours and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", Back)
    monkeypatch.setattr(time, "time", lambda: 2e9 - 3600.0 * Back.now().hour)


@pytest.mark.parametrize("what", ["all but evaluate", pytest.param("evaluate", marks=pytest.mark.slow)])
def test_nothing_hangs_on_the_clock(
    what: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    folder = make_whole(tmp_path / "w")
    alone = shutil.copytree(folder, tmp_path / "alone", copy_function=shutil.copy)
    monkeypatch.delenv(COHORT_VARIABLE, raising=False)
    run = runner(monkeypatch, capsys)
    expensive = {"--finetune", "compare"}
    spoils = ("c.h5", "patients.csv")  # what other stages read
    stages = [
        one
        for one in STAGES
        if not expensive & set(one.command)
        and one.makes not in spoils
        and (one.command[0] == what) == (what == "evaluate")
    ]
    monkeypatch.chdir(alone)
    for stage in stages:
        assert run(*stage.command).code == 0
    request.getfixturevalue("set_back")
    looks = Back.looks
    monkeypatch.chdir(folder)
    said = ""
    more = [("info", "c.h5"), ("info", "s.db"), ("info", "m2"), ("tune", "--show", "--study", "s.db")]
    for command in [*(stage.command for stage in stages), *(more if what != "evaluate" else [])]:
        ran = run(*command)
        assert ran.code == 0, (command, ran.err)
        said += ran.out + ran.err
    assert Back.looks > looks + 10
    assert not _NEGATIVE.search(said), _NEGATIVE.findall(said)
    for stage in stages:
        if stage.makes != "t.csv":  # whose columns are times
            assert stage.read(folder / stage.makes) == stage.read(alone / stage.makes), stage.command
