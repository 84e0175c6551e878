"""The public face: names, paths, the pairs of options and arguments, and how results look in a notebook."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import lymphofeat
from lymphofeat.cache import Bags, save_cache
from lymphofeat.cli import commands
from lymphofeat.errors import InputError, LeakageError
from lymphofeat.estimates.scores import score

from .helpers.caches import features, patients, tuned_cache
from .helpers.simulated import extracted_cache, noise_cohort

# What a command has beside its function: what it prints and where it writes that.
ONLY_COMMAND = {
    "extract": {"dask"},
    "import": set(),
    "tune": {
        "no_clinical",
        "show",
        "trials_csv",
        "csv_for",
        "force",
        "dask",
    },  # --dask: scripts give an executor
    "evaluate": {
        "out",
        "record",
        "learning_curve",
        "tables",
        "csv_for",
        "force",
        "jobs",  # scripts must ask for processes
        "dask",
    },
    "explain": {"top", "out", "outlines", "csv_for", "force"},
    "export": set(),
    "submit": set(),
    "compare": {"source", "out", "force", "csv_for", "dask"},
    "report": set(),
    "verify": set(),
}
FUNCTIONS = {
    "import": "import_features",
    "report": "write_report",
}  # commands whose function is called otherwise
# Functions name these, and commands have a default place for them.
PLACES = {"path", "cohort", "cache", "study", "out", "patient", "source"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cache c.h5 of images under an untrained encoder, 40 labelled patients and 6 others."""
    folder = tmp_path_factory.mktemp("face")
    extracted_cache(folder / "c.h5", folder / "images")
    return folder


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Nor does the command line until a command runs."""
    heavy = {"torch", "pandas", "optuna", "sklearn", "scipy", "h5py", "numpy"}
    code = (
        f"import sys, lymphofeat, lymphofeat.cli; dir(lymphofeat); print(sorted({heavy} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert found.stdout.strip() == "[]"


def test_every_public_name_is_there_and_listed() -> None:
    assert set(lymphofeat.__all__) <= set(dir(lymphofeat))
    for name in lymphofeat.__all__:
        found = getattr(lymphofeat, name)
        assert found.__name__ == name
        assert found is getattr(lymphofeat, name)
        assert found.__doc__
    assert set(lymphofeat._HOMES) == set(lymphofeat.__all__)
    with pytest.raises(AttributeError, match="no attribute 'tuna'"):
        lymphofeat.tuna  # noqa: B018


def test_a_name_stays_a_function_when_its_module_is_loaded() -> None:
    code = (
        "import lymphofeat.explanation.patient, lymphofeat.comparison.compare, lymphofeat.final.submit\n"
        "import lymphofeat\n"
        "for name in lymphofeat.__all__:\n"
        "    assert callable(getattr(lymphofeat, name)), name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))


@pytest.mark.parametrize("name", sorted(ONLY_COMMAND))
def test_options_and_arguments_have_one_name_and_one_default(name: str) -> None:
    parameters = inspect.signature(getattr(lymphofeat, FUNCTIONS.get(name, name))).parameters
    command = commands.commands[name]
    needed = ["X" for p in command.params if isinstance(p, click.Argument) and p.required]
    options = command.make_context(name, needed).params
    options = {key: options[key] for key in options.keys() - {"verbose", "quiet"} - ONLY_COMMAND[name]}
    assert set(options) <= set(parameters)
    for key in options.keys() - PLACES:  # lists of names are empty text on the command line
        assert (options[key] or None) == (parameters[key].default or None), key


def test_text_is_a_path(made: Path) -> None:
    cache = str(made / "c.h5")
    assert lymphofeat.open_cache(cache).path == made / "c.h5"
    summary = lymphofeat.tune(cache, str(made / "s.db"), n_trials=2, heads="logistic")
    assert lymphofeat.load_study(str(made / "s.db")).best.number == summary.best.number
    written = lymphofeat.submit(cache, str(made / "s.db"), str(made / "sub.csv"))
    assert written.path == made / "sub.csv"
    assert lymphofeat.explain(cache, str(made / "s.db"), summary.ids[0]).id == summary.ids[0]
    lymphofeat.export(cache, str(made / "s.db"), str(made / "model"))
    assert lymphofeat.load_bundle(str(made / "model")).n_fits == 1
    found = lymphofeat.compare(cache, str(made / "compare.jsonl"), pipelines=["both"])
    assert found.source == cache


@pytest.fixture(scope="module")
def results(made: Path) -> dict[str, Any]:
    """What the public functions give on a cohort of 163 labelled patients under 512 features."""
    table = patients(163, 30)
    cache = made / "large.h5"
    save_cache(cache, table, {"frozen": features(table, dim=512)})
    study = made / "large.db"
    summary = lymphofeat.tune(cache, study, n_trials=3, heads=["logistic"], repeats=2)
    opened = lymphofeat.open_cache(cache)
    split = opened.split("frozen", {0})
    lymphofeat.tune(made / "c.h5", made / "images.db", n_trials=2, heads=["logistic"], inputs=["image"])
    exported = lymphofeat.export(made / "c.h5", made / "images.db", made / "image-model", ensemble=2)
    bundle = lymphofeat.load_bundle(made / "image-model")
    submitted = lymphofeat.submit(cache, study, made / "large.csv", ensemble=2)
    compared = lymphofeat.compare(cache, made / "large.jsonl", pipelines=["both"])
    return {
        "cohort": noise_cohort(made / "images"),
        "patient": noise_cohort(made / "images").patients[0],
        "cache": opened,
        "encoding": opened.encodings["frozen"],
        "tables": opened.tables,
        "bags": split.bags,
        "split": split,
        "summary": summary,
        "trial": summary.best,
        "scores": summary.best.scores,
        "selected": summary.selected,
        "leader": summary.leaderboard[0],
        "ensemble": submitted.ensemble,
        "model": submitted.model,
        "submitted": submitted,
        "explanation": lymphofeat.explain(cache, study, summary.ids[0]),
        "exported": exported,
        "bundle": bundle,
        "compared": compared,
        "measured": compared.best,
        "patients": compared.patients,
    }


def test_results_are_short_in_a_notebook(results: dict[str, Any]) -> None:
    for name, result in results.items():
        shown = repr(result)
        assert len(shown) < 300, (name, len(shown))
        assert "array(" not in shown, name
        assert "object at 0x" not in shown, name


def test_trials_and_their_predictions_are_tables(results: dict[str, Any]) -> None:
    summary = results["summary"]
    table = summary.trials
    assert list(table.index) == [0, 1, 2]
    assert list(table.columns[:4]) == ["value", "state", "head_type", "inputs"]
    assert {"params_logistic.C", "params_logistic.penalty"} <= set(table.columns)
    assert table["value"].max() == summary.best.scores.values["balanced_accuracy"]
    for number in (None, *table.index):
        trial = summary.best if number is None else summary.trial(number)
        found = summary.predictions(number)
        assert len(found) == 163 * 2
        each = found[found["repeat"] == 1]
        assert tuple(each["id"]) == summary.ids
        assert (each["probability"].to_numpy() == trial.scores.probabilities[:, 1]).all()
        assert (each["fold"].to_numpy() == trial.folds[:, 1]).all()
        values = [
            score("balanced_accuracy", one["label"], one["decision"].astype(bool))
            for _, one in found.groupby("repeat")
        ]
        assert np.mean(values) == pytest.approx(trial.scores.values["balanced_accuracy"], abs=1e-12)
    with pytest.raises(InputError, match="no complete trial 7"):
        summary.predictions(7)


def test_a_cache_is_a_table_for_scikit_learn(results: dict[str, Any], made: Path) -> None:
    cache = results["cache"]
    table = cache.to_frame()
    assert table.shape == (193, 512)
    assert list(table.index) == list(cache.patients["id"])
    assert np.allclose(table.iloc[3], cache.bags("frozen")[3].mean(axis=0), atol=1e-6)
    assert cache.to_frame("mean+std").shape == (193, 1024)
    assert cache.groups.dtype == np.int64
    assert len(np.unique(cache.groups)) == len(np.unique(cache.clinical.index))
    folds = cache.cv()
    assert len(folds) == 5
    for k, (train, test) in enumerate(folds):
        assert (cache.folds[cache.labelled[test], 0] == k).all()
        assert sorted([*train, *test]) == list(range(163))
    assert len(cache.cv(2)) == 10
    with pytest.raises(InputError, match="10 repeats"):
        cache.cv(11)
    tuned = lymphofeat.open_cache(tuned_cache(made / "tuned.h5", pairs=False))
    with pytest.raises(LeakageError, match="learnt from labels"):
        tuned.to_frame()


def test_a_bundle_predicts_from_arrays_and_from_a_folder(results: dict[str, Any], made: Path) -> None:
    bundle, cache = results["bundle"], lymphofeat.open_cache(made / "c.h5")
    submitted = lymphofeat.submit(made / "c.h5", made / "images.db", made / "images.csv", ensemble=2)
    test = np.flatnonzero(cache.patients["split"] == "test")
    bags = cache.bags(cache.label_free().name).select(test)
    found = bundle.predict(bags, cache.patients.iloc[test])
    assert tuple(found["id"]) == submitted.ids
    assert np.allclose(found["probability"], submitted.probabilities, atol=1e-9)
    assert list(found["decision"] == "malignant") == list(submitted.predicted == 1)
    assert list(bundle.predict(bags)["probability"]) == list(found["probability"])
    images = bundle.predict(str(made / "images")).set_index("id").loc[list(submitted.ids)]
    assert np.allclose(images["probability"], submitted.probabilities, atol=1e-5)
    with pytest.raises(InputError, match="as many rows"):
        bundle.predict(bags, cache.patients)
    with pytest.raises(InputError, match="512 features"):
        bundle.predict(Bags.from_list([np.zeros((2, 3), np.float32)]))
