"""The linear head against scikit-learn's own steps, and its contract as an estimator."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from lymphofeat.cache.bags import Bags
from lymphofeat.errors import InputError
from lymphofeat.heads import ClinicalFeatures, FitCache, Head, Logistic, Split, fit_predict, pool, pooled
from lymphofeat.heads.base import BatchFit

N, DIM = 40, 16
TRAIN, TEST = np.arange(0, 28), np.arange(28, N)
GRID = [
    {"inputs": inputs, "pooling": pooling, "scale": scale, "pca": pca, "C": c, "class_weight": weight}
    for inputs, pooling, scale, pca, c, weight in product(
        ["image", "clinical", "both"],
        ["mean", "mean+std"],
        [True, False],
        [None, 5],
        [0.1, 50.0],
        [None, "balanced"],
    )
]


@pytest.fixture(scope="module")
def patients() -> tuple[Bags, pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(3)
    y = (rng.random(N) < 0.6).astype(np.int8)
    bags = [rng.normal(size=(rng.integers(1, 9), DIM)) * rng.uniform(0.2, 3, DIM) + label for label in y]
    clinical = pd.DataFrame(
        {
            "age": np.where(rng.random(N) < 0.1, np.nan, rng.normal(60, 10, N)),
            "sex": rng.choice(["M", "F", ""], N),
            "lymphocyte_count": np.exp(rng.normal(2, 1, N) + 0.5 * y),
        }
    )
    return Bags.from_list([b.astype(np.float32) for b in bags]), clinical, y


def naive(params: dict, bags: Bags, clinical: pd.DataFrame, y: np.ndarray) -> np.ndarray:
    """The head in full width: every feature, scikit-learn's PCA, and another solver."""
    blocks = []
    if params["inputs"] != "clinical":
        pooled = pool(bags, params["pooling"])
        x = StandardScaler(with_std=params["scale"]).fit(pooled[TRAIN]).transform(pooled)
        first = np.linalg.svd(x[TRAIN], compute_uv=False)[0] / np.sqrt(len(TRAIN))
        if params["pca"]:
            x = PCA(params["pca"], svd_solver="full").fit(x[TRAIN]).transform(x)
        blocks.append(x / first)
    if params["inputs"] != "image":
        values = ClinicalFeatures().fit(clinical.iloc[TRAIN]).transform(clinical)
        blocks.append(StandardScaler().fit(values[TRAIN]).transform(values))
    x = np.hstack(blocks)
    model = LogisticRegression(C=params["C"], class_weight=params["class_weight"], tol=1e-10, max_iter=10_000)
    return model.fit(x[TRAIN], y[TRAIN]).predict_proba(x[TEST])[:, 1]


@pytest.mark.parametrize("params", GRID, ids=lambda p: "-".join(str(v) for v in p.values()))
def test_equals_the_full_width_steps(params: dict, patients: tuple) -> None:
    bags, clinical, y = patients
    head = pooled(Logistic, **params).fit(bags.select(TRAIN), clinical.iloc[TRAIN], y[TRAIN])
    p = head.predict_proba(bags.select(TEST), clinical.iloc[TEST])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(p[:, 1], naive(params, bags, clinical, y), atol=2e-5)


def fitted_alone(head: Head, split: Split, clinical: pd.DataFrame, y: np.ndarray) -> np.ndarray:
    """(n_test,) probabilities of a split's test patients, by scikit-learn's own way."""
    plain = clone(head).fit(split.bags.select(split.train), clinical.iloc[split.train], y[split.train])
    return plain.predict_proba(split.bags.select(split.test), clinical.iloc[split.test])[:, 1]


def test_shared_work_changes_nothing(patients: tuple) -> None:
    bags, clinical, y = patients
    splits = [Split(bags, "digest", TRAIN, TEST), Split(bags, "digest", TEST, TRAIN)]
    hidden = y.copy()
    hidden[TEST] = -1
    expected = [
        [fitted_alone(pooled(Logistic, **params), split, clinical, y) for split in splits] for params in GRID
    ]
    for limit in (1 << 30, 1):  # everything kept, next to nothing kept
        fit_cache = FitCache(limit)
        for params, alone in zip(GRID, expected, strict=True):
            head = pooled(Logistic, **params)
            assert isinstance(head, BatchFit)
            shared = fit_predict(head, splits, clinical, y, fit_cache)
            for p, of_split in zip(shared, alone, strict=True):
                np.testing.assert_allclose(p, of_split, rtol=0, atol=1e-12)
            # Labels of the predicted patients are not looked at.
            np.testing.assert_array_equal(
                fit_predict(head, splits[:1], clinical, hidden, fit_cache)[0], shared[0]
            )
            assert not hasattr(head, "classifier_")


def test_contract(patients: tuple) -> None:
    bags, clinical, y = patients
    head = pooled(Logistic, pooling="max", C=3.0, pca=4)
    copy = clone(head)
    assert str(copy.get_params()) == str(head.get_params())
    assert copy.fit(bags, clinical, y) is copy
    first = copy.predict_proba(bags, clinical)
    assert first.shape == (N, 2)
    assert ((first >= 0) & (first <= 1)).all()
    np.testing.assert_array_equal(clone(head).fit(bags, clinical, y).predict_proba(bags, clinical), first)
    # A patient's probability does not depend on who is predicted beside it.
    alone = copy.predict_proba(bags.select(np.array([7])), clinical.iloc[[7]])
    np.testing.assert_allclose(alone, first[[7]], atol=1e-12)


def test_pca_is_capped_by_what_there_is(patients: tuple) -> None:
    bags, clinical, y = patients
    few = np.r_[np.flatnonzero(y == 0)[:3], np.flatnonzero(y == 1)[:3]]
    part = bags.select(few), clinical.iloc[few], y[few]
    many = pooled(Logistic, inputs="image", pca=500).fit(*part)
    assert many.classifier_.coef_.shape == (1, 5)
    everything = pooled(Logistic, inputs="image").fit(*part)
    np.testing.assert_array_equal(
        many.predict_proba(bags, clinical), everything.predict_proba(bags, clinical)
    )


def test_constant_features_and_identical_images_give_a_result(patients: tuple) -> None:
    _, clinical, y = patients
    same = Bags.from_list([np.full((3, 4), 0.5, dtype=np.float32)] * N)
    for pooling in ("mean", "max", "mean+std"):
        head = pooled(Logistic, inputs="image", pooling=pooling).fit(same, clinical, y)
        np.testing.assert_allclose(head.predict_proba(same, clinical)[:, 1], y.mean(), atol=1e-6)


def test_all_clinical_values_missing(patients: tuple) -> None:
    bags, clinical, y = patients
    empty = clinical.assign(age=np.nan, sex="", lymphocyte_count=np.nan)
    head = pooled(Logistic, inputs="clinical").fit(bags, empty, y)
    np.testing.assert_allclose(head.predict_proba(bags, empty)[:, 1], y.mean(), atol=1e-6)


def test_all_bad_parameters_are_listed_at_once(patients: tuple) -> None:
    bad = pooled(Logistic, pooling="sum", inputs="sound", pca=0, C=-1.0, class_weight="much")
    with pytest.raises(InputError) as caught:
        bad.fit(*patients)
    for name in ("pooling", "inputs", "pca", "C", "class_weight"):
        assert f"{name} must be" in str(caught.value)


def test_one_class_and_nan_get_a_sentence(patients: tuple) -> None:
    bags, clinical, y = patients
    with pytest.raises(InputError, match="all of one class"):
        pooled(Logistic).fit(bags, clinical, np.ones_like(y))
    broken = Bags(bags.features.copy(), bags.starts, bags.lengths)
    broken.features[0, 0] = np.nan
    with pytest.raises(InputError, match="NaN or infinite"):
        pooled(Logistic).fit(broken, clinical, y)
