"""A study keeps the command that made it, the versions and the machine, and is the same study without them."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from lymphofeat.errors import StudyError
from lymphofeat.studies import load_study, tune

from ..helpers.caches import frozen_cache

BEFORE = Path(__file__).parents[1] / "data" / "before_rooms" / "study.db"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("c") / "c.h5")


def called(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["lymphofeat", *words])


def test_it_keeps_the_last_command_that_added_trials(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "s.db"
    for trials, kept in ((2, 2), (3, 3), (1, 3)):  # the last one adds none
        called(monkeypatch, "tune", "--cache", str(cache), "--trials", str(trials))
        tune(cache, study, n_trials=trials, heads=["lda"], inputs=["clinical"])
        assert load_study(study).by["command"] == f"lymphofeat tune --cache c.h5 --trials {kept}"
    made = load_study(study).by
    assert made["python"] == sys.version.split()[0]
    assert str(tmp_path) not in " ".join(made.values())


def test_a_study_of_before_has_none_and_reads_as_before() -> None:
    assert load_study(BEFORE).by == {}


def test_another_command_written_into_the_file_is_found(cache: Path, tmp_path: Path) -> None:
    study = tmp_path / "s.db"
    tune(cache, study, n_trials=1, heads=["lda"], inputs=["clinical"])
    with closing(sqlite3.connect(study)) as file, file:
        column = "SET value_json = replace(value_json, '\"python\"', '\"pyth0n\"')"
        changed = file.execute(f"UPDATE study_user_attributes {column} WHERE key = 'made_by'").rowcount
    assert changed == 1
    with pytest.raises(StudyError, match="is damaged"):
        load_study(study)
