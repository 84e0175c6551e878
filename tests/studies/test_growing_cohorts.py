"""A study on a cache that changed: it goes on where nothing that a score depends on did, and else says what did."""

import json
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cohort.exclusions import Exclusion
from lymphofeat.errors import StudyError
from lymphofeat.final.submit import submit
from lymphofeat.progress import Silent
from lymphofeat.studies import tune

from ..helpers.commands import runner
from ..helpers.extracted import SETTINGS
from ..helpers.growing import Bags, bags_of, saved, table_of_visits, with_folds_of, with_test_patients
from ..helpers.simulated import noise_cohort
from .test_study import trials_of

HEADS = ("logistic", "lda")
N_TRIALS, N_MORE = 3, 10


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return table_of_visits()


@pytest.fixture(scope="module")
def bags(table: pd.DataFrame) -> Bags:
    return bags_of(table)


@pytest.fixture(scope="module")
def cache(table: pd.DataFrame, bags: Bags, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("cache") / "c.h5", table, bags)


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was tuned in one go."""
    path = tmp_path_factory.mktemp("whole") / "s.db"
    tune(cache, path, heads=HEADS, n_trials=N_MORE, repeats=2)
    return path


@pytest.fixture
def study(cache: Path, tmp_path: Path) -> Path:
    tune(cache, tmp_path / "s.db", heads=HEADS, n_trials=N_TRIALS, repeats=2)
    return tmp_path / "s.db"


class Told(Silent):
    """A progress that remembers its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize(
    ("change", "jobs"), [("test patients", 1), ("order", 1), pytest.param("order", 2, marks=pytest.mark.slow)]
)
def test_a_study_goes_on_where_nothing_changed_that_its_scores_depend_on(
    change: str,
    jobs: int,
    table: pd.DataFrame,
    bags: Bags,
    cache: Path,
    study: Path,
    whole: Path,
    tmp_path: Path,
) -> None:
    now = (
        (table.sample(frac=1, random_state=3), bags) if change == "order" else with_test_patients(table, bags)
    )
    other = with_folds_of(saved(tmp_path / "o.h5", *now), cache)
    told = Told()
    tune(other, study, heads=HEADS, n_trials=N_MORE, repeats=2, jobs=jobs, progress=told)
    assert any("nothing that its scores depend on" in note for note in told.notes)
    assert trials_of(study) == trials_of(whole)
    submit(other, study, tmp_path / "submission.csv")
    ids = open_cache(other).patients.query("split == 'test'")["id"]
    assert list(pd.read_csv(tmp_path / "submission.csv")["Id"]) == list(ids)


def test_several_encodings_of_fine_tuned_and_frozen_encoders_go_on_together(
    table: pd.DataFrame, bags: Bags, tmp_path: Path
) -> None:
    def joint(path: Path, now: pd.DataFrame, own: Bags) -> Path:
        saved(path, now, own)
        tuned = {f"tuned-{k}": {name: (k + 2) * own[name] for name in now["id"]} for k in range(3)}
        families, blind = dict.fromkeys(tuned, "tuned"), {f"tuned-{k}": [k] for k in range(3)}
        now = now.reset_index(drop=True)
        save_cache(path, now, tuned, n_folds=3, encoder_families=families, blind_to=blind)
        return path

    options: dict[str, Any] = {"heads": ["logistic"], "encoding": "frozen,tuned", "inputs": ["image"]}
    cache = joint(tmp_path / "c.h5", table, bags)
    tune(cache, tmp_path / "whole.db", n_trials=6, **options)
    tune(cache, tmp_path / "s.db", n_trials=1, **options)
    grown, other_bags = with_test_patients(table, bags)
    other = joint(tmp_path / "o.h5", grown.sample(frac=1, random_state=2), other_bags)
    tune(with_folds_of(other, cache), tmp_path / "s.db", n_trials=6, **options)
    assert trials_of(tmp_path / "s.db") == trials_of(tmp_path / "whole.db")


def _labels(table: pd.DataFrame, bags: Bags) -> tuple[pd.DataFrame, Bags, str]:
    first = table.index[0]
    return (
        table.assign(label=table["label"].where(table.index != first, 1 - table["label"])),
        bags,
        "the label of {0}",
    )


def _new(table: pd.DataFrame, bags: Bags) -> tuple[pd.DataFrame, Bags, str]:
    more = table.iloc[:5].assign(id=[f"N{i}" for i in range(5)], birth="")
    grown = pd.concat([table.iloc[1:], more])
    grown.loc[grown["id"] == "N4", "label"] = table["label"].iloc[4]
    words = "4 patients are new (N1, N2, N3 and 1 more)"
    return grown[grown["id"] != "N0"], bags | {f"N{i}": bags[table["id"].iloc[i]] for i in range(5)}, words


def _gone(table: pd.DataFrame, bags: Bags) -> tuple[pd.DataFrame, Bags, str]:
    changed = table.copy()
    changed.loc[changed.index[1], ["split", "label"]] = ["test", -1]
    return changed.iloc[1:], bags, "1 patient is gone ({0}), 1 patient has no training label now ({1})"


def _values(table: pd.DataFrame, bags: Bags) -> tuple[pd.DataFrame, Bags, str]:
    return (
        table.assign(age=table["age"].where(table.index > 1, 33.0)),
        bags,
        "the clinical values of 2 patients ({0}, {1})",
    )


def _features(table: pd.DataFrame, bags: Bags) -> tuple[pd.DataFrame, Bags, str]:
    name = table["id"].iloc[0]
    return (
        table,
        bags | {name: np.nextafter(bags[name], np.float32(9))},
        "the features of {0} changed, though",
    )


def _images(table: pd.DataFrame, bags: Bags) -> tuple[pd.DataFrame, Bags, str]:
    name = table["id"].iloc[0]
    more = table.assign(n_images=table["n_images"].where(table["id"] != name, table["n_images"] + 1))
    return more, bags | {name: np.concatenate([bags[name], bags[name][:1]])}, "the images of {0} changed"


def _person(table: pd.DataFrame, bags: Bags) -> tuple[pd.DataFrame, Bags, str]:
    return table.assign(birth=""), bags, "other records than before may be of one person"


@pytest.mark.parametrize("change", [_labels, _new, _gone, _values, _features, _images, _person])
def test_what_changed_is_said_in_words_and_nothing_is_written(
    change: Any, table: pd.DataFrame, bags: Bags, cache: Path, whole: Path, tmp_path: Path
) -> None:
    changed, other_bags, words = change(table, bags)
    other = with_folds_of(saved(tmp_path / "o.h5", changed, other_bags), cache)
    before = whole.read_bytes()
    with pytest.raises(StudyError) as tuned:
        tune(other, whole, heads=HEADS, n_trials=N_MORE + 1, repeats=2)
    with pytest.raises(StudyError) as submitted:
        submit(other, whole, tmp_path / "submission.csv")
    assert str(tuned.value) == str(submitted.value)
    assert words.format(*table["id"]) in str(tuned.value)
    new = whole.with_name("s-2.db")
    assert f"`lymphofeat tune --cache {other} --study {new}`" in str(tuned.value)
    assert whole.read_bytes() == before


def test_a_study_of_a_version_without_a_list_of_its_patients(
    table: pd.DataFrame, bags: Bags, cache: Path, study: Path, whole: Path, tmp_path: Path
) -> None:
    grown = with_folds_of(saved(tmp_path / "o.h5", *with_test_patients(table, bags)), cache)
    more, other_bags, words = _new(table, bags)
    labelled = with_folds_of(saved(tmp_path / "n.h5", more, other_bags), cache)
    before_lists(study)
    with pytest.raises(
        StudyError, match="by an earlier version, whose studies keep no list to tell what changed"
    ):
        tune(grown, study, heads=HEADS, n_trials=N_MORE, repeats=2)
    with pytest.raises(StudyError, match=re.escape(words)):  # as far as it is known
        tune(labelled, study, heads=HEADS, n_trials=N_MORE, repeats=2)
    # On the cache that it was made from it goes on, and from then on it knows its patients.
    tune(cache, study, heads=HEADS, n_trials=N_TRIALS + 1, repeats=2)
    tune(grown, study, heads=HEADS, n_trials=N_MORE, repeats=2)
    assert trials_of(study) == trials_of(whole)


def test_a_laboratory_adds_patients_week_by_week(tmp_path: Path) -> None:
    cohort, path, study = noise_cohort(tmp_path / "cohort", 14, 4), tmp_path / "c.h5", tmp_path / "s.db"
    patients = {patient.id: patient for patient in cohort.patients}

    def extracted(ids: Sequence[str], **options: Any) -> None:
        extract_frozen(
            replace(cohort, patients=tuple(patients[name] for name in ids), **options), path, SETTINGS
        )

    train, test = [f"P{i}" for i in range(12)], ["P14", "P15"]
    extracted([*train, *test])
    tune(path, study, heads=["logistic"], n_trials=4, repeats=2)
    tune(path, tmp_path / "whole.db", heads=["logistic"], n_trials=8, repeats=2)
    # New test patients, one gone, rows sorted anew.
    extracted(["P17", *train[::-1], "P16", "P15"])
    told = Told()
    tune(path, study, heads=["logistic"], n_trials=8, repeats=2, progress=told)
    assert any("nothing that its scores depend on" in note for note in told.notes)
    assert trials_of(study) == trials_of(tmp_path / "whole.db")
    assert submit(path, study, tmp_path / "submission.csv").ids == ("P17", "P16", "P15")
    # New labelled patients, and one who is excluded.
    extracted([*train[1:], "P12", "P13"], exclusions=(Exclusion("P0", "", "wrong stain", 4, 0, "train"),))
    words = (
        "2 patients are new (P12, P13), 1 patient was excluded (P0: wrong stain); its trials stay as they are"
    )
    with pytest.raises(StudyError, match=re.escape(words)):
        tune(path, study, heads=["logistic"], n_trials=9, repeats=2)


def before_lists(study: Path) -> None:
    """Make a study what an earlier version wrote: IDs, labels, folds and persons of its patients only."""
    with sqlite3.connect(study) as database:
        (kept,) = database.execute(
            "SELECT value_json FROM study_user_attributes WHERE key = 'patients'"
        ).fetchone()
        old = {
            key: value
            for key, value in json.loads(kept).items()
            if key in ("ids", "labels", "folds", "persons")
        }
        database.execute(
            "UPDATE study_user_attributes SET value_json = ? WHERE key = 'patients'", [json.dumps(old)]
        )
        database.execute("DELETE FROM lymphofeat_predictions WHERE number = -1")  # the digest of all this
    database.close()


def test_info_says_how_the_cache_changed(
    table: pd.DataFrame,
    bags: Bags,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    run = runner(monkeypatch, capsys)
    own, study = tmp_path / "caches" / "c.h5", tmp_path / "studies" / "s.db"
    saved(own, table, bags)
    tune(Path("caches/c.h5"), study, heads=HEADS, n_trials=1)
    before = run("info", "s").out
    assert "changed" not in before
    with_folds_of(saved(own.with_name("t.h5"), *with_test_patients(table, bags)), cache).replace(own)
    assert "changed since s.db was begun, but nothing that its scores" in run("info", "s").out.replace(
        "\n", " "
    )
    changed, _, words = _labels(table, bags)
    with_folds_of(saved(own.with_name("t.h5"), changed, bags), cache).replace(own)
    shown = run("info", "s").out.replace("\n", " ")
    assert words.format(*table["id"]) in shown
    assert "lymphofeat tune --cache caches/c.h5 --study studies/s-2.db" in shown
    own.unlink()
    assert run("info", "s").out == before
