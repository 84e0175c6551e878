"""`extract --gpus`: several numbers after one option, and GPUs that are not there."""

from pathlib import Path
from typing import Any

import click
import pytest

from lymphofeat.cli import commands

from ..helpers.commands import Run, runner


@pytest.mark.parametrize(
    ("typed", "gpus", "cohort"),
    [
        (["--gpus", "0", "1", "--frozen"], (0, 1), None),
        (["data", "--gpus", "0,2"], (0, 2), Path("data")),
        (["--gpus", "0,1", "3", "data"], (0, 1, 3), Path("data")),
        (["--gpus=0,1", "data"], (0, 1), Path("data")),
        (["--gpus", "0 1", "./2"], (0, 1), Path("2")),
        (["--crop", "64", "2"], None, Path("2")),
    ],
)
def test_numbers_follow_the_option(
    typed: list[str], gpus: tuple[int, ...] | None, cohort: Path | None
) -> None:
    given = commands.commands["extract"].make_context("extract", typed).params
    assert (given["gpus"], given["cohort"]) == (gpus, cohort)


@pytest.mark.parametrize("typed", ["", "a", "-1", "0,b", "²"])
def test_what_is_no_number_is_refused(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="no list of numbers"):
        commands.commands["extract"].make_context("extract", ["--gpus", typed])


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    return runner(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--frozen"], "no GPU 0; torch finds no GPU with CUDA at all"),
        (["--frozen", "--device", "cpu"], "--gpus 0, 1 and --device cpu exclude each other"),
        ([], "cells are measured on the CPU"),
    ],
)
def test_gpus_that_are_not_there_are_a_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: list[Any], message: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = run("extract", *typed, "--gpus", "0", "1")
    assert found.code == 2
    assert message in found.err
    assert not (tmp_path / "cache").exists()
