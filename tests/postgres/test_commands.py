"""Every command that takes --study takes an address, and none shows or keeps its password."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from ..helpers.caches import frozen_cache
from ..helpers.commands import Ran, runner
from .server import DATABASE, PASSWORD, USER, Server

SAFE = quote(PASSWORD, safe="")
Do = Callable[..., Ran]


@pytest.fixture
def do(
    started: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Do:
    """Runs a command that must succeed and must not show the password, in a folder with a cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PGPASSWORD", raising=False)
    frozen_cache(tmp_path / "cache" / "features.h5", n=24, n_test=3)
    run = runner(monkeypatch, capsys)

    def command(*arguments: object) -> Ran:
        ran = run(*arguments)
        assert ran.code == 0, (arguments, ran)
        assert not secret_in(ran.out + ran.err)
        return ran

    return command


def secret_in(text: str) -> bool:
    return PASSWORD in text or SAFE in text


def files_with_secret(folder: Path) -> list[str]:
    secrets = (PASSWORD.encode(), SAFE.encode())
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(secret in path.read_bytes() for secret in secrets)]


def database_text(server: Server) -> str:
    """All that the database keeps of studies and trials."""
    tables = ("studies", "study_user_attributes", "trial_user_attributes", "lymphofeat_predictions")
    with psycopg.connect(
        host="127.0.0.1", port=server.port, user=USER, password=PASSWORD, dbname=DATABASE
    ) as connection:
        return "".join(
            str(connection.execute(f"SELECT * FROM {table}").fetchall())  # type: ignore[call-overload]
            for table in tables
        )


def test_commands_take_an_address_and_keep_its_password_to_themselves(
    do: Do, started: Server, tmp_path: Path
) -> None:
    with_password, address = started.address("shown", password=SAFE), started.address("shown")
    tuned = do("tune", "--study", with_password, "--trials", 2, "--heads", "logistic").out
    assert tuned.startswith(f"Study {address}: 2 finished trials")
    assert f"Next: lymphofeat evaluate --study {address}: " in tuned
    shown = do("tune", "--show", "--study", with_password).out
    assert f"See: lymphofeat report --study {address}: " in shown
    assert do("info", with_password).out.startswith(f"Study {address}: 2 finished trials")
    assert do("verify", with_password).out.splitlines()[0] == f"{address}: an Optuna study in PostgreSQL"
    do("submit", "--study", with_password)
    assert "shown" in (tmp_path / "studies" / "submissions.csv").read_text(encoding="utf-8")
    text = database_text(started)
    assert "'shown'" in text
    assert not secret_in(text)
    assert files_with_secret(tmp_path) == []


def test_an_address_that_is_none_ends_the_command_without_its_password(
    started: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runner(monkeypatch, capsys)
    without_name = started.address("s", password=SAFE).removesuffix("/s")
    for arguments in (
        ("tune", "--study", without_name),
        ("tune", "--cache", started.address("s", password=SAFE)),
        ("tune", "--studie", started.address("s", password=SAFE)),
        ("info", without_name),
        ("pack", started.address("s", password=SAFE), "x.h5", "y.h5"),
    ):
        ran = run(*arguments)
        assert ran.code == 2, arguments
        assert not secret_in(ran.err + ran.out)


@pytest.mark.slow
def test_the_other_commands_do_as_well(do: Do, started: Server, tmp_path: Path) -> None:
    address = started.address("all", password=SAFE)
    do("tune", "--study", address, "--trials", 2, "--heads", "logistic")
    do("evaluate", "--study", address, "--trials", 1, "--heads", "logistic", "--out", "evaluation")
    assert (tmp_path / "studies" / "all-nested" / "evaluate.json").exists()
    do("explain", "P003", "--study", address)
    do("export", "model", "--study", address, "--evaluation", "evaluation/evaluate.json")
    do("report", "--study", address)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "all" in page
    assert not secret_in(database_text(started))
    assert files_with_secret(tmp_path) == []
