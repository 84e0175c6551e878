"""Heads that cannot be fitted cost their trials, not the search; what concerns all trials ends it."""

import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lymphofeat.heads
from lymphofeat.cache import save_cache
from lymphofeat.cache.bags import Bags
from lymphofeat.errors import CacheError, InputError, LeakageError, StudyError
from lymphofeat.final import refit, submit
from lymphofeat.heads import registry
from lymphofeat.heads.base import FitCache, Split, fit_predict
from lymphofeat.heads.boosting import BoostedTrees
from lymphofeat.heads.discriminant import ShrunkenLDA
from lymphofeat.heads.registry import head_types
from lymphofeat.nested import engine, nested
from lymphofeat.scoring.failures import FailedTrial, in_words
from lymphofeat.studies import evaluate as evaluate_module
from lymphofeat.studies import load_study, tune
from lymphofeat.studies.evaluate import Evaluator, StudySpec, TrialTask
from lymphofeat.studies.sampling import BATCH
from lymphofeat.studies.space import Space
from lymphofeat.studies.store import open_store
from lymphofeat.studies.summary import load_trials

from ..helpers.caches import features, frozen_cache, patients

QUICK = ("lda", "logistic")
# A head file that a search finds in every process, whose heads fail in as many ways as it draws.
BRITTLE = '''
"""Heads that fail."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from lymphofeat.errors import InputError
from lymphofeat.heads.registry import HeadType

WAYS = ("none", "sentence", "nan", "infinite", "linalg", "value", "zero")


class Brittle(ClassifierMixin, BaseEstimator):
    def __init__(self, *, way="none", turn=0.5):
        self.way, self.turn = way, turn

    def fit(self, bags, clinical, y):
        if self.way == "sentence":
            raise InputError("There are too few patients for this head; add patients.")
        if self.way == "linalg":
            raise np.linalg.LinAlgError(f"{len(y)}-th leading minor is not positive definite")
        if self.way == "value":
            raise ValueError("Input X contains NaN.")
        if self.way == "zero":
            raise ZeroDivisionError("division by zero")
        self.share_ = float(np.mean(y)) * self.turn
        return self

    def predict_proba(self, bags, clinical):
        p = np.full(len(bags), self.share_)
        p[0] = {"nan": np.nan, "infinite": np.inf}.get(self.way, self.share_)
        return np.stack([1 - p, p], axis=1)


def space(draws):
    return {"way": draws.suggest_categorical("way", WAYS), "turn": draws.suggest_float("turn", 0.1, 1.0)}


HEAD_TYPE = HeadType(
    name="brittle", summary="Heads that fail.", source="here", cost="cheap", space=space,
    build=Brittle, inputs=("clinical",), default_params=tuple(
        {"way": way, "turn": 0.5} for way in WAYS
    ),
)
'''
WAYS = {
    "sentence": "There are too few patients for this head; add patients.",
    "nan": "FloatingPointError: Brittle gave 1 of ",
    "infinite": "FloatingPointError: Brittle gave 1 of ",
    "linalg": "LinAlgError: ",
    "value": "ValueError: Input X contains NaN.",
    "zero": "ZeroDivisionError: division by zero",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("cache") / "c.h5")


@pytest.fixture
def brittle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Heads that fail in six ways, in this process."""
    folder = tmp_path / "heads"
    folder.mkdir()
    (folder / "brittle.py").write_text(BRITTLE, encoding="utf-8")
    monkeypatch.setattr(lymphofeat.heads, "__path__", [*lymphofeat.heads.__path__, str(folder)])
    for kept in (registry._own_head_types, head_types):
        kept.cache_clear()
    yield
    for kept in (registry._own_head_types, head_types):
        kept.cache_clear()


def trials_of(path: Path) -> list[tuple[int, Any, dict[str, Any], dict[str, Any]]]:
    with open_store(path) as store:
        return [
            (row.number, None if row.failed else row.value, row.params, store.attrs(row))
            for row in store.rows()
        ]


def states_of(path: Path) -> dict[str, int]:
    with sqlite3.connect(path) as database:
        states = dict(database.execute("SELECT state, COUNT(*) FROM trials GROUP BY state").fetchall())
    database.close()
    return states


@pytest.mark.usefixtures("brittle")
@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_a_search_goes_on_and_keeps_why_each_head_failed(cache: Path, tmp_path: Path, sampler: str) -> None:
    study, trials = tmp_path / "s.db", 3 * BATCH
    summary = tune(cache, study, n_trials=trials, heads=("brittle", "lda"), sampler=sampler, seed=1)
    rows = trials_of(study)
    assert [number for number, *_ in rows] == list(range(trials))
    failed = {number: attrs for number, value, _, attrs in rows if value is None}
    assert {one.number for one in summary.failed} == set(failed)
    assert summary.n_trials == trials
    assert summary.n_scored == trials - len(failed)
    assert states_of(study) == {"COMPLETE": trials - len(failed), "FAIL": len(failed)}
    for number, value, params, attrs in rows:
        way = params.get("brittle.way", "none")
        assert (number in failed) == (way != "none")
        if way == "none":
            assert math.isfinite(value)
        else:
            assert attrs["reason"].startswith(WAYS[way])
            assert set(attrs) <= {"number", "reason", "error", "same_as"}
    assert {params.get("brittle.way") for _, _, params, _ in rows} >= set(WAYS)
    assert summary.best.number not in failed
    assert {trial.number for trial in load_trials(study)} == set(range(trials)) - set(failed)
    assert f"best of {trials - len(failed)} trials by" in summary.caveat
    assert summary.failures[0] == f"{len(failed)} of {trials} trials failed:"
    assert any(
        line.endswith("brittle: There are too few patients for this head; add patients.")
        for line in summary.failures
    )


@pytest.mark.slow
@pytest.mark.usefixtures("brittle")
def test_given_again_no_failed_trial_is_repeated_and_the_end_is_the_same(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = ("brittle", "lda")
    whole = tune(cache, tmp_path / "whole.db", n_trials=4 * BATCH, heads=heads, seed=2)
    for trials in (1, 5, 6, 7, 11, 19, 4 * BATCH):
        tune(cache, tmp_path / "parts.db", n_trials=trials, heads=heads, seed=2)
    assert trials_of(tmp_path / "parts.db") == trials_of(tmp_path / "whole.db")
    assert whole.failed == load_study(tmp_path / "parts.db").failed
    monkeypatch.setattr(Evaluator, "__call__", None)  # nothing is scored any more
    again = tune(cache, tmp_path / "whole.db", n_trials=4 * BATCH, heads=heads, seed=2)
    assert again.failed == whole.failed
    assert submit(cache, tmp_path / "whole.db", tmp_path / "s.csv", ensemble=3).ensemble is not None


@pytest.mark.usefixtures("brittle")
def test_the_sampler_leaves_what_fails(cache: Path, tmp_path: Path) -> None:
    tune(cache, tmp_path / "s.db", n_trials=8 * BATCH, heads=("brittle",), seed=0)
    late = [value is None for _, value, _, _ in trials_of(tmp_path / "s.db")[4 * BATCH :]]
    assert np.mean(late) < 0.6  # of random points, six in seven fail


def single_class_cache(path: Path) -> Path:
    """Twelve patients of whom two are malignant, in three folds: without some fold, a single one is left."""
    table = patients(12, 2, 0)
    table["label"] = np.where(table["split"] == "train", (np.arange(14) % 4 == 0).astype(int), -1)
    save_cache(path, table, {"frozen": features(table)}, n_folds=3)
    return path


def test_heads_that_cannot_be_fitted_on_these_folds_are_left_out(tmp_path: Path) -> None:
    """Three malignant patients in three folds: two are left to train on, one in the folds of thresholds."""
    cache, notes = single_class_cache(tmp_path / "c.h5"), Notes()
    heads = ("instances", "lda", "logistic", "stacked", "svm", "xgboost")
    summary = tune(cache, tmp_path / "s.db", n_trials=12, heads=heads, progress=notes)
    assert (
        set(summary.left_out)
        == {"instances", "lda", "stacked", "svm"}
        == {n.split("'")[1] for n in notes.said}
    )
    assert "lda needs two of each for a covariance" in summary.left_out["lda"]
    assert {params["family"] for _, _, params, _ in trials_of(tmp_path / "s.db")} == {"logistic", "xgboost"}
    assert not summary.failed
    assert tune(cache, tmp_path / "s.db", n_trials=20, heads=heads).n_trials == 20
    with pytest.raises(InputError, match=r"No heads are left to search\.\nThe heads 'lda' are left out"):
        tune(cache, tmp_path / "none.db", n_trials=2, heads=["lda"])
    assert not (tmp_path / "none.db").exists()


def test_a_study_that_was_begun_with_such_heads_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions left none out, and ended at the first of their trials."""
    cache = single_class_cache(tmp_path / "c.h5")
    monkeypatch.setattr(Space, "unfit", lambda *_: {})
    tune(cache, tmp_path / "s.db", n_trials=3, heads=QUICK)
    monkeypatch.undo()
    summary = tune(cache, tmp_path / "s.db", n_trials=16, heads=QUICK)
    assert summary.n_trials == 16
    assert summary.failed
    assert {one.head_type for one in summary.failed} == {"lda"}
    assert summary.failures[0].startswith(f"{len(summary.failed)} of 16 trials failed: lda: One class has")


@pytest.mark.slow
def test_two_processes_keep_the_same_failures_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = single_class_cache(tmp_path / "c.h5")
    monkeypatch.setattr(Space, "unfit", lambda *_: {})
    one, two = (tune(cache, tmp_path / f"{jobs}.db", n_trials=12, heads=QUICK, jobs=jobs) for jobs in (1, 2))
    assert one.failed
    assert one.failed == two.failed
    assert trials_of(tmp_path / "1.db") == trials_of(tmp_path / "2.db")


@pytest.mark.usefixtures("brittle")
def test_a_nested_search_goes_on_and_says_how_many_failed(cache: Path, tmp_path: Path) -> None:
    notes = Notes()
    found = nested(cache, tmp_path, heads=("brittle", "lda"), trials=7, progress=notes)
    assert np.isfinite(found.probabilities).all()
    taken = [params for fold in found.folds_of_runs for params, _ in fold.members]
    assert all(params.get("brittle.way", "none") == "none" for params in taken)
    searches = len(found.folds_of_runs)
    assert f"image + clinical: {5 * searches} of {7 * searches} trials failed:" in notes.said


def test_a_selected_head_that_cannot_be_fitted_on_the_outer_fold_gives_way_to_the_next(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits, turns = engine.fit_predict, []

    def fails_first(*arguments: Any) -> Any:
        turns.append(1)
        if len(turns) == 1:
            raise np.linalg.LinAlgError("singular matrix")
        return fits(*arguments)

    expected = nested(cache, tmp_path / "whole", heads=["logistic"], trials=4)
    monkeypatch.setattr(engine, "fit_predict", fails_first)
    found = nested(cache, tmp_path / "broken", heads=["logistic"], trials=4)
    (_, *left), _ = zip(*expected.folds_of_runs[0].members, strict=True)
    assert left
    assert found.folds_of_runs[0].members == tuple((params, 1 / len(left)) for params in left)
    assert len(turns) == sum(len(fold.members) for fold in expected.folds_of_runs)  # none was fitted twice
    for one, other in zip(found.folds_of_runs[1:], expected.folds_of_runs[1:], strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


def test_a_selected_head_that_fails_on_all_patients_gets_a_sentence(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(cache, tmp_path / "s.db", n_trials=2, heads=["lda"])

    def breaks(*_: Any) -> None:
        raise np.linalg.LinAlgError("singular matrix")

    monkeypatch.setattr(ShrunkenLDA, "fit", breaks)
    with pytest.raises(StudyError, match=r"selected head \(lda\) failed on these patients.*singular matrix"):
        submit(cache, tmp_path / "s.db", tmp_path / "out.csv")
    assert not list(tmp_path.glob("*.csv"))


def test_a_selected_head_that_fails_on_all_patients_gives_way_to_the_next(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "s.db"
    tune(cache, study, n_trials=6, heads=["lda", "logistic"])
    members = load_study(study).selected.members
    (dropped, *left) = [one.number for one, _ in members]
    refuses = next(one.params for one, _ in members if one.number == dropped)
    build = refit.build_head

    def built(params: Mapping[str, Any]) -> Any:
        if dict(params) == dict(refuses):
            raise np.linalg.LinAlgError("singular matrix")
        return build(params)

    monkeypatch.setattr(refit, "build_head", built)
    notes = Notes()
    found = submit(cache, study, tmp_path / "out.csv", progress=notes)
    assert [one.number for one, _ in found.model.members] == left
    assert {weight for _, weight in found.model.members} == {1 / len(left)}
    passed_over = (
        f"Trial {dropped} is passed over, since its head cannot be fitted: LinAlgError: singular matrix"
    )
    assert passed_over in notes.said
    with pytest.raises(StudyError, match=r"failed on these patients.*singular matrix"):
        submit(cache, study, tmp_path / "other.csv", trial=dropped)


class Notes:
    """A progress that keeps its notes."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None: ...

    def advance(self, n: int = 1) -> None: ...

    def note(self, text: str) -> None:
        self.said.append(text)

    def stop(self) -> None: ...


def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[int], Exception | None]) -> list[int]:
    """Let the scoring of the n-th head end in what `fails` gives for n, counted from 0."""
    score_plan, calls = evaluate_module.score_plan, []

    def scored(*arguments: Any, **known: Any) -> Any:
        calls.append(1)
        error = fails(len(calls) - 1)
        if error is not None:
            raise error
        return score_plan(*arguments)

    monkeypatch.setattr(evaluate_module, "score_plan", scored)
    return calls


@pytest.mark.parametrize(
    ("error", "raised", "sentence"),
    [
        (LeakageError("it leaks"), LeakageError, "it leaks"),
        (CacheError("the cache is gone"), CacheError, "the cache is gone"),
        (OSError(5, "Input/output error"), OSError, "Input/output error"),
        (MemoryError("Unable to allocate 9 GiB"), StudyError, "memory is used up"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
            StudyError,
            "memory is used up",
        ),
    ],
)
def test_what_concerns_all_ends_the_search_and_is_tried_again(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: type[Exception],
    sentence: str,
) -> None:  # fmt: skip
    failing(monkeypatch, lambda n: error if n == 3 else None)
    with pytest.raises(raised, match=sentence):
        tune(cache, tmp_path / "s.db", n_trials=10, heads=QUICK)
    assert states_of(tmp_path / "s.db") == {"COMPLETE": BATCH - 1}
    monkeypatch.undo()
    summary = tune(cache, tmp_path / "s.db", n_trials=10, heads=QUICK)
    assert summary.n_trials == 10
    assert not summary.failed


@pytest.mark.parametrize("first", [0, BATCH])
def test_the_same_unexpected_error_in_most_of_a_batch_ends_the_search(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    failing(monkeypatch, lambda n: RuntimeError(f"no. {n} broke") if first <= n < first + 5 else None)
    with pytest.raises(StudyError, match=r"5 trials of 8 failed alike.*RuntimeError: no\. \d+ broke"):
        tune(cache, tmp_path / "s.db", n_trials=3 * BATCH, heads=QUICK)
    assert states_of(tmp_path / "s.db") == {"COMPLETE": first + 3}
    monkeypatch.undo()
    assert not tune(cache, tmp_path / "s.db", n_trials=3 * BATCH, heads=QUICK).failed


@pytest.mark.parametrize(
    "fails",
    [
        lambda n: RuntimeError("broke") if n < 4 else None,
        lambda n: RuntimeError("abcdefgh"[n]) if n < 7 else None,
        lambda n: InputError("There are too few patients.") if n < 7 else None,
    ],
    ids=["half of a batch", "different errors", "foreseen"],
)
def test_fewer_or_different_or_foreseen_errors_do_not(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Callable[[int], Exception | None]
) -> None:
    failing(monkeypatch, fails)
    summary = tune(cache, tmp_path / "s.db", n_trials=2 * BATCH, heads=QUICK)
    assert summary.n_trials == 2 * BATCH
    assert len(summary.failed) in (4, 7)


def test_a_study_of_failures_alone_says_so(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda _: InputError("There are too few patients."))
    for _ in range(2):
        with pytest.raises(
            StudyError, match=r"no trial that was scored to its end.*\n3 of 3 trials failed: log"
        ):
            tune(cache, tmp_path / "s.db", n_trials=3, heads=["logistic"])


def test_a_watched_head_that_fails_is_a_failed_trial(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads that take a second are watched fold by fold; they may fail at any fold."""
    calls = failing_folds(monkeypatch, after=9)
    summary = tune(cache, tmp_path / "s.db", n_trials=BATCH + 4, heads=["logistic", "xgboost"], seed=3)
    assert len(calls) > 9
    assert {one.head_type for one in summary.failed} <= {"xgboost"}
    assert summary.n_trials == BATCH + 4


def failing_folds(monkeypatch: pytest.MonkeyPatch, after: int) -> list[int]:
    train, calls = BoostedTrees.fit, []

    @wraps(train)
    def breaks(self: Any, *arguments: Any, **known: Any) -> Any:
        calls.append(1)
        if len(calls) > after:
            raise FloatingPointError("overflow")
        return train(self, *arguments, **known)

    monkeypatch.setattr(BoostedTrees, "fit", breaks)
    return calls


class Fixed:
    """A head that gives fixed probabilities."""

    def __init__(self, *p: float) -> None:
        self.p = np.array(p)

    def get_params(self, *, deep: bool = True) -> dict[str, Any]:
        return {}

    def fit_predict_splits(
        self, splits: list[Split], clinical: pd.DataFrame, y: np.ndarray, fit_cache: FitCache
    ) -> list[np.ndarray]:
        return [self.p for _ in splits]


@pytest.mark.parametrize("p", [np.nan, np.inf, -np.inf, 1.001, -0.001])
def test_what_is_no_probability_is_never_scored(p: float) -> None:
    bags, table, y = Bags.from_list([np.ones((1, 2), np.float32)] * 4), patients(4, 0), np.zeros(4, np.int8)
    one = [Split(bags, "k", np.arange(2), np.arange(2, 4))]
    with pytest.raises(FloatingPointError, match="1 of 2 patients a probability that is NaN or outside"):
        fit_predict(Fixed(0.5, p), one, table, y, FitCache())  # type: ignore[arg-type]
    assert len(fit_predict(Fixed(0.0, 1.0), one, table, y, FitCache())) == 1  # type: ignore[arg-type]


def test_failures_are_grouped_by_cause() -> None:
    some = [
        FailedTrial(number, head_type, reason, "")
        for number, (head_type, reason) in enumerate(
            [("lda", "needs 2."), ("svm", "Boom 7"), ("lda", "needs 3."), ("gp", "needs 2.")]
        )
    ]
    assert in_words([], 9) == []
    assert in_words(some[:1], 9) == ["1 of 9 trials failed: lda: needs 2."]
    assert in_words(some, 9) == ["4 of 9 trials failed:", "  3 × lda, gp: needs 2.", "  1 × svm: Boom 7"]


def test_plans_of_earlier_searches_are_forgotten(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A permutation test asks for hundreds of plans, and needs each for a while."""
    import weakref

    from lymphofeat.scoring.plan import ScoringPlan

    made: list[weakref.ref[ScoringPlan]] = []
    plan = StudySpec.plan

    def remembered(self: StudySpec, view: Any) -> ScoringPlan:
        found = plan(self, view)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(StudySpec, "plan", remembered)
    monkeypatch.setattr(evaluate_module, "_PLANS", 5)
    evaluator, point = Evaluator(), Space.of(["logistic"]).default_params()[0]
    settings = [StudySpec(cache, "frozen", 1, "auc", None, shuffle=shuffle) for shuffle in range(8)]
    values = [[evaluator(TrialTask(spec, 0, point, None)).value for spec in settings] for _ in range(2)]
    assert values[0] == values[1]
    assert len(made) == 16
    assert sum(one() is not None for one in made) == 5
