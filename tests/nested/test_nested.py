"""Nested cross-validation against its definition, and the same numbers however they come about."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone

import lymphofeat
from lymphofeat.cache import Cache, open_cache
from lymphofeat.errors import InputError, StudyError
from lymphofeat.estimates.scores import roc_auc_score, score
from lymphofeat.final import submit
from lymphofeat.nested import Nested, NestedFold, engine, nested
from lymphofeat.progress import Silent
from lymphofeat.scoring import one_standard_error_threshold, prevalence_threshold
from lymphofeat.studies import load_study
from lymphofeat.studies.load import load_trials
from lymphofeat.studies.space import build_head
from lymphofeat.studies.store import open_store

from ..helpers.caches import frozen_cache, tuned_cache

REPOSITORY = Path(lymphofeat.__file__).parents[1]
QUICK = ("lda", "logistic")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("cache") / "c.h5")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `cache`, with three folds, so that there is less to wait for."""
    return frozen_cache(tmp_path_factory.mktemp("small") / "c.h5", n_folds=3, n_repeats=1)


def quick(cache: Path, folder: Path, **options: Any) -> Nested:
    return nested(cache, folder, **{"trials": 4, "heads": QUICK, "seed": 3, **options})


def assert_same(one: Nested, other: Nested) -> None:
    """Equal in every bit but the seconds."""
    assert (one.name, one.encoding, one.inputs, one.ids) == (
        other.name,
        other.encoding,
        other.inputs,
        other.ids,
    )
    np.testing.assert_array_equal(one.y, other.y)
    assert len(one.folds_of_runs) == len(other.folds_of_runs)
    for a, b in zip(one.folds_of_runs, other.folds_of_runs, strict=True):
        for name in ("rows", "probabilities", "inner"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        for name in (
            "run",
            "repeat",
            "seed",
            "fold",
            "threshold",
            "members",
            "tuned",
            "n_trials",
        ):
            assert getattr(a, name) == getattr(b, name)


def without_seals(ledger: Path) -> str:
    """A ledger's lines as a version wrote them that kept no digests of lines."""
    return re.sub(r', "check": "[0-9a-f]+"', "", ledger.read_text())


def fitted(cache: Cache, members: Any, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """(n_test,) probabilities of fresh heads, the plain mean of them."""
    bags, table = cache.bags("frozen"), cache.patients
    each = []
    for params, _ in members:
        head = clone(build_head(params)).fit(bags.select(train), table.iloc[train], cache.labels[train])
        each.append(head.predict_proba(bags.select(test), table.iloc[test])[:, 1])
    return np.asarray(np.mean(each, axis=0))


def best_by_log_loss(study: Path, trials: int) -> list[Any]:
    """The points of the ten best, of equals the first, each point once."""
    found: list[Any] = []
    among = [one for one in load_trials(study) if one.number < trials]
    for one in sorted(among, key=lambda one: (one.scores.values["log_loss"], one.number)):
        found += [one.params] if one.params not in found else []
    return found[:10]


@pytest.mark.slow
def test_equals_the_definition(cache: Path, tmp_path: Path) -> None:
    found = quick(cache, tmp_path, repeats=2)
    opened = open_cache(cache)
    rows, y = np.flatnonzero(opened.labels >= 0), opened.labels[opened.labels >= 0]
    np.testing.assert_array_equal(found.y, y)
    assert list(found.ids) == list(opened.patients["id"].iloc[rows])
    assert found.n_runs == 2
    assert [(f.run, f.repeat, f.fold) for f in found.folds_of_runs] == [
        (r, r, k) for r in (0, 1) for k in range(5)
    ]
    for fold in found.folds_of_runs:
        of = opened.folds[rows, fold.repeat]
        np.testing.assert_array_equal(fold.rows, np.flatnonzero(of == fold.fold))
        expected = fitted(opened, fold.members, rows[of != fold.fold], rows[of == fold.fold])
        np.testing.assert_allclose(fold.probabilities, expected, atol=1e-9)
        assert np.isnan(fold.inner[fold.rows]).all()
        for k in set(range(5)) - {fold.fold}:
            train, test = (of != k) & (of != fold.fold), of == k
            inner = fitted(opened, fold.members, rows[train], rows[test])
            np.testing.assert_allclose(fold.inner[test], inner, atol=1e-9)
        outside = of != fold.fold
        balanced = [build_head(p).get_params()["class_weight"] == "balanced" for p, _ in fold.members]
        prior = np.mean([prevalence_threshold(y[outside], balanced=one) for one in balanced])
        assert fold.threshold == pytest.approx(
            one_standard_error_threshold(y[outside], fold.inner[outside], prior=prior)
        )
        path = tmp_path / "frozen-clinical+image+both" / f"repeat{fold.repeat}-seed3-fold{fold.fold}.db"
        study = load_study(path)
        assert set(study.ids) == set(np.array(found.ids)[outside])
        assert fold.tuned == pytest.approx(study.selected.scores)
        assert fold.tuned["log_loss"] == pytest.approx(score("log_loss", y[outside], fold.inner[outside]))
        assert [params for params, _ in fold.members] == best_by_log_loss(path, 4)
        assert [weight for _, weight in fold.members] == [1 / len(fold.members)] * len(fold.members)
        assert len(fold.members) > 1
        assert (fold.n_trials, fold.seed) == (4, 3)
        assert 0 < fold.seconds < 300
    assert not np.isnan(found.probabilities).any()


def test_labels_of_the_outer_fold_change_nothing_inside(tmp_path: Path) -> None:
    """What is found without fold 2 is the same when every label in it is another one."""
    path = frozen_cache(tmp_path / "c.h5", n_folds=3, n_repeats=1)
    true = quick(path, tmp_path / "true", trials=3)
    import h5py

    with h5py.File(path, "r+") as file:
        labels, held_out = file["patients"]["label"][:], file["patients"]["folds"][:, 0] == 2
        file["patients"]["label"][:] = np.where(held_out, 1 - labels, labels)
    other = quick(path, tmp_path / "other", trials=3)
    one, two = true.folds_of_runs[2], other.folds_of_runs[2]
    assert not np.array_equal(true.y, other.y)
    np.testing.assert_array_equal(one.probabilities, two.probabilities)
    np.testing.assert_array_equal(one.inner, two.inner)
    assert (one.members, one.threshold, one.tuned) == (two.members, two.threshold, two.tuned)
    assert not np.array_equal(true.folds_of_runs[0].probabilities, other.folds_of_runs[0].probabilities)


@pytest.mark.slow
def test_processes_parts_and_more_trials_give_the_same(small: Path, tmp_path: Path) -> None:
    whole = quick(small, tmp_path / "whole", trials=10)
    assert_same(quick(small, tmp_path / "jobs", trials=10, jobs=2), whole)
    fewer = quick(small, tmp_path / "parts", trials=4)
    assert_same(quick(small, tmp_path / "parts", trials=10), whole)
    (tmp_path / "parts" / "folds.jsonl").unlink()
    assert_same(quick(small, tmp_path / "parts", trials=4), fewer)  # the first four of the ten


class Told(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.started: list[tuple[int, int]] = []
        self.notes: list[str] = []
        self.advanced = 0

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.started.append((total, done))

    def advance(self, n: int = 1) -> None:
        self.advanced += n

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_finished_folds_are_not_made_again(small: Path, tmp_path: Path) -> None:
    told = Told()
    first = quick(small, tmp_path, progress=told)
    assert told.started == [(12, 0)]
    assert told.advanced == 12
    for study in tmp_path.glob("*/*.db"):
        study.unlink()
    assert_same(quick(small, tmp_path, progress=told), first)
    assert len(told.started) == 1
    order, line, *rest = without_seals(tmp_path / "folds.jsonl").splitlines()
    (tmp_path / "folds.jsonl").write_text(
        "\n".join([order, line.replace('"cut": ', '"cat": '), *rest]) + "\n"
    )
    with pytest.raises(StudyError, match="holds a damaged entry of fold 0"):
        quick(small, tmp_path)


def test_finished_folds_of_before_averages_are_made_again(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = quick(small, tmp_path / "now")
    assert all(len(fold.members) > 1 for fold in expected.folds_of_runs)
    with monkeypatch.context() as before:
        before.setattr(engine, "_RULES", "2")
        quick(small, tmp_path / "then")
    ledger = tmp_path / "then" / "folds.jsonl"
    ledger.write_text(without_seals(ledger).replace('"members": ', '"params": '))
    assert_same(quick(small, tmp_path / "then"), expected)


SEARCH = """
import sys
from pathlib import Path
from lymphofeat.nested import nested
from lymphofeat.progress import Silent
from lymphofeat.estimates.scores import roc_auc_score
class Told(Silent):
    def advance(self, n=1): print("trial", flush=True)
if __name__ == "__main__":
    nested(Path(sys.argv[1]), Path(sys.argv[2]), trials=12, heads=("lda", "logistic"), seed=3, progress=Told())
"""


@pytest.mark.slow
def test_killed_and_given_again_it_ends_as_if_unbroken(small: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    broken = tmp_path / "broken"
    process = subprocess.Popen(
        [sys.executable, "-c", SEARCH, str(small), str(broken)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(26):  # into the second batch of the three searches
        assert process.stdout.readline() == "trial\n"
    process.kill()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    kept = 0
    for path in broken.glob("*/*.db"):
        with open_store(path) as store:
            kept += len(store.rows())
    assert 26 <= kept < 36
    told = Told()
    assert_same(quick(small, broken, trials=12, progress=told), quick(small, tmp_path / "whole", trials=12))
    assert told.started == [(36, kept)]
    assert told.advanced == 36 - kept


def test_encoders_blind_to_two_folds_need_prior_cuts_inside_and_give_seeds_for_repeats(
    tmp_path: Path,
) -> None:
    path, told = tuned_cache(tmp_path / "c.h5", n_folds=3, pairs=True), Told()
    found = quick(path, tmp_path / "s", trials=2, repeats=2, progress=told)
    assert "differ by the seed of the search" in told.notes[0]
    assert [(f.run, f.repeat, f.seed, f.fold) for f in found.folds_of_runs] == [
        (r, 0, 3 + r, k) for r in (0, 1) for k in range(3)
    ]
    assert not np.isnan(found.probabilities).any()
    study = load_study(tmp_path / "s" / "tuned-clinical+image+both" / "repeat0-seed3-fold1.db")
    assert not study.best.inner_thresholds
    assert_same(quick(path, tmp_path / "t", trials=2, seeds=2), found)


def test_searches_of_other_folds_are_not_mistaken_for_a_whole_one(small: Path, tmp_path: Path) -> None:
    quick(small, tmp_path, trials=1, heads=["logistic"])
    study = tmp_path / "frozen-clinical+image+both" / "repeat0-seed3-fold2.db"
    with pytest.raises(StudyError, match=r"another outer fold left out \(0,2, now none\)"):
        submit(small, study, tmp_path / "out.csv")
    study.rename(study.with_name("repeat0-seed3-fold1.db"))
    (tmp_path / "folds.jsonl").unlink()
    with pytest.raises(StudyError, match=r"another outer fold left out \(0,2, now 0,1\)"):
        quick(small, tmp_path, trials=1, heads=["logistic"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"repeats": 0}, "at least 1 repeat"),
        ({"seeds": 0}, "1 seed"),
        ({"repeats": 11}, "holds 10 repeats of the folds"),
        ({"trials": 0}, "at least 1 trial"),
        ({"metric": "accuracy"}, "no metric 'accuracy'"),
        ({"heads": ["logistics"]}, "did you mean 'logistic'"),
        ({"encoding": "frosen"}, "did you mean 'frozen'"),
        ({"jobs": 0}, "at least 1 job"),
    ],
)
def test_bad_arguments_get_a_sentence_and_nothing_is_written(
    cache: Path, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        quick(cache, tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_the_search_s_metric_and_weights_reach_the_folds(small: Path, tmp_path: Path) -> None:
    plain = quick(small, tmp_path / "a", trials=4)
    weighted = quick(small, tmp_path / "b", trials=4, class_weights=(1.0, 20.0))
    assert weighted.decisions.sum() > plain.decisions.sum()
    loss = quick(small, tmp_path / "c", trials=4, metric="log_loss")
    assert loss.metric == "log_loss"
    assert np.mean([f.tuned["log_loss"] for f in loss.folds_of_runs]) <= np.mean(
        [f.tuned["log_loss"] for f in plain.folds_of_runs]
    )


def test_scores_bring_heads_that_are_not_equally_sure_to_one_scale() -> None:
    """Ten folds of the same truth, each head sure and shifted in its own way: pooled as one head would be."""
    rng = np.random.default_rng(0)
    n, n_folds = 2000, 10
    y = (rng.random(n) < 0.5).astype(np.int8)
    z = rng.normal(1.5 * y)
    fold_of = np.arange(n) % n_folds
    folds = []
    for k in range(n_folds):
        shift, slope = rng.normal(0, 2), np.exp(rng.normal(0, 1))
        p = expit(shift + slope * z)
        rows = np.flatnonzero(fold_of == k)
        inner = np.where(fold_of == k, np.nan, p)
        folds.append(NestedFold(0, 0, 0, k, rows, p[rows], 0.5, inner, (), {}, 1, 0.0))
    found = Nested("x", "e", ("both",), "auc", tuple(map(str, range(n))), y, tuple(folds))
    true, pooled = roc_auc_score(y, z), roc_auc_score(y, found.probabilities[:, 0])
    assert pooled < true - 0.05
    assert roc_auc_score(y, found.scores[:, 0]) == pytest.approx(true, abs=0.003)
    for fold in folds:
        np.testing.assert_array_equal(np.argsort(found.scores[fold.rows, 0]), np.argsort(fold.probabilities))
