"""Studies: the same trials under the same seed, whatever happens in between."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import lymphofeat
from lymphofeat.cache import open_cache, save_cache
from lymphofeat.errors import InputError, StudyError
from lymphofeat.studies import load_study, score_head, tune
from lymphofeat.studies import study as study_module
from lymphofeat.studies.space import FIRST_TRIALS, build_head, suggest
from lymphofeat.studies.store import open_store, owned

from ..helpers.caches import features, frozen_cache, patients

REPOSITORY = Path(lymphofeat.__file__).parents[1]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("cache") / "c.h5")


def trials_of(path: Path) -> list[tuple[int, dict[str, Any], float | None, dict[str, Any]]]:
    with open_store(path) as store:
        return [(t.number, t.params, t.value, t.user_attrs) for t in store.finished()]


class Counting:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int, str, int]] = []
        self.advanced = 0
        self.stopped = 0

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.started.append((what, total, unit, done))

    def advance(self, n: int = 1) -> None:
        self.advanced += n

    def note(self, text: str) -> None: ...

    def stop(self) -> None:
        self.stopped += 1


def test_n_means_n_finished_trials_in_all(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_module, "_STARTUP_TRIALS", 7)  # so that most trials are the sampler's own
    progress = Counting()
    whole = tune(cache, tmp_path / "whole.db", trials=16, seed=4)
    for asked in (1, 8, 12, 16, 5):
        summary = tune(cache, tmp_path / "parts.db", trials=asked, seed=4, progress=progress)
    assert whole.n_trials == summary.n_trials == 16
    assert trials_of(tmp_path / "parts.db") == trials_of(tmp_path / "whole.db")
    assert [(total, done) for _, total, _, done in progress.started] == [
        (1, 0), (8, 1), (12, 8), (16, 12), (16, 16),
    ]  # fmt: skip
    assert (progress.advanced, progress.stopped) == (16, 5)


def test_another_seed_searches_elsewhere(cache: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        tune(cache, tmp_path / f"{seed}.db", trials=len(FIRST_TRIALS) + 2, seed=seed)
    one, other = ([params for _, params, _, _ in trials_of(tmp_path / f"{seed}.db")] for seed in (0, 1))
    assert one[: len(FIRST_TRIALS)] == other[: len(FIRST_TRIALS)] == list(FIRST_TRIALS)
    assert one[-2:] != other[-2:]


KILLED = """
import sys
from pathlib import Path
from lymphofeat.studies import tune
class Told:
    def start(self, *_): print("start", flush=True)
    def advance(self, n=1): print("trial", flush=True)
    def note(self, text): pass
    def stop(self): pass
print("ready", flush=True)
tune(Path(sys.argv[1]), Path(sys.argv[2]), trials=int(sys.argv[3]), seed=4, progress=Told())
"""


def run_and_kill(cache: Path, study: Path, trials: int, after_lines: int, seconds: float) -> bool:
    """Run `tune` apart and kill it that long after so many lines; whether it was still running."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-c", KILLED, str(cache), str(study), str(trials)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for _ in range(after_lines):
            if not process.stdout.readline():
                break
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


def kills(cache: Path, folder: Path, times: int, trials: int) -> None:
    draw = random.Random(times)
    broken = 0
    for kill in range(times):
        # The first ones while the file is being made, later ones somewhere inside a trial.
        lines = 1 if kill < max(1, times // 4) else draw.randint(2, 6)
        broken += run_and_kill(cache, folder / "broken.db", trials, lines, draw.uniform(0, 0.15))
        if (folder / "broken.db").exists():
            with open_store(folder / "broken.db") as store:
                assert len(store.finished()) <= trials
    assert broken == times
    progress = Counting()
    tune(cache, folder / "broken.db", trials=trials, seed=4, progress=progress)
    tune(cache, folder / "whole.db", trials=trials, seed=4)
    assert 0 < progress.started[0][3] < trials  # earlier runs' trials were kept, and some were left to do
    assert trials_of(folder / "broken.db") == trials_of(folder / "whole.db")
    assert not list(folder.glob(".*.tmp*"))
    with sqlite3.connect(folder / "broken.db") as database:
        states = database.execute("SELECT state, COUNT(*) FROM trials GROUP BY state").fetchall()
    database.close()
    assert states == [("COMPLETE", trials)]


def test_killed_and_given_again_it_ends_as_if_unbroken(cache: Path, tmp_path: Path) -> None:
    kills(cache, tmp_path, times=3, trials=26)


@pytest.mark.slow
def test_killed_ten_times(cache: Path, tmp_path: Path) -> None:
    kills(cache, tmp_path, times=12, trials=100)


def test_a_trial_keeps_what_it_was_scored_on(cache: Path, tmp_path: Path) -> None:
    summary = tune(cache, tmp_path / "s.db", trials=12, repeats=2, metric="auc")
    opened = open_cache(cache)
    again = score_head(opened, "frozen", build_head(summary.best.params), repeats=2)
    np.testing.assert_array_equal(summary.best.scores.probabilities, again.probabilities)
    np.testing.assert_array_equal(summary.best.scores.cuts, again.cuts)
    labelled = opened.labels >= 0
    np.testing.assert_array_equal(summary.best.y, opened.labels[labelled])
    np.testing.assert_array_equal(summary.best.folds, opened.folds[labelled, :2])
    assert list(summary.ids) == list(opened.patients["id"][labelled])
    for trial in (summary.best, summary.best_clinical, summary.best_image):
        assert trial is not None
        for metric, interval in trial.intervals.items():
            assert interval.value == pytest.approx(trial.scores.values[metric], abs=1e-12)
            assert interval.low <= interval.value <= interval.high
    known = summary.best.scores.folds["auc"].ravel()
    assert summary.best.fold_sd["auc"] == pytest.approx(np.std(known, ddof=1))


@pytest.mark.parametrize("metric", ["balanced_accuracy", "auc", "log_loss"])
def test_best_is_best_in_the_metric_s_direction(cache: Path, tmp_path: Path, metric: str) -> None:
    summary = tune(cache, tmp_path / "s.db", trials=14, metric=metric)
    rows = trials_of(tmp_path / "s.db")
    values = [value for _, _, value, _ in rows if value is not None]
    assert values == [attrs["values"][metric] for *_, attrs in rows]
    wanted = min(values) if metric == "log_loss" else max(values)
    assert summary.best.number == values.index(wanted)
    for inputs, control in (("clinical", summary.best_clinical), ("image", summary.best_image)):
        assert control is not None
        among = [value for _, params, value, _ in rows if params["inputs"] == inputs and value is not None]
        assert control.params["inputs"] == inputs
        assert control.scores.values[metric] == (min(among) if metric == "log_loss" else max(among))
    assert f"best of 14 by {metric.replace('_', ' ').replace('auc', 'AUC')}" in summary.caveat


def test_a_point_that_was_scored_is_not_scored_again(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = (FIRST_TRIALS[0], FIRST_TRIALS[1], FIRST_TRIALS[0], FIRST_TRIALS[1])
    monkeypatch.setattr(study_module, "FIRST_TRIALS", twice)
    scored: list[Any] = []
    score_plan = study_module.score_plan
    monkeypatch.setattr(study_module, "score_plan", lambda *a: scored.append(a) or score_plan(*a))
    tune(cache, tmp_path / "s.db", trials=3)
    tune(cache, tmp_path / "s.db", trials=4)  # known from the file as well
    rows = trials_of(tmp_path / "s.db")
    assert len(scored) == 2
    assert [attrs.get("same_as") for *_, attrs in rows] == [None, None, 0, 1]
    assert rows[2][2] == rows[0][2]
    assert rows[2][3] == rows[0][3] | {"same_as": 0}


def test_a_failure_is_recorded_raised_and_without_influence(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_module, "_STARTUP_TRIALS", 8)
    score_plan = study_module.score_plan
    calls: list[int] = []

    def fails_once(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 13:
            raise FloatingPointError("made to fail")
        return score_plan(*arguments)

    monkeypatch.setattr(study_module, "score_plan", fails_once)
    with pytest.raises(FloatingPointError):
        tune(cache, tmp_path / "failed.db", trials=16, seed=4)
    tune(cache, tmp_path / "failed.db", trials=16, seed=4)
    monkeypatch.setattr(study_module, "score_plan", score_plan)
    tune(cache, tmp_path / "whole.db", trials=16, seed=4)
    without = [row[1:] for row in trials_of(tmp_path / "failed.db")]
    assert without == [row[1:] for row in trials_of(tmp_path / "whole.db")]
    with open_store(tmp_path / "failed.db") as store:
        failed = [t for t in store._study.get_trials() if t.state == TrialState.FAIL]
    assert ["made to fail" in t.user_attrs["error"] for t in failed] == [True]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"metric": "auc"}, "another metric (balanced_accuracy, now auc); give --metric balanced_accuracy"),
        ({"seed": 1}, "another seed (0, now 1); give --seed 0"),
        ({"repeats": 3}, "another number of repeats (1, now 3); give --repeats 1"),
        ({"cache": "features"}, "another set of features (frozen "),
        ({"cache": "folds"}, "other folds of it"),
        ({"cache": "cohort"}, "another cohort"),
        ({"cache": "family"}, "another encoding (frozen, now second)"),
    ],
)
def test_a_study_of_something_else_is_refused_and_kept(
    cache: Path, tmp_path: Path, changed: dict[str, Any], sentence: str
) -> None:
    study = tmp_path / "s.db"
    tune(cache, study, trials=2)
    before = study.read_bytes()
    kind = changed.pop("cache", None)
    other = cache if kind is None else tmp_path / "other.h5"
    if kind == "cohort":
        frozen_cache(other, seed=5)
    elif kind == "folds":
        frozen_cache(other, fold_seed=9)
    elif kind == "family":
        shutil.copy(cache, other)
        table = patients()
        save_cache(other, table, {"second": features(table, seed=77)})
    elif kind == "features":
        table = patients()
        save_cache(other, table, {"frozen": features(table, seed=77)})
    with pytest.raises(StudyError) as caught:
        tune(other, study, trials=4, **changed)
    assert sentence in str(caught.value)
    assert "or begin a new study with --study NAME" in str(caught.value)
    assert study.read_bytes() == before


def test_one_process_at_a_time(cache: Path, tmp_path: Path) -> None:
    study = tmp_path / "s.db"
    tune(cache, study, trials=2)
    with owned(study):
        with pytest.raises(StudyError, match="being tuned by another process"):
            tune(cache, study, trials=3)
        assert load_study(study).n_trials == 2  # reading is free
    assert tune(cache, study, trials=3).n_trials == 3


def test_odd_paths_are_only_paths(cache: Path, tmp_path: Path) -> None:
    study = tmp_path / "a b{c}%20?d#e" / "s'x.db"
    assert tune(cache, study, trials=2).n_trials == 2
    assert sorted(p.name for p in study.parent.iterdir()) == [".s'x.db.lock", "s'x.db"]
    moved = study.rename(tmp_path / "moved.db")
    assert tune(cache, moved, trials=3).n_trials == 3


@pytest.mark.parametrize(
    "content", [b"", b"not a database", b"SQLite format 3\x00" + b"\xff" * 2000, "foreign"]
)
def test_what_is_no_study_is_refused_and_left_alone(
    cache: Path, tmp_path: Path, content: bytes | str
) -> None:
    study = tmp_path / "s.db"
    if content == "foreign":
        with sqlite3.connect(study) as database:
            database.execute("CREATE TABLE mine (x)")
        database.close()
    else:
        assert isinstance(content, bytes)
        study.write_bytes(content)
    before = study.read_bytes()
    for read in (lambda: load_study(study), lambda: tune(cache, study, trials=2)):
        with pytest.raises(StudyError, match=r"s\.db is not a study"):
            read()
    assert study.read_bytes() == before


def test_a_missing_study_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="There is no study"):
        load_study(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments_get_a_sentence_and_nothing_is_written(cache: Path, tmp_path: Path) -> None:
    study = tmp_path / "s.db"
    for arguments, sentence in (
        ({"metric": "f1"}, "no metric 'f1'"),
        ({"trials": 0}, "at least 1 trial"),
        ({"seed": -1}, "0 or above"),
        ({"family": "frozzen"}, "did you mean 'frozen'"),
        ({"repeats": 0}, "not 0"),
    ):
        with pytest.raises(InputError, match=re.escape(sentence)):
            tune(cache, study, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_optuna_says_nothing(cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = optuna.logging.get_verbosity()
    tune(cache, tmp_path / "s.db", trials=3)
    assert optuna.logging.get_verbosity() == before
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_space_draws_only_what_has_a_meaning_and_every_head_can_be_built() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    keys: set[frozenset[str]] = set()
    for _ in range(80):
        trial = study.ask()
        params = suggest(trial)
        assert params == trial.params
        assert build_head(json.loads(json.dumps(params))).get_params() == build_head(params).get_params()
        keys.add(frozenset(params))
    basic = frozenset({"inputs", "C", "class_weight"})
    image = basic | {"pooling", "scale", "reduce"}
    assert keys == {basic, image, image | {"components"}}
    for params in FIRST_TRIALS:
        study.enqueue_trial(params)
        assert suggest(study.ask()) == params
