"""Every malformed input gets a sentence and exit code 2; nothing is written, and no code in it is run."""

import hashlib
import shutil
from pathlib import Path

import pytest

from lymphofeat.commands.common import COHORT_VARIABLE

from ..helpers.caches import frozen_cache
from ..helpers.commands import runner
from ..helpers.elsewhere import plain_table, simulated, write_stamp
from ..helpers.tiny import tiny_cohort
from .inputs.malformed import Malformed
from .inputs.to_extract import TO_EXTRACT
from .inputs.to_import import TO_IMPORT
from .inputs.to_models import TO_MODELS

MALFORMED = [*TO_EXTRACT, *TO_IMPORT, *TO_MODELS]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cohort, its cache, study and exported model, and features of another toolkit."""
    from lymphofeat import export, extract, tune

    folder = tmp_path_factory.mktemp("whole")
    tiny_cohort(folder / "data", n=12, side=80)
    (folder / "data/lymphofeat.toml").write_text("[images]\nsmallest = 64\n")
    settings = {
        "frozen": True,
        "backbone": "small-cnn",
        "weights": "none",
        "seed": 0,
        "crop": 64,
        "n_folds": 3,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        extract("data", "c.h5", **settings)
        tune("c.h5", "s.db", n_trials=3, heads=["logistic"], inputs=["image"])
        export("c.h5", "s.db", "model")
        frozen_cache(Path("other.h5"))
        given = simulated()
        write_stamp(folder / "features", given, unit="patient")
        plain_table(folder / "patients.csv", given, age="60")
    return folder


def listing(folder: Path) -> dict[str, str]:
    """All files and folders but locks, with what they hold."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
        if not path.name.endswith(".lock")
    }


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
    kept = {name for name in listing(folder) if one.command[0] == "extract" and name.endswith(".partial")}
    assert {name: held for name, held in listing(folder).items() if name not in kept} == before


def test_their_number() -> None:
    names = [one.name for one in MALFORMED]
    assert len(set(names)) == len(names) >= 60
    print(f"{len(names)} malformed inputs over {len({one.command[0] for one in MALFORMED})} commands")
