"""Records of persons with several visits, from the cache to the model card, as users see them."""

import json
from pathlib import Path

import numpy as np
import pytest

from lymphofeat import load_study, open_cache, save_cache
from lymphofeat.estimates.scores import bootstrap
from lymphofeat.studies.store import PERSONS, open_store

from ..helpers.caches import features, patients
from ..helpers.commands import Run, runner

N, N_TEST = 36, 4
MALIGNANT, PERSONS_THERE = 16, 13


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in this process, in an empty folder with a cache: labelled persons have up to three records."""
    monkeypatch.chdir(tmp_path)
    table = patients(N, N_TEST)
    table["person"] = ""
    of_class = table["label"].to_numpy()
    for label in (0, 1):
        rows = np.flatnonzero(of_class == label)
        table.loc[rows, "person"] = [f"H{label}{k // 3}" for k in range(len(rows))]
    save_cache(tmp_path / "c.h5", table, {"frozen": features(table)}, n_folds=3)
    return runner(monkeypatch, capsys)


WORDS = f"{N} records of {PERSONS_THERE} persons ({MALIGNANT} malignant records)"
LABELLED = WORDS.replace("records", "labelled records", 1)
FEW = ("--cache", "c.h5", "--heads", "logistic", "--trials", "1")


def said(run: Run, *arguments: str) -> str:
    ran = run(*arguments)
    assert ran.code == 0, ran.err
    return " ".join(ran.out.split())


def test_screens_and_cards_say_records_and_persons(run: Run, tmp_path: Path) -> None:
    for command in (("tune", *FEW), ("tune", "--show")):
        text = said(run, *command)
        assert LABELLED in text
        assert "bootstrap interval by person" in text
    text = said(run, "compare", "c.h5", "--pipelines", "clinical")
    assert LABELLED in text
    assert "bootstrap interval by person" in text
    said(run, "export", "model", "--cache", "c.h5")
    card = " ".join((tmp_path / "model" / "README.md").read_text().split())
    assert WORDS in card
    assert "bootstrap by person" in card
    assert "by patient" not in card


@pytest.mark.slow
def test_an_evaluation_says_records_and_persons(run: Run, tmp_path: Path) -> None:
    text = said(run, "evaluate", *FEW, "--json", "e.json")
    assert WORDS in text
    assert "intervals by person" in text
    record = json.loads((tmp_path / "e.json").read_text())
    assert (record["patients"], record["persons"], record["malignant"]) == (N, PERSONS_THERE, MALIGNANT)
    said(run, "tune", *FEW)
    said(run, "export", "model", "--cache", "c.h5", "--evaluation", "e.json")
    assert WORDS in (tmp_path / "model" / "README.md").read_text()


def test_a_study_keeps_who_is_one_person(run: Run, tmp_path: Path) -> None:
    few = ("tune", "--cache", "c.h5", "--heads", "logistic", "--trials")
    assert run(*few, "2").code == 0
    study = tmp_path / "studies" / "study.db"
    cache, best = open_cache(tmp_path / "c.h5"), load_study(study).best
    groups = cache.groups[cache.labelled]
    by_person = bootstrap("auc", best.y, best.scores.probabilities, decision=best.decisions, groups=groups)
    assert best.interval("auc") == by_person.interval()
    assert best.interval("auc") != bootstrap("auc", best.y, best.scores.probabilities).interval()
    # A study of a version that did not keep it learns it from the cache when the search goes on.
    with open_store(study) as store:
        for key in (PERSONS, "clinical", "images", "features"):
            del store.patients[key]
        store._predictions.keep_seal(None)  # nor had it a digest
        store._study.set_user_attr("patients", store.patients)
    assert load_study(study).n_persons is None
    assert run(*few, "3").code == 0
    assert load_study(study).n_persons == PERSONS_THERE
