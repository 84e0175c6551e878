"""What a report is made of: all of the cache's cohort, nothing of another, a sentence for what cannot be read."""

import json
import shutil
from pathlib import Path

import pytest

from lymphofeat import evaluate, tune, write_report
from lymphofeat.cli import commands
from lymphofeat.errors import InputError, StudyError
from lymphofeat.page.sources import Places, find_sources

from ..helpers.caches import frozen_cache

QUICK = {"n_trials": 2, "heads": ["logistic"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache c.h5 with a study s.db and its evaluation, and another cohort's: other.h5, other.db, other.json."""
    root = tmp_path_factory.mktemp("sources")
    for name, study, n in (("c", "s.db", 24), ("other", "other.db", 20)):
        frozen_cache(root / f"{name}.h5", seed=n, n=n, n_folds=3)
        tune(root / f"{name}.h5", root / study, **QUICK)
        evaluate(root / f"{name}.h5", root / study, **QUICK)
    shutil.move(root / "other-nested" / "evaluate.json", root / "other.json")
    return root


def places(folder: Path, **given: Path) -> Places:
    return Places(folder / "c.h5", given.pop("study", folder / "s.db"), kept=folder / "studies", **given)


def test_what_was_kept_is_found(folder: Path) -> None:
    found = find_sources(places(folder))
    assert found.study is not None
    assert found.evaluation is not None
    kept = json.loads((folder / "s-nested" / "evaluate.json").read_text(encoding="utf-8"))
    assert list(found.evaluation.answer) == kept["answer"]
    predictions = found.evaluation.tables["predictions"]
    assert set(predictions["role"]) >= {"main", "clinical", "image", "shuffled"}
    assert len(predictions[predictions["role"] == "main"]) == 24
    assert found.comparison is None
    assert found.gap("compare").command == f"lymphofeat compare {folder / 'c.h5'}"


def test_a_record_of_another_cohort_is_left_out_or_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("c.h5", "s.db"):
        shutil.copy(folder / name, tmp_path)
    shutil.copytree(folder / "c-encodings", tmp_path / "c-encodings")
    (tmp_path / "s-nested").mkdir()
    shutil.copy(folder / "other.json", tmp_path / "s-nested" / "evaluate.json")
    found = find_sources(places(tmp_path))
    assert found.evaluation is None
    assert "another cohort" in found.gap("evaluate").what
    with pytest.raises(InputError, match="other patients, labels, values or folds"):
        find_sources(places(tmp_path, evaluation=folder / "other.json"))


def test_a_study_of_another_cohort_is_refused(folder: Path) -> None:
    with pytest.raises(StudyError, match="another cohort"):
        find_sources(places(folder, study=folder / "other.db"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is not what `lymphofeat evaluate` writes"),
        ("[]", "is not what `lymphofeat evaluate` writes"),
        ('{"patients": 3}', "is not what `lymphofeat evaluate` writes"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_evaluation_is_refused(
    folder: Path, tmp_path: Path, content: str | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / "evaluate.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=sentence):
        find_sources(places(folder, evaluation=tmp_path / "evaluate.json"))


def test_nothing_is_written_where_something_is_wrong(folder: Path, tmp_path: Path) -> None:
    page, figures = tmp_path / "r.html", tmp_path / "figures"
    with pytest.raises(InputError):
        write_report(
            folder / "c.h5", folder / "s.db", page, evaluation=folder / "other.json", figures=figures
        )
    assert not list(tmp_path.iterdir())
    page.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="exists already"):
        write_report(folder / "c.h5", folder / "s.db", page)
    assert page.read_text(encoding="utf-8") == "mine"


def test_a_cache_alone_makes_a_page_that_says_what_is_missing(folder: Path, tmp_path: Path) -> None:
    found = write_report(
        folder / "c.h5", tmp_path / "none.db", tmp_path / "r.html", kept=tmp_path / "studies"
    )
    text = found.path.read_text(encoding="utf-8")
    runnable = [gap for gap in found.gaps if gap.command]
    assert {gap.command.split()[1] for gap in runnable} >= {"tune", "evaluate", "compare"}
    for gap in runnable:
        assert gap.command.split()[1] in commands.commands
        assert f"<code>{gap.shown}</code>" in text.replace("&#39;", "'")
    assert str(folder) not in text  # a folder may name a person, and the page may leave the house
