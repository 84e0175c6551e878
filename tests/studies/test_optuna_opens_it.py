"""What else can be done with a study's file: Optuna opens it, and trials are small there."""

import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pytest

from lymphofeat.studies import load_study, tune
from lymphofeat.studies.load import load_trials
from lymphofeat.studies.store import open_store

from ..helpers.caches import frozen_cache

TRIALS = 9


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("study")
    cache, study = frozen_cache(folder / "c.h5"), folder / "s.db"
    tune(cache, study, n_trials=TRIALS, heads=["lda", "logistic"])
    return cache, study


def test_optuna_opens_the_file_and_its_trials_are_small(made: tuple[Path, Path]) -> None:
    summary = load_study(made[1])
    study = optuna.load_study(study_name="lymphofeat", storage=f"sqlite:///{made[1]}")
    assert study.best_value == summary.best.scores.values[summary.metric]
    assert len(study.trials) == len(study.trials_dataframe()) == TRIALS
    for trial in study.trials:
        assert set(trial.user_attrs) <= {"number", "values", "same_as", "check"}


@pytest.mark.parametrize(
    "plot", ["optimization_history", "parallel_coordinate", "slice", "edf", "timeline", "rank"]
)
def test_optuna_plots_it(made: tuple[Path, Path], plot: str) -> None:
    study = optuna.load_study(study_name="lymphofeat", storage=f"sqlite:///{made[1]}")
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        # A panel for each pair of parameters: of all of them, a minute's worth.
        few = {"params": ["logistic.C", "logistic.pooling"]} if plot == "rank" else {}
        figure = getattr(optuna.visualization, f"plot_{plot}")(study, **few)
    assert figure.data


def test_predictions_of_a_trial_that_never_came_are_replaced(made: tuple[Path, Path], tmp_path: Path) -> None:
    """As a kill leaves them between the two transactions: scored again, and whole."""
    cache, whole = made
    study = tmp_path / "s.db"
    tune(cache, study, n_trials=TRIALS - 1, heads=["lda", "logistic"])
    with closing(sqlite3.connect(study)) as file, file:
        file.execute("INSERT INTO lymphofeat_predictions VALUES (?, ?)", (TRIALS - 1, '{"oof": "torn"}'))
    tune(cache, study, n_trials=TRIALS, heads=["lda", "logistic"])
    for one, other in zip(load_trials(study), load_trials(whole), strict=True):
        assert one.params == other.params
        np.testing.assert_array_equal(one.scores.probabilities, other.scores.probabilities)


def test_a_study_with_predictions_in_its_attributes_goes_on(made: tuple[Path, Path], tmp_path: Path) -> None:
    """As format 2 kept them."""
    cache, whole = made
    study = tmp_path / "s.db"
    now = optuna.load_study(study_name="lymphofeat", storage=f"sqlite:///{whole}")
    old = optuna.create_study(study_name="lymphofeat", storage=f"sqlite:///{study}", direction=now.direction)
    old.set_user_attr("made_from", {**now.user_attrs["made_from"], "format": 2})
    old.set_user_attr("patients", now.user_attrs["patients"])
    with open_store(whole) as store:
        rows = {row.number: store.attrs(row) for row in store.rows()}
    for trial in now.trials[: TRIALS - 1]:
        trial.user_attrs = rows[trial.user_attrs["number"]]
        old.add_trial(trial)
    tune(cache, study, n_trials=TRIALS, heads=["lda", "logistic"])
    for one, other in zip(load_trials(study), load_trials(whole), strict=True):
        assert one.params == other.params
        np.testing.assert_array_equal(one.scores.probabilities, other.scores.probabilities)
