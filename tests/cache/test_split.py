"""Splits of a cache: who is learnt from, who is predicted, and what the encoder behind it has seen."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lymphofeat.cache import Cache, open_cache
from lymphofeat.cache.encoding import Encoding
from lymphofeat.cache.spec import EncodingSpec
from lymphofeat.errors import CacheError, InputError, LeakageError

from ..helpers.caches import features, frozen_cache, patients, tuned_cache
from ..helpers.compared import add_encoding

N_FOLDS = 4
RECIPE = {"recipe": {"name": "pooled"}, "backbone": "resnet18", "weights": "none"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return open_cache(frozen_cache(tmp_path_factory.mktemp("c") / "c.h5", n=24, n_test=5, n_folds=N_FOLDS))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return open_cache(tuned_cache(tmp_path_factory.mktemp("c") / "c.h5", n_folds=N_FOLDS, pairs=False))


def learnt_from(cache: Cache, encoding: Encoding) -> np.ndarray:
    """(n_patients,) whether the encoder may have seen the patient's label, by the meaning of `blind_to`."""
    known = ((cache.patients["split"] == "train") & (cache.patients["label"] >= 0)).to_numpy()
    if encoding.blind_to is None:
        return np.zeros_like(known)
    return known & ~np.isin(cache.folds[:, 0], list(encoding.blind_to))


FOLDS = st.integers(0, N_FOLDS - 1)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    blind=st.lists(st.one_of(st.none(), st.sets(FOLDS).map(frozenset)), min_size=1, max_size=6),
    held_out=st.sets(FOLDS, min_size=1, max_size=2),
    without=st.sets(FOLDS, max_size=1),
    repeat=st.integers(0, 1),
)
def test_a_split_is_blind_or_refused(
    plain: Cache, blind: list[frozenset[int] | None], held_out: set[int], without: set[int], repeat: int
) -> None:
    array = np.zeros((plain.tables.n_images, 1), dtype=np.float32)
    encodings = {
        f"e{i}": Encoding(EncodingSpec(f"e{i}", "x", 1, 8, folds, {}), f"digest{i}", array)
        for i, folds in enumerate(blind)
    }
    cache = replace(plain, encodings=encodings)
    without -= held_out
    usable = [b for b in blind if b is None or (repeat == 0 and held_out | without <= b)]
    if not usable:
        with pytest.raises(LeakageError, match="has seen labels of fold"):
            cache.split("x", held_out, repeat=repeat, without=without)
        return
    split = cache.split("x", held_out, repeat=repeat, without=without)
    fold = cache.folds[:, repeat]
    np.testing.assert_array_equal(split.test, np.flatnonzero(np.isin(fold, list(held_out))))
    kept = (fold >= 0) & ~np.isin(fold, list(held_out | without))
    np.testing.assert_array_equal(split.train, np.flatnonzero(kept))
    encoding = cache.encodings[split.encoding]
    assert split.features_digest == encoding.digest
    assert encoding.blind_to in usable
    assert not learnt_from(cache, encoding)[np.isin(fold, list(held_out | without))].any()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, 45), min_size=1, max_size=5), fold=FOLDS)
def test_others_are_predicted_only_if_encoder_and_fit_do_not_know_them(
    tuned: Cache, rows: list[int], fold: int
) -> None:
    split = tuned.split("tuned", {fold})
    wanted = np.array(rows)
    if (
        learnt_from(tuned, tuned.encodings[split.encoding])[wanted].any()
        or np.isin(wanted, split.train).any()
    ):
        with pytest.raises(LeakageError, match="learns from patient P"):
            tuned.predicting(split, wanted)
    else:
        np.testing.assert_array_equal(tuned.predicting(split, wanted).test, wanted)
    if (tuned.folds[wanted, 0] >= 0).any():
        with pytest.raises(LeakageError):
            tuned.final_splits("tuned", wanted)


def test_a_patient_whom_only_the_encoder_knows_is_refused(tuned: Cache) -> None:
    """Leaving a patient out of the fit does not make the encoder forget it."""
    split = tuned.split("tuned", {0})
    fewer = split.learning_from(split.train[5:])
    with pytest.raises(LeakageError, match="encoder tuned-0 learns from patient"):
        tuned.predicting(fewer, split.train[:1])


def test_training_patients_can_be_left_out_and_none_added(tuned: Cache) -> None:
    split = tuned.split("tuned", {1})
    fewer = split.learning_from(split.train[::2])
    np.testing.assert_array_equal(fewer.train, split.train[::2])
    assert fewer.bags is split.bags
    with pytest.raises(LeakageError, match="not given others"):
        split.learning_from(np.r_[split.train, split.test[:1]])


def test_cross_validation_predicts_everybody_once(plain: Cache, tuned: Cache) -> None:
    for cache, encoder_family, repeat in ((plain, "frozen", 3), (tuned, "tuned", 0), (plain, None, 0)):
        splits = cache.splits(encoder_family, repeat=repeat)
        assert list(splits) == list(range(N_FOLDS))
        tested = np.concatenate([split.test for split in splits.values()])
        np.testing.assert_array_equal(np.sort(tested), cache.labelled)
        for split in splits.values():
            np.testing.assert_array_equal(np.sort(np.r_[split.train, split.test]), cache.labelled)
            np.testing.assert_array_equal(split.bags.lengths, cache.patients["n_images"])


def test_without_a_family_bags_have_no_features(plain: Cache) -> None:
    split = plain.split(None, {0})
    assert split.bags.dim == 0
    assert split.features_digest == split.encoding == ""


def test_final_splits_of_encoders_trained_per_fold(tuned: Cache) -> None:
    new = np.flatnonzero(tuned.patients["split"] == "test")
    final = tuned.final_splits("tuned", new)
    for fold, split in enumerate(final):
        assert split.encoding == f"tuned-{fold}"
        assert set(tuned.folds[split.train, 0]) == set(range(N_FOLDS)) - {fold}
        np.testing.assert_array_equal(split.test, new)


@pytest.mark.parametrize("held_out", [set(), {7}, {-1}])
def test_folds_that_are_not_there(plain: Cache, held_out: set[int]) -> None:
    with pytest.raises(InputError, match="has no fold"):
        plain.split("frozen", held_out)


def rewritten(path: Path, attribute: str, value: str) -> None:
    with h5py.File(path, "r+") as file:
        group = file["encodings/tuned-1"]
        if attribute == "spec":
            group.attrs["spec"] = str(group.attrs["spec"]).replace('"blind_to": [1]', f'"blind_to": {value}')
        elif value:
            group.attrs[attribute] = value
        else:
            del group.attrs[attribute]


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("blind_to", "all"), ("blind_to", "[0, 1]"), ("spec", "[1, 2]"), ("spec", '"all"')],
)
def test_two_words_on_what_an_encoder_saw_are_refused(tmp_path: Path, attribute: str, value: str) -> None:
    path = tuned_cache(tmp_path / "c.h5", pairs=False)
    rewritten(path, attribute, value)
    with pytest.raises(
        CacheError, match=r"what labels the encoder of tuned-1 saw is not certain: the attribute"
    ):
        open_cache(path)


def test_a_file_without_the_attribute_still_opens(tmp_path: Path) -> None:
    path = tuned_cache(tmp_path / "c.h5", pairs=False)
    rewritten(path, "blind_to", "")
    assert open_cache(path).encodings["tuned-1"].blind_to == {1}


def test_a_fine_tuned_encoder_that_says_it_saw_no_label_is_refused(tmp_path: Path) -> None:
    path, table = frozen_cache(tmp_path / "c.h5", n_folds=N_FOLDS), patients()
    add_encoding(path, "x", features(table), RECIPE, blind_to=[0])
    assert open_cache(path).encodings["x"].blind_to == {0}
    with pytest.raises(CacheError, match="fine-tuned by a recipe that takes labels"):
        add_encoding(path, "y", features(table), RECIPE)


def test_pairs_serve_nested_cross_validation(tmp_path: Path) -> None:
    cache = open_cache(tuned_cache(tmp_path / "c.h5", n_folds=N_FOLDS, pairs=True))
    for outer, inner in combinations(range(N_FOLDS), 2):
        split = cache.split("tuned", {inner}, without={outer})
        assert cache.encodings[split.encoding].blind_to == {outer, inner}
        assert set(cache.folds[split.test, 0]) == {inner}
        assert not {outer, inner} & set(cache.folds[split.train, 0])


def test_bags_are_slices_of_the_mapped_features(plain: Cache) -> None:
    split = plain.split("frozen", {0})
    assert np.shares_memory(split.bags.features, plain.encodings["frozen"].features)
