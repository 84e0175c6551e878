"""Everyone explained at once: the numbers of `explain`, patient by patient, from one fit per fold."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lymphofeat.cache import Bags, open_cache
from lymphofeat.cache.pooling import POOLINGS, pool
from lymphofeat.errors import InputError
from lymphofeat.explanation import Explanation, explain, explain_everyone
from lymphofeat.explanation.images import in_batches, leave_one_out
from lymphofeat.explanation.parts import parts_of_patients, patient_parts
from lymphofeat.heads import Logistic, pooled
from lymphofeat.heads.boosting import BoostedTrees
from lymphofeat.progress import Silent
from lymphofeat.studies import load_study, tune

from ..helpers.caches import features, frozen_cache, patients, tuned_cache


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Heads of several kinds: sums over images, left-out images, and such that see no image."""
    folder = tmp_path_factory.mktemp("everyone")
    cache = frozen_cache(folder / "c.h5", n=24, n_test=3, n_folds=3)
    tune(cache, folder / "s.db", n_trials=6, heads=["xgboost", "logistic"], prune=False)
    return cache, folder / "s.db"


class Counting(Silent):
    """Counts the patients that it is told of."""

    def __init__(self) -> None:
        self.total = self.done = 0

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.total = total

    def advance(self, n: int = 1) -> None:
        self.done += n


def assert_same(found: Explanation, expected: Explanation) -> None:
    for name in ("id", "label", "fold", "reason", "n_models", "n_trained_on", "methods", "n_attending"):
        assert getattr(found, name) == getattr(expected, name), name
    heads = [[(trial.number, weight) for trial, weight in one.members] for one in (found, expected)]
    assert heads[0] == heads[1]
    close = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(found.probability, expected.probability, **close)
    assert found.threshold == expected.threshold
    parts = [
        [getattr(one.parts, name) for name in ("logit", "base", "image", "clinical")]
        for one in (found, expected)
    ]
    np.testing.assert_allclose(*parts, **close)
    for name, key in (("images", "image"), ("values", "value"), ("measurements", "measurement")):
        tables = [getattr(one, name) for one in (found, expected)]
        if tables[1] is None:
            assert tables[0] is None
        else:  # equal contributions may change places
            ordered = [table.sort_values(key, ignore_index=True) for table in tables]
            pd.testing.assert_frame_equal(*ordered, **close)


def test_everyone_has_the_numbers_of_explain(made: tuple[Path, Path]) -> None:
    cache = open_cache(made[0])
    progress = Counting()
    found = {one.id: one for one in explain_everyone(*made, progress=progress)}
    assert sorted(found) == sorted(cache.ids)
    assert progress.done == progress.total == len(found)
    for fold in (0, 1, 2, -1):
        row = int(np.flatnonzero(cache.folds[:, 0] == fold)[-1])
        assert_same(found[cache.ids[row]], explain(*made, str(cache.ids[row])))
    assert {method for one in found.values() for method in one.methods} >= {"exact", "leave-one-out"}


def test_some_patients_of_an_open_cache_by_one_trial(made: tuple[Path, Path]) -> None:
    cache, study = open_cache(made[0]), load_study(made[1])
    ids = [str(cache.ids[k]) for k in (20, 3, 26)]
    found = list(explain_everyone(cache, study, ids, trial=1))
    assert sorted(one.id for one in found) == sorted(ids)
    for one in found:
        assert_same(one, explain(*made, one.id, trial=1))


def test_under_encoders_trained_per_fold(tmp_path: Path) -> None:
    made = tuned_cache(tmp_path / "c.h5", pairs=False), tmp_path / "s.db"
    tune(*made, n_trials=2, heads=["logistic"], inputs=["image"])
    ids = open_cache(made[0]).ids
    for one in explain_everyone(*made, [str(ids[5]), str(ids[-1]), str(ids[-2])]):
        assert_same(one, explain(*made, one.id))


def test_positions_find_the_images_in_the_cache(made: tuple[Path, Path]) -> None:
    cache = open_cache(made[0])
    for one in explain_everyone(*made, [str(i) for i in cache.ids[:4]]):
        first = int(cache.tables.offsets[list(cache.ids).index(one.id)])
        assert [cache.tables.names[first + k] for k in one.positions] == list(one.images["image"])


def test_an_unknown_patient_is_refused_before_anything_is_fitted(made: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match=r"holds no patient 'P999'; IDs are such as P"):
        explain_everyone(*made, ["P999"])


@pytest.fixture(scope="module")
def cohort() -> tuple[Bags, pd.DataFrame, np.ndarray]:
    table = patients(30, 0, seed=3)
    lengths = table["n_images"].to_numpy(np.int64)
    bags = Bags(features(table, dim=6, seed=3), np.cumsum(lengths) - lengths, lengths)
    return bags, table, table["label"].to_numpy(np.int8)


@pytest.mark.parametrize("limit", [1, 40, 1 << 17])
def test_batches_change_nothing(
    limit: int, cohort: tuple[Bags, pd.DataFrame, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    bags, table, y = cohort
    head = pooled(BoostedTrees, trees=8).fit(bags, table, y)
    training = np.arange(20)
    alone = [leave_one_out(head, bags.select(np.array([i])), table.iloc[[i]])[0] for i in range(30)]
    parts = [patient_parts(head, bags, table, i, training) for i in (25, 29)]
    monkeypatch.setattr("lymphofeat.explanation.images._IMAGES_AT_ONCE", limit)
    for one, other in zip(leave_one_out(head, bags, table), alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)
    found = parts_of_patients(head, bags, table, np.array([25, 29]), training)
    for one, other in zip(found, parts, strict=True):
        assert one.image == pytest.approx(other.image, abs=1e-9)
        assert one.base + one.image + one.clinical == pytest.approx(one.logit)
    batches = list(in_batches(np.arange(30), bags.lengths))
    assert np.concatenate(batches).tolist() == list(range(30))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_bags_that_repeat_are_pooled_to_the_same_bits(
    pooling: str, cohort: tuple[Bags, pd.DataFrame, np.ndarray]
) -> None:
    bags, _, _ = cohort
    each = pool(bags, pooling)
    rng = np.random.default_rng(0)
    for which in (rng.integers(0, 30, 200), np.array([4, 4]), np.array([7]), np.arange(0)):
        np.testing.assert_array_equal(pool(bags.select(which), pooling), each[which])
    shorter = Bags(
        bags.features, np.repeat(bags.starts, 2), np.stack([bags.lengths, np.ones(30, np.int64)], 1).ravel()
    )
    np.testing.assert_array_equal(pool(shorter, pooling)[::2], each)


def test_a_linear_head_fitted_once_is_asked_of_all(cohort: tuple[Bags, pd.DataFrame, np.ndarray]) -> None:
    bags, table, y = cohort
    head = pooled(Logistic, inputs="image").fit(bags, table, y)
    for one in parts_of_patients(head, bags, table, np.arange(30), np.arange(30)):
        assert one.clinical == pytest.approx(0, abs=1e-9)
