"""`lymphofeat compare` as it is typed."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from lymphofeat import cli
from lymphofeat.commands.common import COHORT_VARIABLE

from ..helpers.compared import compared_cache
from ..helpers.tiny import tiny_cohort


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["lymphofeat", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(COHORT_VARIABLE, raising=False)
    monkeypatch.setenv("COLUMNS", "500")


def test_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    compared_cache(tmp_path / "cache" / "features.h5", pairs=False)
    assert (
        run(monkeypatch, "compare", "--pipelines", "good, end-to-end", "--metric", "auc", "--out", "o") == 0
    )
    said = capsys.readouterr().out
    assert "Compared 13 pipelines in cache/features.h5" in said
    assert "Wrote o/compare.csv, o/compare.md, o/compare.json" in said
    table = pd.read_csv("o/compare.csv")
    assert len(table) == 13
    assert table["auc"].is_monotonic_decreasing
    assert Path("studies/compare.jsonl").exists()
    assert run(monkeypatch, "compare", "cache/features.h5", "-q") == 0
    assert capsys.readouterr().out == ""


def test_what_was_written_is_replaced_only_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compared_cache(tmp_path / "c.h5", pairs=False)
    Path("o").mkdir()
    Path("o/compare.md").write_text("my notes\n")
    arguments = ["compare", "c.h5", "--pipelines", "good", "--out", "o"]
    assert run(monkeypatch, *arguments) == 2
    assert "o/compare.md exists already; give --force" in capsys.readouterr().err
    assert not Path("studies").exists(), "refused before the work"
    assert [p.name for p in Path("o").iterdir()] == ["compare.md"]
    assert Path("o/compare.md").read_text() == "my notes\n"
    assert run(monkeypatch, *arguments, "--force") == 0
    assert Path("o/compare.md").read_text().startswith("# Comparison")


def test_a_cohort_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_cohort(tmp_path / "data", n=16)
    assert run(monkeypatch, "compare", "--device", "cpu") == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    for name in ("majority", "bag-size", "clinical", "colour/image", "resnet18-random0/average"):
        assert f"\n{name} " in said
    assert "No pipeline with a trained encoder was compared" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing.h5"], "nothing.h5: no such cache"),
        (["nowhere"], "nowhere: no such folder"),
        ([], "data: no such folder"),
        (["c.h5", "--pipelines", "avrage"], "did you mean 'average'?"),
    ],
)
def test_mistakes_get_a_sentence_and_write_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    if "c.h5" in arguments:
        compared_cache(tmp_path / "c.h5", pairs=False)
    before = sorted(tmp_path.rglob("*"))
    assert run(monkeypatch, "compare", *arguments, "--out", "o") == 2
    assert sentence in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
