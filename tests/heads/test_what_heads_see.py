"""Heads are handed bags, clinical values and training labels; nothing else of the patients' table reaches them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from lymphofeat.assess.learning import learning_curve
from lymphofeat.bundle import export_bundle
from lymphofeat.bundle.load import load_bundle
from lymphofeat.cache import Bags, Cache, open_cache, save_cache
from lymphofeat.cohort.clinical import CLINICAL_COLUMNS, clinical_frame, person_numbers
from lymphofeat.cohort.folds import persons
from lymphofeat.comparison.compare import compare
from lymphofeat.estimates.scores import roc_auc_score
from lymphofeat.explanation import explain
from lymphofeat.final import submit
from lymphofeat.heads import FitCache, Split, fit_predict
from lymphofeat.heads.clinical import ClinicalFeatures
from lymphofeat.nested import nested
from lymphofeat.scoring.score import score_head
from lymphofeat.studies import tune

from ..helpers.caches import DECLARED, features, patients, with_declared

HIDDEN = ("label", "split", "fold", "n_images", "birth", "date_order", "id")


class Cheat(ClassifierMixin, BaseEstimator):
    """Says what stands in a column, or in the index."""

    def __init__(self, column: str = "label") -> None:
        self.column = column

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: np.ndarray) -> "Cheat":
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> np.ndarray:
        p = np.asarray(clinical.index if self.column == "index" else clinical[self.column], dtype=float)
        p = (p - p.min() + 0.5) / (np.ptp(p) + 1)
        return np.stack([1 - p, p], axis=1)


class SharedCheat(Cheat):
    """The same for all splits at once."""

    def fit_predict_splits(
        self, splits: list[Split], clinical: pd.DataFrame, y: np.ndarray, fit_cache: FitCache
    ) -> list[np.ndarray]:
        return [self.predict_proba(s.bags, clinical.iloc[s.test])[:, 1] for s in splits]


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache without signal, its patients sorted by label, as a registry may have them."""
    table = patients(60, 6, seed=4, signal=0.0)
    table = table.iloc[np.argsort(-table["label"].to_numpy(), kind="stable")].reset_index(drop=True)
    path = tmp_path_factory.mktemp("noise") / "c.h5"
    save_cache(path, table, {"frozen": features(table, signal=0.0)}, n_folds=3, n_repeats=1)
    return path


@pytest.mark.parametrize("kind", [Cheat, SharedCheat])
@pytest.mark.parametrize("column", HIDDEN)
def test_a_head_that_looks_elsewhere_finds_nothing(noise: Path, kind: type[Cheat], column: str) -> None:
    with pytest.raises(KeyError, match=column):
        score_head(open_cache(noise), "frozen", kind(column))


@pytest.mark.parametrize("kind", [Cheat, SharedCheat])
def test_a_table_with_labels_is_stripped_of_them(noise: Path, kind: type[Cheat]) -> None:
    cache = open_cache(noise)
    split = cache.split("frozen", {0})
    with pytest.raises(KeyError, match="label"):
        fit_predict(kind(), [split], cache.patients, cache.labels, FitCache())


@pytest.mark.parametrize("kind", [Cheat, SharedCheat])
@pytest.mark.parametrize("column", [*HIDDEN, "person", "secret"])
def test_declared_columns_open_no_other(tmp_path: Path, kind: type[Cheat], column: str) -> None:
    table = with_declared(patients(20, 2)).assign(person=[f"N{i}" for i in range(22)], secret=1.0)
    save_cache(
        tmp_path / "c.h5", table, {"frozen": features(table)}, n_folds=2, n_repeats=1, clinical=DECLARED
    )
    cache = open_cache(tmp_path / "c.h5")
    with pytest.raises(KeyError, match=column):
        score_head(cache, "frozen", kind(column))


def test_not_even_the_order_of_the_rows_says_anything(noise: Path) -> None:
    """Malignant patients come first here; row numbers would have an AUC of 0 or 1."""
    found = score_head(open_cache(noise), "frozen", Cheat("index"))
    assert 0.25 < found.values["auc"] < 0.75
    cache = open_cache(noise)
    assert roc_auc_score(cache.labels[cache.labelled], -cache.labelled.astype(float)) == 1.0


def test_everything_that_reaches_heads(noise: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every command: each table of clinical values that a head reads has these columns and no other."""
    seen: set[tuple[str, ...]] = set()
    calls: list[str] = []

    def spied(method: str) -> Any:
        real = getattr(ClinicalFeatures, method)

        def spy(self: ClinicalFeatures, X: pd.DataFrame, *rest: Any) -> Any:
            seen.add(tuple(X.columns))
            calls.append(method)
            return real(self, X, *rest)

        return spy

    for method in ("fit", "transform"):
        monkeypatch.setattr(ClinicalFeatures, method, spied(method))

    def used() -> bool:
        """Whether heads were asked since the last time."""
        asked = bool(calls)
        calls.clear()
        return asked

    cache, study = open_cache(noise), tmp_path / "study.db"
    ids = cache.patients["id"].astype(str)
    best = tune(noise, study, n_trials=2, heads=["late"]).best
    assert used()
    submit(noise, study, tmp_path / "s.csv")
    assert used()
    for row in (0, len(ids) - 1):  # a labelled patient and one of the test part
        explain(noise, study, ids.iloc[row])
        assert used()
    learning_curve(cache, "frozen", best.params, n_sizes=3, n_draws=1, n_resamples=20)
    assert used()
    compare(noise, tmp_path / "record.jsonl")
    assert used()
    nested(noise, tmp_path / "searches", trials=1, heads=["logistic"], inputs=["clinical"])
    assert used()
    tune(noise, tmp_path / "values.db", n_trials=1, heads=["logistic"], inputs=["clinical"])
    export_bundle(noise, tmp_path / "values.db", tmp_path / "model")
    assert used()
    bundle = load_bundle(tmp_path / "model")
    bundle.probabilities([cache.split(None, {0}).bags], cache.patients)
    assert used()
    assert seen == {CLINICAL_COLUMNS}


def test_persons_are_known_without_their_dates() -> None:
    table = patients(12, 0)
    table.loc[[1, 5], ["birth", "sex"]] = ["1950-01-02", "F"]
    frame = clinical_frame(table)
    assert tuple(frame.columns) == CLINICAL_COLUMNS
    assert frame.index[1] == frame.index[5]
    assert frame.index.nunique() == 11
    np.testing.assert_array_equal(person_numbers(frame), persons(table))
    np.testing.assert_array_equal(person_numbers(frame.iloc[3:]), persons(table.iloc[3:]))
    np.testing.assert_array_equal(person_numbers(table), persons(table))
    assert clinical_frame(frame) is frame
    for column in CLINICAL_COLUMNS:
        np.testing.assert_array_equal(frame[column].to_numpy(), table[column].to_numpy())


def test_without_dates_of_birth_every_row_is_a_person() -> None:
    table = patients(10, 0).drop(columns="birth")
    assert clinical_frame(table).index.is_unique
    assert person_numbers(table[list(CLINICAL_COLUMNS)]).tolist() == list(range(10))


def test_the_frame_of_a_cache(noise: Path) -> None:
    cache: Cache = open_cache(noise)
    pd.testing.assert_frame_equal(cache.clinical, clinical_frame(cache.patients))
