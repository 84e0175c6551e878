"""Nested cross-validation on a cache that changed: finished folds stay where nothing of theirs did."""

import re
from pathlib import Path

import pandas as pd
import pytest

from lymphofeat.errors import StudyError
from lymphofeat.studies.continuing import searches_folder

from ..helpers.growing import Bags, bags_of, saved, table_of_visits, with_folds_of, with_test_patients
from .test_nested import Told, assert_same, quick

ONE = {"trials": 2, "heads": ["logistic"]}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return table_of_visits()


@pytest.fixture(scope="module")
def bags(table: pd.DataFrame) -> Bags:
    return bags_of(table)


@pytest.fixture(scope="module")
def cache(table: pd.DataFrame, bags: Bags, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("cache") / "c.h5", table, bags, n_repeats=1)


@pytest.fixture(scope="module")
def grown(cache: Path, table: pd.DataFrame, bags: Bags) -> Path:
    other = saved(cache.with_name("grown.h5"), *with_test_patients(table, bags), n_repeats=1)
    return with_folds_of(other, cache)


@pytest.fixture(scope="module")
def sorted_anew(cache: Path, table: pd.DataFrame, bags: Bags) -> Path:
    other = saved(cache.with_name("sorted.h5"), table.sample(frac=1, random_state=1), bags, n_repeats=1)
    return with_folds_of(other, cache)


@pytest.mark.parametrize("change", ["grown", "sorted_anew"])
def test_folds_and_searches_stay_where_no_labelled_patient_changed(
    change: str, cache: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    other, told = request.getfixturevalue(change), Told()
    first = quick(cache, tmp_path / "s", **ONE)
    assert_same(quick(other, tmp_path / "s", progress=told, **ONE), first)
    assert told.started == []  # no search
    # With more trials the searches go on, in the order that they were begun in.
    more = {**ONE, "trials": 5}
    assert_same(quick(other, tmp_path / "s", **more), quick(cache, tmp_path / "w", **more))


def test_an_evaluation_of_other_patients_names_them_and_the_command_that_begins_anew(
    cache: Path, table: pd.DataFrame, bags: Bags, tmp_path: Path
) -> None:
    folder = searches_folder(tmp_path / "week 1.db")
    quick(cache, folder, **ONE)
    name = table["id"].iloc[0]
    changed = table.assign(label=table["label"].where(table["id"] != name, 1 - table["label"]))
    other = with_folds_of(saved(tmp_path / "o.h5", changed, bags, n_repeats=1), cache)
    with pytest.raises(StudyError) as refused:
        quick(other, folder, **ONE)
    command = f"`lymphofeat evaluate --cache {other} --study '{tmp_path / 'week 1-2.db'}'`"
    assert re.search(rf"scored on another cohort .*: the label of {name} changed; .*", str(refused.value))
    assert command in str(refused.value)
