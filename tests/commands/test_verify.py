"""`verify` on the command line: faults as lines, exit code 1, nothing written."""

from pathlib import Path

import pytest

from lymphofeat.studies import tune

from ..helpers.caches import frozen_cache
from ..helpers.commands import Run, runner


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


def test_sound_or_not(run: Run, tmp_path: Path) -> None:
    frozen_cache(tmp_path / "cache" / "features.h5", n=12, n_test=2)
    tune(tmp_path / "cache" / "features.h5", tmp_path / "studies" / "s.db", n_trials=1, heads=["logistic"])
    assert run("verify").code == 0
    ran = run("verify", "s")
    assert ran.code == 0
    assert ran.out.splitlines()[0] == "studies/s.db: an Optuna study"
    assert ran.out.splitlines()[-1] == "Nothing is wrong with what was checked."
    study = tmp_path / "studies" / "s.db"
    study.write_bytes(study.read_bytes().replace(b'"base64": "', b'"base64": "+', 1))
    before = study.read_bytes()
    ran = run("verify", "s")
    assert ran.code == 1
    assert any(line.startswith("✗ studies/s.db: ") for line in ran.out.splitlines())
    assert ran.out.splitlines()[-1].endswith("found.")
    quiet = run("verify", "-q", "s")
    assert (quiet.code, quiet.out) == (1, "")
    assert quiet.err.startswith("Error: studies/s.db: ")
    assert study.read_bytes() == before


def test_what_cannot_be_verified(run: Run, tmp_path: Path) -> None:
    ran = run("verify", "nothing.h5")
    assert ran.code == 2
    assert "nothing.h5 is not there" in ran.err
    tune(frozen_cache(tmp_path / "c.h5", n=12, n_test=2), tmp_path / "s.db", n_trials=1, heads=["logistic"])
    ran = run("verify", "s.db", "--repair")
    assert ran.code == 2
    assert "are for a cache" in ran.err
