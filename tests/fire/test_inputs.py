"""Every malformed input gets a sentence and exit code 2; nothing is written, and no code in it is run."""

import shutil
from pathlib import Path

import pytest

from lymphofeat.commands.common import COHORT_VARIABLE

from ..helpers.commands import runner
from .inputs.malformed import Malformed
from .inputs.to_extract import TO_EXTRACT
from .inputs.to_import import TO_IMPORT
from .inputs.to_models import TO_MODELS
from .inputs.whole import listing, make_whole

MALFORMED = [*TO_EXTRACT, *TO_IMPORT, *TO_MODELS]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_whole(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("one", MALFORMED, ids=lambda one: one.name)
def test_a_sentence_and_nothing_else(
    one: Malformed,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = shutil.copytree(whole, tmp_path / "w", copy_function=shutil.copy)
    monkeypatch.chdir(folder)
    monkeypatch.delenv(COHORT_VARIABLE, raising=False)
    one.make(folder)
    before = listing(folder)
    ran = runner(monkeypatch, capsys)(*one.command)
    assert ran.code == 2, ran
    assert "Error: " in ran.err
    assert one.said in ran.err
    assert "Traceback" not in ran.err
    after = listing(folder)
    begun = {name for name in after if one.command[0] == "extract" and name.endswith(".partial")}
    assert {name: held for name, held in after.items() if name not in begun} == before


def test_their_number() -> None:
    names = [one.name for one in MALFORMED]
    assert len(set(names)) == len(names) >= 60
    print(f"{len(names)} malformed inputs over {len({one.command[0] for one in MALFORMED})} commands")
