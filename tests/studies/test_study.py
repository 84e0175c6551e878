"""Studies: the same trials under the same seed, whatever happens in between."""

import re
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from sklearn.metrics import accuracy_score

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cache.pack import pack
from lymphofeat.errors import InputError, StudyError
from lymphofeat.metric import METRICS
from lymphofeat.scoring import score_head
from lymphofeat.studies import StudySummary, load_study, tune
from lymphofeat.studies import evaluate as evaluate_module
from lymphofeat.studies.sampling import BATCH
from lymphofeat.studies.space import Space, build_head
from lymphofeat.studies.store import open_store, owned

from ..helpers.caches import features, frozen_cache, patients

# Two quick head types, so that the tests are about the search.
QUICK = ("lda", "logistic")
N_FIRST = len(Space.of(QUICK).default_params())
LEARNT = (-(-(N_FIRST + 10) // BATCH) + 1) * BATCH  # trials, of which the last batch is the sampler's own


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("cache") / "c.h5")


def trials_of(path: Path) -> list[tuple[int, dict[str, Any], float, dict[str, Any]]]:
    with open_store(path) as store:
        return [(row.number, row.params, row.value, store.attrs(row)) for row in store.rows()]


def quick(cache: Path, study: Path, **options: Any) -> StudySummary:
    """`tune` with the quick head types."""
    return tune(cache, study, heads=QUICK, **options)


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


def test_n_means_n_finished_trials_in_all(cache: Path, tmp_path: Path) -> None:
    progress = Counting()
    whole = quick(cache, tmp_path / "whole.db", n_trials=LEARNT, seed=4)
    for asked in (1, 10, LEARNT - 3, LEARNT, 5):
        summary = quick(cache, tmp_path / "parts.db", n_trials=asked, seed=4, progress=progress)
    assert whole.n_trials == summary.n_trials == LEARNT
    assert trials_of(tmp_path / "parts.db") == trials_of(tmp_path / "whole.db")
    assert [(total, done) for _, total, _, done in progress.started] == [
        (1, 0), (10, 1), (LEARNT - 3, 10), (LEARNT, LEARNT - 3), (LEARNT, LEARNT),
    ]  # fmt: skip
    assert (progress.advanced, progress.stopped) == (LEARNT, 5)


def test_another_seed_searches_elsewhere(cache: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        quick(cache, tmp_path / f"{seed}.db", n_trials=N_FIRST + 2, seed=seed)
    one, other = ([params for _, params, _, _ in trials_of(tmp_path / f"{seed}.db")] for seed in (0, 1))
    assert one[:N_FIRST] == other[:N_FIRST] == Space.of(QUICK).default_params()
    assert one[-2:] != other[-2:]


def test_a_trial_keeps_what_it_was_scored_on(cache: Path, tmp_path: Path) -> None:
    summary = quick(cache, tmp_path / "s.db", n_trials=10, repeats=2, metric="auc")
    opened = open_cache(cache)
    again = score_head(opened, "frozen", build_head(summary.best.params), repeats=2)
    np.testing.assert_array_equal(summary.best.scores.probabilities, again.probabilities)
    np.testing.assert_array_equal(summary.best.scores.thresholds, again.thresholds)
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


@pytest.mark.parametrize("metric", METRICS)
def test_best_is_best_in_the_metric_s_direction(cache: Path, tmp_path: Path, metric: str) -> None:
    summary = quick(cache, tmp_path / "s.db", n_trials=14, metric=metric)
    rows = trials_of(tmp_path / "s.db")
    values = [value for _, _, value, _ in rows]
    assert values == [attrs["values"][metric] for *_, attrs in rows]
    best = min if metric in ("log_loss", "brier") else max
    assert summary.best.number == values.index(best(values))
    for inputs, control in (("clinical", summary.best_clinical), ("image", summary.best_image)):
        assert control is not None
        among = [value for _, params, value, _ in rows if params[f"{params['family']}.inputs"] == inputs]
        assert control.inputs == inputs
        assert control.scores.values[metric] == best(among)
    assert "best of 14 trials by " in summary.caveat


def test_class_weights_from_outside(cache: Path, tmp_path: Path) -> None:
    plain, weighted = (
        quick(cache, tmp_path / f"{name}.db", n_trials=2, class_weights=weights)
        for name, weights in (("plain", None), ("weighted", (1.0, 6.0)))
    )
    trial = weighted.best
    y, decisions = trial.y, trial.decisions[:, 0]
    again = accuracy_score(y, decisions, sample_weight=np.where(y == 1, 6.0, 1.0))
    assert trial.interval("balanced_accuracy").value == pytest.approx(again)
    assert decisions.sum() > plain.best.decisions.sum()  # missing a malignant patient costs six times as much
    assert trial.threshold < plain.best.threshold
    assert "a reactive patient weighs 1 and a malignant one 6" in weighted.measured_on
    with pytest.raises(StudyError, match=r"class weights \(1,6, now none\); give --class-weights 1,6"):
        quick(cache, tmp_path / "weighted.db", n_trials=2)


def test_a_point_that_was_scored_is_not_scored_again(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Space.of(QUICK).default_params()
    monkeypatch.setattr(Space, "default_params", lambda _: [first[0], first[1], first[0], first[1], first[0]])
    scored: list[Any] = []
    score_plan = evaluate_module.score_plan
    monkeypatch.setattr(evaluate_module, "score_plan", lambda *a: scored.append(a) or score_plan(*a))
    quick(cache, tmp_path / "s.db", n_trials=3)
    quick(cache, tmp_path / "s.db", n_trials=5)  # known from the file as well
    rows = trials_of(tmp_path / "s.db")
    assert len(scored) == 2
    assert [attrs.get("same_as") for *_, attrs in rows] == [None, None, 0, 1, 0]
    assert rows[2][2] == rows[0][2]
    assert rows[2][3] == rows[0][3] | {"same_as": 0, "number": 2}


def test_a_failure_of_the_search_is_raised_and_without_influence(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_plan = evaluate_module.score_plan
    calls: list[int] = []

    def fails_once(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 18:
            raise OSError("made to fail")
        return score_plan(*arguments)

    monkeypatch.setattr(evaluate_module, "score_plan", fails_once)
    with pytest.raises(OSError, match="made to fail"):
        quick(cache, tmp_path / "failed.db", n_trials=LEARNT, seed=4)
    assert [number for number, *_ in trials_of(tmp_path / "failed.db")] == [*range(17), *range(18, LEARNT)]
    quick(cache, tmp_path / "failed.db", n_trials=LEARNT, seed=4)
    monkeypatch.setattr(evaluate_module, "score_plan", score_plan)
    quick(cache, tmp_path / "whole.db", n_trials=LEARNT, seed=4)
    assert trials_of(tmp_path / "failed.db") == trials_of(tmp_path / "whole.db")


def test_a_full_disk_ends_in_a_sentence_and_keeps_what_is_there(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "s.db"
    quick(cache, study, n_trials=2)
    connect = sqlite3.connect

    def small(*arguments: Any, **options: Any) -> sqlite3.Connection:
        """A connection to a file that may not grow, which SQLite reports as it reports a full disk."""
        connection = connect(*arguments, **options)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    monkeypatch.setattr("optuna.storages._rdb.storage.time.sleep", lambda _: None)
    with pytest.raises(StudyError, match=r"cannot be written \(database or disk is full\); free disk space"):
        quick(cache, study, n_trials=40)
    monkeypatch.setattr(sqlite3, "connect", connect)
    kept = load_study(study).n_trials
    assert 2 <= kept < 40
    assert quick(cache, study, n_trials=kept + 1).n_trials == kept + 1


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"metric": "auc"}, "another metric (balanced_accuracy, now auc); give --metric balanced_accuracy"),
        ({"seed": 1}, "another seed (0, now 1); give --seed 0"),
        ({"repeats": 3}, "another number of repeats (1, now 3); give --repeats 1"),
        ({"class_weights": (1.0, 2.0)}, "class weights (none, now 1,2); give --class-weights none"),
        ({"sampler": "random"}, "another sampler (tpe, now random); give --sampler tpe"),
        ({"prune": False}, "pruning (--prune, now --no-prune); give --prune"),
        ({"heads": ["lda"]}, "another choice of heads (lda,logistic, now lda); give --heads lda,logistic"),
        ({"inputs": ["image"]}, "choice of inputs (clinical,image,both, now image); give --inputs"),
        ({"cache": "features"}, "other features than"),
        ({"cache": "folds"}, "the folds of "),
        ({"cache": "cohort"}, " patients are new (P"),
        ({"cache": "family"}, "another encoding (frozen, now frozen,second)"),
    ],
)
def test_a_study_of_something_else_is_refused_and_kept(
    cache: Path, tmp_path: Path, changed: dict[str, Any], sentence: str
) -> None:
    study = tmp_path / "s.db"
    quick(cache, study, n_trials=2)
    before = study.read_bytes()
    kind = changed.pop("cache", None)
    other = cache if kind is None else tmp_path / "other.h5"
    if kind == "cohort":
        frozen_cache(other, seed=5)
    elif kind == "folds":
        frozen_cache(other, fold_seed=9)
    elif kind == "family":
        pack(cache, other)
        table = patients()
        save_cache(other, table, {"second": features(table, seed=77)})
    elif kind == "features":
        table = patients()
        save_cache(other, table, {"frozen": features(table, seed=77)})
    with pytest.raises(StudyError) as caught:
        tune(other, study, n_trials=4, **({"heads": QUICK} | changed))
    assert sentence in str(caught.value)
    assert "or begin a new study" in str(caught.value)
    assert study.read_bytes() == before


def test_one_process_at_a_time(cache: Path, tmp_path: Path) -> None:
    study = tmp_path / "s.db"
    quick(cache, study, n_trials=2)
    with owned(study):
        with pytest.raises(StudyError, match="being tuned by another process"):
            quick(cache, study, n_trials=3)
        assert load_study(study).n_trials == 2  # reading is free
    assert quick(cache, study, n_trials=3).n_trials == 3


def test_odd_paths_are_only_paths(cache: Path, tmp_path: Path) -> None:
    study = tmp_path / "a b{c}%20?d#e" / "s'x.db"
    assert quick(cache, study, n_trials=2).n_trials == 2
    assert sorted(p.name for p in study.parent.iterdir()) == [".s'x.db.lock", "s'x.db"]
    moved = study.rename(tmp_path / "moved.db")
    assert quick(cache, moved, n_trials=3).n_trials == 3


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
    for read in (lambda: load_study(study), lambda: tune(cache, study, n_trials=2)):
        with pytest.raises(StudyError, match=r"s\.db is (not a study .*: it is an? |damaged)"):
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
        ({"n_trials": 0}, "at least 1 trial"),
        ({"seed": -1}, "0 or above"),
        ({"encoding": "frozzen"}, "did you mean 'frozen'"),
        ({"heads": ["logistics"]}, "no head type 'logistics' (did you mean 'logistic'"),
        ({"inputs": ["images"]}, "no input 'images' (did you mean 'image'"),
        ({"heads": ["attention"], "inputs": ["clinical"]}, "'attention' take image or both only"),
        ({"sampler": "cmaes"}, "no sampler 'cmaes'"),
        ({"class_weights": (1.0, 0.0)}, "two numbers above 0"),
        ({"jobs": 0}, "at least 1 job"),
        ({"repeats": 0}, "not 0"),
    ):
        with pytest.raises(InputError, match=re.escape(sentence)):
            tune(cache, study, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_optuna_says_nothing(cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = optuna.logging.get_verbosity()
    quick(cache, tmp_path / "s.db", n_trials=3)
    assert optuna.logging.get_verbosity() == before
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
