"""Optuna's tables are asked for once: files are as Optuna makes them, and those of another release are refused."""

import sqlite3
from pathlib import Path

import optuna
import pytest

from lymphofeat.errors import StudyError
from lymphofeat.studies.store import create_store, open_store


def dumped(path: Path, *names: str) -> list[tuple[str, list[object]]]:
    database = sqlite3.connect(path)
    found = [(name, list(database.execute(f"SELECT * FROM {name}"))) for name in names]
    found.append(("schema", sorted(database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))))
    database.close()
    return found


def test_a_second_file_has_the_tables_that_optuna_makes(tmp_path: Path) -> None:
    names = ("alembic_version", "version_info")
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'optuna.db'}")
    optuna.create_study(storage=storage)
    storage.remove_session()
    storage.engine.dispose()
    whole = dumped(tmp_path / "optuna.db", *names)
    for name in ("a.db", "b.db"):
        create_store(tmp_path / name, {}, {}, "maximize")
        made = dumped(tmp_path / name, *names)
        assert made[:-1] == whole[:-1]
        assert set(map(str, whole[-1][1])) <= set(map(str, made[-1][1]))  # and a table of our own


@pytest.mark.parametrize("revision", ["v1.3.0.a", "v99.0.0.a"])
@pytest.mark.parametrize("first", [True, False])
def test_tables_of_another_release_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str, *, first: bool
) -> None:
    path = tmp_path / "s.db"
    create_store(path, {}, {}, "maximize")
    if first:
        monkeypatch.setattr("lymphofeat.studies.tables._newest", [])
    database = sqlite3.connect(path)
    with database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    database.close()
    before = path.read_bytes()
    for _ in range(2):
        with (
            pytest.raises(StudyError, match="written by another version of Optuna: The runtime"),
            open_store(path),
        ):
            pass
    assert path.read_bytes() == before
