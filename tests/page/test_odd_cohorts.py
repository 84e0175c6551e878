"""Reports of odd cohorts, of half a work, and of files that are not what they should be."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lymphofeat import evaluate, save_cache, tune, write_report
from lymphofeat.errors import InputError
from lymphofeat.report.assess import write_json

from ..helpers.caches import features, frozen_cache, patients
from ..helpers.commands import Run, runner
from ..helpers.pages import words_of

FAST: dict[str, Any] = {"heads": ["logistic"], "n_trials": 2}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in this process, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


def small_cache(folder: Path, table: pd.DataFrame, n_folds: int = 3) -> None:
    save_cache(folder / "c.h5", table, {"frozen": features(table)}, n_folds=n_folds, n_repeats=1)


def evaluated(folder: Path) -> None:
    """Tune and evaluate the folder's cache in a few trials."""
    tune(folder / "c.h5", folder / "s.db", **FAST)
    found = evaluate(folder / "c.h5", folder / "s.db", **FAST)
    write_json(found.assessment, folder / "s-nested" / "evaluate.json", force=True)


def page_of(folder: Path, **options: Any) -> str:
    """The page of the folder's cache and study."""
    out = folder / "report.html"
    write_report(folder / "c.h5", folder / "s.db", out, kept=folder / "studies", force=True, **options)
    page = out.read_text(encoding="utf-8")
    assert _slips(page) == []
    return page


def _slips(page: str) -> list[str]:
    """Words that are Python's and no reader's, and links to what is not on the page."""
    words = re.findall(r"(?<![\w-])(?:nan|NaN|NaT|inf|np\.\w+)(?![\w-])", words_of(page))
    alone = re.findall(r">\s*None\s*<|[:,(] None\b", page)
    ids = set(re.findall(r'\bid="([^"]+)"', page))
    return [*words, *alone, *(link for link in re.findall(r'href="#([^"]+)"', page) if link not in ids)]


def test_slips_are_found() -> None:
    assert _slips(
        '<td>nan</td><td>None</td><p id="a">None was left. <a href="#a">a</a><a href="#b">b</a>'
    ) == [
        "nan",
        ">None<",
        "b",
    ]


def test_without_clinical_values(tmp_path: Path) -> None:
    small_cache(tmp_path, patients(24, 4)[["id", "split", "label", "n_images"]])
    evaluated(tmp_path)
    page_of(tmp_path)


def test_a_head_on_clinical_values_alone(tmp_path: Path) -> None:
    """Its cells drive nothing, which the page says instead of showing them in an order that means nothing."""
    small_cache(tmp_path, patients(24, 4))
    tune(tmp_path / "c.h5", tmp_path / "s.db", **FAST, inputs=["clinical"])
    page_of(tmp_path)


def test_a_class_with_the_fewest_patients(tmp_path: Path, run: Run) -> None:
    """One patient of a class makes no cache; two do, and the page says why there is nothing to evaluate."""
    table = patients(14, 2)
    for n in (1, 2):
        table["label"] = np.where(table["split"] == "train", (np.arange(16) < n).astype(int), -1)
        if n == 1:
            with pytest.raises(
                InputError, match=r"need at least 2 malignant persons, and the cohort has 1; add patients"
            ):
                small_cache(tmp_path, table, n_folds=2)
    small_cache(tmp_path, table, n_folds=2)
    tune(tmp_path / "c.h5", tmp_path / "s.db", **FAST)
    page = words_of(page_of(tmp_path))
    assert "14 labelled" in page
    assert "lymphofeat evaluate" in page


def test_no_test_part_and_one_image_each(tmp_path: Path) -> None:
    small_cache(tmp_path, patients(24, 0).assign(n_images=1))
    tune(tmp_path / "c.h5", tmp_path / "s.db", **FAST)
    page_of(tmp_path)


@pytest.mark.slow
def test_two_thousand_patients(tmp_path: Path) -> None:
    """Pages for the wrong and the uncertain ones; all others in a table; still a file to send by mail."""
    small_cache(tmp_path, patients(2000, 100).assign(n_images=2))
    evaluated(tmp_path)
    page = page_of(tmp_path)
    assert len(page) < 25e6
    assert "2000 labelled" in words_of(page)


def test_nothing_has_been_run(tmp_path: Path, run: Run) -> None:
    """A cache alone makes a page of gaps, each with its command; without one there is a sentence."""
    missing = run("report", "--cache", "c.h5")
    assert (missing.code, missing.out) == (2, "")
    assert "c.h5" in missing.err
    assert "lymphofeat extract" in missing.err
    assert list(tmp_path.iterdir()) == []
    frozen_cache(tmp_path / "c.h5", n=24)
    ran = run("report", "--cache", "c.h5", "--figures", "figures")
    assert ran.code == 0, ran.err
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert _slips(page) == []
    for command in ("tune", "evaluate", "compare"):
        assert f"lymphofeat {command}" in ran.out
        assert f"lymphofeat {command}" in words_of(page)


@pytest.mark.parametrize(
    ("study", "sentence"),
    [
        (b"", "s.db is"),
        (b"not a database at all, but a few words", "s.db is not a study"),
        (b"SQLite format 3\0" + bytes(84), "s.db is damaged"),
        (None, "another cohort"),
    ],
    ids=["empty", "words", "broken", "of another cohort"],
)
def test_a_study_that_is_none(tmp_path: Path, run: Run, study: bytes | None, sentence: str) -> None:
    frozen_cache(tmp_path / "c.h5", n=24)
    if study is None:
        frozen_cache(tmp_path / "other.h5", n=30, seed=5)
        tune(tmp_path / "other.h5", tmp_path / "s.db", **FAST)
    else:
        (tmp_path / "s.db").write_bytes(study)
    _refused(run, tmp_path, sentence, "--study", "s.db")


@pytest.mark.parametrize("option", ["--evaluation", "--comparison"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        (b"", "is not what"),
        (b"\xff\xfe\0", "is not what"),
        (b"[1, 2]", "is not what"),
        (b'{"tables": {}}', "is not what"),
        (b"[" * 100_000, "is not what"),
    ],
    ids=["missing", "empty", "binary", "a list", "too little", "too deep"],
)
def test_a_record_that_is_none(
    tmp_path: Path, run: Run, option: str, content: bytes | None, sentence: str
) -> None:
    frozen_cache(tmp_path / "c.h5", n=24)
    if content is not None:
        (tmp_path / "kept.json").write_bytes(content)
    _refused(run, tmp_path, sentence, option, "kept.json")


def test_a_folder_without_a_record(tmp_path: Path, run: Run) -> None:
    frozen_cache(tmp_path / "c.h5", n=24)
    (tmp_path / "empty").mkdir()
    _refused(run, tmp_path, "cannot be read", "--evaluation", "empty")
    _refused(run, tmp_path, "cannot be read", "--comparison", "empty")


def test_a_page_that_cannot_be_written(tmp_path: Path, run: Run) -> None:
    frozen_cache(tmp_path / "c.h5", n=24)
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "mine.html").write_text("mine", encoding="utf-8")
    (tmp_path / "figures").write_text("a file", encoding="utf-8")
    _refused(run, tmp_path, "folder.html", "--out", "folder.html")
    _refused(run, tmp_path, "exists already; give --force", "--out", "mine.html")
    _refused(run, tmp_path, "figures", "--figures", "figures")
    assert (tmp_path / "mine.html").read_text(encoding="utf-8") == "mine"


def _refused(run: Run, folder: Path, sentence: str, *options: str) -> None:
    """One sentence, exit code 2, and nothing more or less on the disk than before."""
    before = _listing(folder)
    ran = run("report", "--cache", "c.h5", *options)
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err
    assert "Traceback" not in ran.err
    assert _listing(folder) == before


def _listing(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if not path.name.endswith(".lock")
    }
