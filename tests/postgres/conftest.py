"""One server of PostgreSQL for the tests of a process."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from ..helpers.caches import frozen_cache
from .server import PASSWORD, WAYS_OUT, Server, find_server, running

NEEDED = "LYMPHOFEAT_NEEDS_POSTGRES"  # .ci/run sets it


def give_up(lacking: str) -> NoReturn:
    """Skip what needs a server on a user's machine; fail it where the variable says that there must be one."""
    if os.environ.get(NEEDED):
        pytest.fail(f"${NEEDED} is set, but {lacking}")
    pytest.skip(lacking)


@pytest.fixture(scope="session")
def started() -> Iterator[Server]:
    """The process's only server; `server` is the one to use in tests."""
    programs = find_server()
    if programs is None:
        give_up(f"there is no PostgreSQL: `make postgres`, or {WAYS_OUT}")
    with running(programs) as server:
        yield server


@pytest.fixture
def server(started: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, with its password in the environment."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return started


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("postgres") / "features.h5")
