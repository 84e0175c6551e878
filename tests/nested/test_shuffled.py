"""Shuffled labels: dealt out anew with folds of their own, never below encoders that saw the true ones; chance."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lymphofeat.cache import Cache, open_cache, save_cache
from lymphofeat.cache.shuffled import shuffled
from lymphofeat.cohort.folds import assign_repeats, persons
from lymphofeat.errors import InputError
from lymphofeat.estimates.scores import score
from lymphofeat.nested import Nested, nested, permutation_test

from ..helpers.caches import features, frozen_cache, patients, tuned_cache
from ..helpers.compared import compared_cache
from ..helpers.executors import Here


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return open_cache(compared_cache(tmp_path_factory.mktemp("c") / "c.h5"))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_labels_are_dealt_anew_and_folds_drawn_for_them(cache: Cache, seed: int) -> None:
    found = shuffled(cache, seed)
    train = (cache.patients["split"] == "train").to_numpy()
    assert sorted(found.labels[train]) == sorted(cache.labels[train])
    assert (found.labels[~train] == -1).all()
    assert found.folds.shape == cache.folds.shape
    expected = assign_repeats(found.labels, persons(found.patients), 4, 2, found.fold_seed)
    np.testing.assert_array_equal(found.folds, expected)
    assert found.fingerprint == shuffled(cache, seed).fingerprint != cache.fingerprint
    assert set(found.encodings) == {"good", "resnet18-random0", "colour"}
    np.testing.assert_array_equal(found.bags("good").features, cache.bags("good").features)
    unchanged = ["id", "birth", "sex", "age", "lymphocyte_count", "n_images", "split"]
    assert found.patients[unchanged].equals(cache.patients[unchanged])


def test_other_seeds_deal_otherwise(cache: Cache) -> None:
    labels = np.array([shuffled(cache, seed).labels for seed in range(30)])
    assert len(np.unique(labels, axis=0)) == 30
    train = (cache.patients["split"] == "train").to_numpy()
    # With half the labels malignant, a shuffle keeps half of them in place: 20 of 40, up to chance.
    assert (labels[:, train] == cache.labels[train]).sum(axis=1).mean() == pytest.approx(20, abs=2.5)


def test_encoders_that_saw_the_true_labels_are_refused(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"give --encoding colour or good or resnet18-random0, which saw none"
    ):
        nested(cache.path, tmp_path / "s", encoding="pooled+clinical-good", permute_seed=0)
    with pytest.raises(InputError, match="would prove nothing"):
        permutation_test(cache.path, tmp_path / "s", n=3, encoding="pooled+clinical-good")
    only = tuned_cache(tmp_path / "tuned.h5", pairs=True)
    with pytest.raises(InputError, match="extract --frozen"):
        nested(only, tmp_path / "s", permute_seed=0)
    with pytest.raises(InputError, match="have seen the true labels"):
        shuffled(open_cache(only), 0)
    assert not (tmp_path / "s").exists()


def auc(found: Nested) -> float:
    return score("auc", found.y, found.probabilities[:, 0])


@pytest.mark.slow
def test_shuffled_labels_score_by_chance_and_true_ones_do_not(tmp_path: Path) -> None:
    table = patients(signal=2.0)
    path = tmp_path / "c.h5"
    save_cache(path, table, {"frozen": features(table, signal=1.0)}, n_folds=3, n_repeats=1)
    options = {"trials": 3, "heads": ["logistic"], "metric": "auc"}
    chance = [nested(path, tmp_path / "s", permute_seed=seed, **options) for seed in range(8)]
    assert len({tuple(found.y) for found in chance}) == 8
    assert np.mean([auc(found) for found in chance]) == pytest.approx(0.5, abs=0.12)
    assert auc(nested(path, tmp_path / "s", **options)) > 0.8


@pytest.mark.slow
def test_a_permutation_test_goes_on_with_what_it_has(tmp_path: Path) -> None:
    path = frozen_cache(tmp_path / "c.h5", n_folds=3, n_repeats=1)
    folder = tmp_path / "s"
    options = {"trials": 2, "heads": ["logistic"], "metric": "log_loss", "seed": 1}
    three = permutation_test(path, folder, n=3, **options)
    assert [p.name for p in folder.iterdir() if p.is_dir()] == ["frozen-clinical+image+both"]
    two = permutation_test(path, folder, n=2, **options)
    np.testing.assert_array_equal(two.permuted, three.permuted[:2])
    executor = Here()
    away = permutation_test(path, tmp_path / "away", n=1, executor=executor, **options)
    assert executor.submitted > 0
    assert away.value == three.value
    np.testing.assert_array_equal(away.permuted, three.permuted[:1])
    one = nested(path, tmp_path / "t", permute_seed=1, **options)
    assert three.permuted[1] == pytest.approx(score("log_loss", one.y, one.probabilities[:, 0]))
    true = nested(path, tmp_path / "t", **options)
    assert three.value == pytest.approx(score("log_loss", true.y, true.probabilities[:, 0]))
    # A loss is better when it is smaller.
    assert three.p_value == (1 + np.count_nonzero(three.permuted <= three.value)) / 4
    with pytest.raises(InputError, match="at least 1 shuffle"):
        permutation_test(path, folder, n=0, **options)


def test_labels_of_visits_are_dealt_together(tmp_path: Path) -> None:
    table = patients(48, 4)
    train = (table["split"] == "train").to_numpy()
    table.loc[train, "label"] = np.repeat(np.arange(16) % 2, 3)
    table["person"] = [f"H{k // 3}" for k in range(len(table))]
    save_cache(tmp_path / "c.h5", table, {"frozen": features(table)}, n_folds=3)
    opened = open_cache(tmp_path / "c.h5")
    kept = []
    for seed in range(20):
        labels = shuffled(opened, seed).labels[train]
        assert labels.sum() == 24
        assert (np.ptp(labels.reshape(16, 3), axis=1) == 0).all()
        kept.append((labels == opened.labels[train]).mean())
    assert np.mean(kept) == pytest.approx(0.5, abs=0.1)
