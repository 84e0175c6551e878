"""Commands as users type them, run in this process."""

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from lymphofeat import cli

__all__ = ["Ran", "Run", "runner"]


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int = 500) -> Run:
    """Runs a command with its arguments; by default so wide that no sentence is broken within a path."""
    monkeypatch.setenv("COLUMNS", str(columns))

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["lymphofeat", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Ran(int(ended.value.code or 0), said.out, said.err)

    return run
