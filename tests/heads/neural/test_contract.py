"""What every head of this folder keeps to."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from lymphofeat.cache.bags import Bags
from lymphofeat.errors import InputError
from lymphofeat.estimates.scores import roc_auc_score
from lymphofeat.heads import FitCache, Split, fit_predict
from lymphofeat.heads.base import BatchFit
from lymphofeat.heads.neural import (
    AdditiveAttention,
    AttentionPooling,
    DeepSets,
    GatedAttention,
    InstanceTransformer,
)
from lymphofeat.heads.neural.estimator import NeuralHead
from lymphofeat.synthetic.features import simulate_features

HEADS: dict[str, Callable[..., NeuralHead]] = {
    head.__name__: head
    for head in (AttentionPooling, GatedAttention, DeepSets, AdditiveAttention, InstanceTransformer)
}
QUICK = {"pca": 4, "hidden": 8, "epochs": 5, "learning_rate": 5e-3}
N, DIM = 40, 6
Patients = tuple[Bags, pd.DataFrame, np.ndarray]


@pytest.fixture(params=HEADS)
def head(request: pytest.FixtureRequest) -> NeuralHead:
    return HEADS[request.param](**QUICK)


@pytest.fixture(scope="module")
def patients() -> Patients:
    cohort = simulate_features(N, (1, 9), DIM, signal="mean", strength=3.0, seed=2)
    return Bags.from_list(cohort.bags), cohort.table, cohort.y


@pytest.fixture(scope="module")
def fitted(patients: Patients) -> dict[str, NeuralHead]:
    return {name: make(**QUICK).fit(*patients) for name, make in HEADS.items()}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), times=st.integers(1, 3))
def test_neither_order_nor_repetition_of_images_matters(
    fitted: dict[str, NeuralHead], patients: Patients, seed: int, times: int
) -> None:
    bags, clinical, _ = patients
    rng = np.random.default_rng(seed)
    changed = Bags.from_list([np.tile(b, (times, 1))[rng.permutation(times * len(b))] for b in bags])
    for model in fitted.values():
        expected = model.predict_proba(bags, clinical)
        np.testing.assert_allclose(model.predict_proba(changed, clinical), expected, rtol=0, atol=1e-5)


def test_repeating_images_teaches_nothing(head: NeuralHead, patients: Patients) -> None:
    bags, clinical, y = patients
    # Only malignant patients' bags are shown thrice: their number must not become a feature or a weight.
    repeated = Bags.from_list([np.tile(b, (1 + 2 * label, 1)) for b, label in zip(bags, y, strict=True)])
    p = clone(head).fit(repeated, clinical, y).predict_proba(bags, clinical)
    np.testing.assert_allclose(
        p, head.fit(bags, clinical, y).predict_proba(bags, clinical), rtol=0, atol=1e-4
    )


def test_estimator(head: NeuralHead, patients: Patients) -> None:
    bags, clinical, y = patients
    copy = clone(head)
    assert copy.get_params() == head.get_params()
    assert copy.fit(bags, clinical, y) is copy
    first = copy.predict_proba(bags, clinical)
    assert first.shape == (N, 2)
    np.testing.assert_allclose(first.sum(axis=1), 1)
    np.testing.assert_array_equal(clone(head).fit(bags, clinical, y).predict_proba(bags, clinical), first)
    other = clone(head).set_params(random_state=1).fit(bags, clinical, y).predict_proba(bags, clinical)
    assert np.abs(other - first).max() > 1e-3
    alone = copy.predict_proba(bags.select(np.array([7])), clinical.iloc[[7]])
    np.testing.assert_allclose(alone, first[[7]], atol=1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"inputs": "image", "pca": None, "members": 2, "early_stopping": True}]
)
def test_shared_work_changes_nothing(head: NeuralHead, patients: Patients, options: dict) -> None:
    bags, clinical, y = patients
    head.set_params(**options)
    parts = np.arange(0, 28), np.arange(28, N), np.arange(10, N), np.arange(0, 10)
    splits = [Split(bags, "digest", parts[0], parts[1]), Split(bags, "digest", parts[2], parts[3])]
    assert isinstance(head, BatchFit)
    for limit in (1 << 30, 1):
        fit_cache = FitCache(limit)
        shared = fit_predict(head, splits, clinical, y, fit_cache)
        again = fit_predict(head, splits, clinical, y, fit_cache)
        for split, p, same in zip(splits, shared, again, strict=True):
            plain = clone(head).fit(bags.select(split.train), clinical.iloc[split.train], y[split.train])
            expected = plain.predict_proba(bags.select(split.test), clinical.iloc[split.test])[:, 1]
            np.testing.assert_allclose(p, expected, rtol=0, atol=1e-5)
            np.testing.assert_array_equal(p, same)
    assert not hasattr(head, "parameters_")
    hidden = y.copy()
    hidden[parts[1]] = -1
    np.testing.assert_array_equal(fit_predict(head, splits[:1], clinical, hidden, FitCache())[0], shared[0])


def test_threads_change_the_time_only(head: NeuralHead, patients: Patients) -> None:
    bags, clinical, y = patients
    splits = [Split(bags, "digest", np.arange(k, N - 5 + k), np.r_[:k, N - 5 + k : N]) for k in range(3)]
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(np.concatenate(fit_predict(head, splits, clinical, y, FitCache())))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_learns_what_is_there_and_nothing_from_permuted_labels(head: NeuralHead) -> None:
    cohort = simulate_features(160, (5, 15), DIM, signal="mean", strength=3.0, seed=4)
    bags, rng = Bags.from_list(cohort.bags), np.random.default_rng(0)
    head.set_params(inputs="image", epochs=15)
    halves = [np.arange(0, 80), np.arange(80, 160)]
    splits = [Split(bags, "digest", halves[i], halves[1 - i]) for i in (0, 1)]
    score = {}
    for name, y in {"true": cohort.y, "permuted": rng.permutation(cohort.y)}.items():
        p = fit_predict(head, splits, cohort.table, y, FitCache())
        score[name] = roc_auc_score(y, np.concatenate(p[::-1]))
    # The best possible AUC is 0.983; the standard error of a chance AUC at 80 against 80 is 0.046.
    assert score["true"] > 0.88
    assert abs(score["permuted"] - 0.5) < 3.5 * 0.046


def test_early_stopping_keeps_an_earlier_epoch(head: NeuralHead) -> None:
    cohort = simulate_features(60, 4, DIM, signal="none", seed=5)
    bags = Bags.from_list(cohort.bags)
    head.set_params(inputs="image", epochs=60, learning_rate=2e-2, early_stopping=True, patience=5)
    stopped = head.fit(bags, cohort.table, cohort.y).predict_proba(bags, cohort.table)
    full = head.set_params(early_stopping=False).fit(bags, cohort.table, cohort.y)
    # Nothing is to be learnt: who goes on learns the training patients by heart, who stops does not.
    assert np.abs(full.predict_proba(bags, cohort.table) - cohort.y[:, None]).max() > 0
    learnt = roc_auc_score(cohort.y, full.predict_proba(bags, cohort.table)[:, 1])
    assert learnt > roc_auc_score(cohort.y, stopped[:, 1]) + 0.02


def test_instances_that_say_nothing_give_a_result(head: NeuralHead, patients: Patients) -> None:
    bags, clinical, y = patients
    single = Bags.from_list([b[:1] for b in bags])
    identical = Bags.from_list([np.tile(b[:1], (4, 1)) for b in bags])
    constant = Bags(bags.features.copy(), bags.starts, bags.lengths)
    constant.features[:, 2] = 7.25
    everything = Bags(np.full_like(bags.features, 0.1), bags.starts, bags.lengths)
    for some in (single, identical, constant, everything):
        for pca in (None, 4, 64):
            p = clone(head).set_params(pca=pca).fit(some, clinical, y).predict_proba(some, clinical)
            assert np.isfinite(p).all()
    image = clone(head).set_params(inputs="image").fit(everything, clinical, y)
    assert np.ptp(image.predict_proba(everything, clinical)[:, 1]) < 1e-6
    missing = clinical.assign(age=np.nan, sex="", count=np.nan)
    assert np.isfinite(clone(head).fit(bags, missing, y).predict_proba(bags, missing)).all()


def test_bad_input_gets_a_sentence(head: NeuralHead, patients: Patients) -> None:
    bags, clinical, y = patients
    with pytest.raises(InputError, match="all of one class"):
        head.fit(bags, clinical, np.ones_like(y))
    fitted = clone(head).fit(bags, clinical, y)
    for value in (np.nan, np.inf):
        broken = Bags(bags.features.copy(), bags.starts, bags.lengths)
        broken.features[3, 0] = value
        with pytest.raises(InputError, match="NaN or infinite"):
            head.fit(broken, clinical, y)
        with pytest.raises(InputError, match="NaN or infinite"):
            fitted.predict_proba(broken, clinical)
    few = np.r_[np.flatnonzero(y == 0)[:1], np.flatnonzero(y == 1)]
    with pytest.raises(InputError, match="turn early_stopping off"):
        clone(head).set_params(early_stopping=True).fit(bags.select(few), clinical.iloc[few], y[few])


def test_all_bad_parameters_are_listed_at_once(patients: Patients) -> None:
    bad = {
        "inputs": "clinical", "pca": 0, "hidden": 0, "epochs": 1.5, "batch_size": -1, "learning_rate": 0.0,
        "weight_decay": np.nan, "instance_dropout": 1.0, "early_stopping": 1, "validation_fraction": 1.0,
        "patience": 0, "members": True, "class_weight": "much", "dtype": "float16", "random_state": -1,
        "clinical_values": 5, "missing_indicator": 1,
    }  # fmt: skip
    assert set(bad) == set(GatedAttention().get_params())
    with pytest.raises(InputError) as caught:
        GatedAttention(**bad).fit(*patients)
    for name in bad:
        assert f"{name} must be" in str(caught.value)


def test_contributions_add_up_to_the_logit(patients: Patients) -> None:
    bags, clinical, y = patients
    for kind in (AdditiveAttention, GatedAttention):
        for inputs in ("image", "both"):
            head = kind(**QUICK).set_params(inputs=inputs).fit(bags, clinical, y)
            parts = head.image_contributions(bags, clinical)
            assert [len(p) for p in parts.images] == bags.lengths.tolist()
            p = head.predict_proba(bags, clinical)[:, 1]
            np.testing.assert_allclose(np.log(p / (1 - p)), parts.logits, atol=1e-5)


def test_splits_that_do_not_fit_in_memory_together_change_nothing(
    head: NeuralHead, patients: Patients, monkeypatch: pytest.MonkeyPatch
) -> None:
    bags, clinical, y = patients
    splits = [Split(bags, "digest", np.arange(k, N - 5 + k), np.r_[:k, N - 5 + k : N]) for k in range(5)]
    at_once = np.concatenate(fit_predict(head, splits, clinical, y, FitCache()))
    monkeypatch.setattr("lymphofeat.heads.neural.estimator._HELD_BYTES", 1)
    assert [len(some) for some in head._waves(splits)] == [2, 2, 1]
    in_turn = np.concatenate(fit_predict(head, splits, clinical, y, FitCache()))
    np.testing.assert_allclose(in_turn, at_once, rtol=0, atol=1e-5)
