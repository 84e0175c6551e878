"""A hospital's export goes from `init` to predictions with one settings file and no code, as docs/hospital.md says."""

import re
from pathlib import Path

import pandas as pd
import pytest

from lymphofeat.cache import open_cache

from .helpers.commands import Run, runner
from .helpers.hospital import Arrangement, hospital_export

QUICK = ["--trials", "2", "--heads", "logistic,late"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


def done(run: Run, *arguments: object) -> str:
    ran = run(*arguments)
    assert ran.code == 0, ran.err
    return ran.out


def answered(path: Path) -> None:
    """Uncomment the clinical sections, as a user does who wants all of them."""
    text = path.read_text(encoding="utf-8")
    head, mark, tail = text.partition("# QUESTION: which of")
    assert mark
    _, _, sections = tail.partition("\n")
    path.write_text(head + "\n" + re.sub(r"(?m)^# ?(?=\[|\w+ = )", "", sections), encoding="utf-8")


@pytest.mark.parametrize(
    "arrangement",
    ["flat", pytest.param("folders", marks=pytest.mark.slow), pytest.param("table", marks=pytest.mark.slow)],
)
def test_from_the_export_to_predictions(arrangement: Arrangement, run: Run, tmp_path: Path) -> None:
    export = hospital_export(tmp_path, arrangement)
    assert "may a model use?" in done(run, "init", export.root)
    answered(export.root / "lymphofeat.toml")
    checked = done(run, "check", export.root)
    assert "2 patients are left out, without a label: F8 and F12" in " ".join(checked.split())
    done(run, "extract", export.root)
    cache = open_cache("cache/features.h5")
    assert list(cache.patients["id"]) == export.ids
    assert {"age", "sex", "lymphocyte_count"} < set(cache.clinical.columns)
    assert len(cache.clinical.columns) == 7
    assert cache.groups[export.ids.index("F3")] == cache.groups[export.ids.index("F5")]
    done(run, "tune", *QUICK)
    done(run, "evaluate", *QUICK, "--out", "evaluation")
    done(run, "export", "model", "--evaluation", "evaluation/evaluate.json")
    done(run, "predict", "model", export.new, "--clinical", export.table)
    found = pd.read_csv("predictions.csv", dtype={"id": str})
    assert list(found["id"]) == ["F25", "F26"]
    assert found["probability"].between(0, 1).all()
    assert not found["warnings"].fillna("").str.contains("missing").any()
    done(run, "predict", "model", export.root, "--out", "all.csv")
    everybody = pd.read_csv("all.csv", dtype={"id": str})
    assert sorted(everybody["id"]) == sorted([*export.ids, "F8", "F12"])  # the pending ones as well
