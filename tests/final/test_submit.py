"""Submissions: who is in them, in which order, what they are predicted from, and when they are not written."""

import csv
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lymphofeat.cache import open_cache
from lymphofeat.errors import InputError, StudyError
from lymphofeat.final import submit
from lymphofeat.scoring import one_standard_error_threshold, prevalence_threshold
from lymphofeat.studies import load_study, tune
from lymphofeat.studies.space import build_head

from ..helpers.caches import frozen_cache, relabelled, tuned_cache


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("made")
    cache = frozen_cache(folder / "c.h5")
    tune(cache, folder / "s.db", n_trials=6, repeats=2, heads=["logistic"])
    return cache, folder / "s.db"


def test_equals_the_mean_of_the_best_heads_refitted_on_all_labelled_patients(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "sub.csv"
    summary = submit(*made, out, probabilities=True)
    cache, chosen = open_cache(made[0]), [trial for trial, _ in load_study(made[1]).selected.members]
    assert len(chosen) > 1
    labelled, test = np.flatnonzero(cache.labels >= 0), np.flatnonzero(cache.patients["split"] == "test")
    bags = cache.bags("frozen")
    each = []
    for one in chosen:
        head = build_head(one.params).fit(
            bags.select(labelled), cache.patients.iloc[labelled], cache.labels[labelled]
        )
        each.append(head.predict_proba(bags.select(test), cache.patients.iloc[test])[:, 1])
    p, y = np.mean(each, axis=0), chosen[0].y
    oof = np.mean([one.scores.probabilities for one in chosen], axis=0)
    balanced = [one.params["logistic.class_weight"] == "balanced" for one in chosen]
    prior = float(np.mean([prevalence_threshold(y, balanced=one) for one in balanced]))
    threshold = np.mean([one_standard_error_threshold(y, column, prior=prior) for column in oof.T])
    table = pd.read_csv(out, dtype={"Id": str})
    assert list(table.columns) == ["Id", "Predicted"]
    assert list(table["Id"]) == list(cache.patients["id"].iloc[test])
    np.testing.assert_array_equal(table["Predicted"], (p >= threshold).astype(int))
    with (tmp_path / "deep" / "sub-probabilities.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["Id", "Probability"]
    assert [row[0] for row in rows] == list(table["Id"])
    np.testing.assert_array_equal([float(row[1]) for row in rows], summary.probabilities)
    np.testing.assert_allclose(summary.probabilities, p, atol=1e-12)
    assert (summary.n_models, summary.threshold) == (1, pytest.approx(threshold))
    assert sorted(path.name for path in out.parent.iterdir()) == ["sub-probabilities.csv", "sub.csv"]


@pytest.mark.parametrize("pairs", [False, True])
def test_encoders_trained_per_fold_predict_together(tmp_path: Path, *, pairs: bool) -> None:
    """Those blind to two folds serve nested cross-validation; they take no part in a submission."""
    path = tuned_cache(tmp_path / "c.h5", pairs=pairs)
    tune(path, tmp_path / "s.db", n_trials=5, heads=["logistic"])
    summary = submit(path, tmp_path / "s.db", tmp_path / "sub.csv")
    cache, chosen = open_cache(path), load_study(tmp_path / "s.db").selected.members
    test = np.flatnonzero(cache.patients["split"] == "test")
    each = []
    for k in range(4):
        train = np.flatnonzero((cache.labels >= 0) & (cache.folds[:, 0] != k))
        bags = cache.bags(f"tuned-{k}")
        for one, _ in chosen:
            head = build_head(one.params).fit(
                bags.select(train), cache.patients.iloc[train], cache.labels[train]
            )
            each.append(head.predict_proba(bags.select(test), cache.patients.iloc[test])[:, 1])
    np.testing.assert_allclose(summary.probabilities, np.mean(each, axis=0), atol=1e-12)
    assert summary.n_models == 4


@pytest.mark.parametrize("there", ["sub.csv", "sub-probabilities.csv"])
def test_nothing_is_overwritten_without_force(made: tuple[Path, Path], tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(InputError, match=rf"{there} exists already; give --force"):
        submit(tmp_path / "no-cache.h5", tmp_path / "no-study.db", tmp_path / "sub.csv", probabilities=True)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(there, "mine")]
    submit(*made, tmp_path / "sub.csv", probabilities=True, force=True)
    assert (tmp_path / there).read_text().startswith("Id,")


def test_a_failure_midway_leaves_the_old_files(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sub.csv", "sub-probabilities.csv"):
        (tmp_path / name).write_text("old")
    to_csv, calls = pd.DataFrame.to_csv, []

    def full(self: pd.DataFrame, file: Path | None = None, **options: object) -> str | None:
        calls.extend([file] if file is not None else [])
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return to_csv(self, file, **options)

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OSError, match="No space left"):
        submit(*made, tmp_path / "sub.csv", probabilities=True, force=True)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        "sub.csv": "old",
        "sub-probabilities.csv": "old",
    }


def test_a_study_of_another_cache_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    other = frozen_cache(tmp_path / "other.h5", seed=8)
    with pytest.raises(StudyError, match="another cohort"):
        submit(other, made[1], tmp_path / "sub.csv")
    assert not (tmp_path / "sub.csv").exists()


def test_no_test_patient_no_submission(tmp_path: Path) -> None:
    cache = frozen_cache(tmp_path / "c.h5", n_test=0)
    tune(cache, tmp_path / "s.db", n_trials=2, heads=["logistic"])
    with pytest.raises(InputError, match="no test patient"):
        submit(cache, tmp_path / "s.db", tmp_path / "sub.csv")
    assert not (tmp_path / "sub.csv").exists()


def test_labels_of_test_patients_change_nothing(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = submit(*made, tmp_path / "a.csv")
    cache = open_cache(made[0])
    labels = np.where(cache.patients["split"] == "test", 1, cache.labels)
    leaked = relabelled(cache, labels)
    vars(leaked)["fingerprint"] = cache.fingerprint  # as if the study had been made from it
    monkeypatch.setattr(sys.modules["lymphofeat.final.submit"], "open_cache", lambda _: leaked)
    np.testing.assert_array_equal(submit(*made, tmp_path / "b.csv").probabilities, honest.probabilities)
